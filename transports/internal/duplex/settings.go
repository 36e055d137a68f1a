package duplex

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/transports/internal/origin"
)

// Settings point to the fields that the configurations of these transports have in
// common. Both are public structs with fields of their own, whose comments explain them,
// so they cannot share a struct.
type Settings struct {
	Origins                                                              *[]string
	MaxConnections, MaxJoins                                             *int
	MaxRequestBytes                                                      *int64
	HandshakeTimeout, WriteTimeout, PingInterval, LoadWait, DrainTimeout *time.Duration
	PageRows, MessageBytes                                               *int
}

// SetDefaults replaces zeros by the defaults.
func (s Settings) SetDefaults() {
	set(s.HandshakeTimeout, 10*time.Second)
	set(s.WriteTimeout, 10*time.Second)
	set(s.PingInterval, 25*time.Second)
	set(s.LoadWait, 5*time.Second)
	set(s.DrainTimeout, 2*time.Second)
	set(s.MaxConnections, 10_000)
	set(s.MaxJoins, 256)
	set(s.PageRows, wire.DefaultRows)
	set(s.MessageBytes, wire.DefaultBytes)
	set(s.MaxRequestBytes, 64<<10)
}

func set[T comparable](field *T, value T) { *field = cmp.Or(*field, value) }

// Validate returns every error in the settings.
func (s Settings) Validate() error {
	errs := []error{
		NotNegative("HandshakeTimeout", *s.HandshakeTimeout), NotNegative("WriteTimeout", *s.WriteTimeout),
		NotNegative("PingInterval", *s.PingInterval), NotNegative("DrainTimeout", *s.DrainTimeout),
		NotNegative("MaxJoins", *s.MaxJoins), NotNegative("MaxRequestBytes", *s.MaxRequestBytes),
	}
	if err := s.Messages().Validate(); err != nil {
		errs = append(errs, fmt.Errorf("config: %w", err))
	}
	for _, o := range *s.Origins {
		if err := origin.Check(o); err != nil {
			errs = append(errs, fmt.Errorf("config: %w", err))
		}
	}
	return errors.Join(errs...)
}

// NotNegative returns an error that names the field if its value is negative.
func NotNegative[N int | int64 | time.Duration](field string, value N) error {
	if value < 0 {
		return fmt.Errorf("config: %s %v is negative", field, value)
	}
	return nil
}

// Messages returns the bounds of messages.
func (s Settings) Messages() wire.Limits {
	return wire.Limits{Rows: *s.PageRows, Bytes: *s.MessageBytes}
}
