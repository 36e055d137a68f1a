package serving

import (
	"errors"
	"fmt"

	"github.com/labstack/echo/v4"
)

// Configuration is a transport's struct of options.
type Configuration[C any] interface {
	WithDefaults() C
	Validate() error
}

// Config returns the configuration that a constructor was given, with its defaults. The
// error joins everything that is wrong with the group and the configurations; the
// transport returns it from Mount, so that [core.Registry.Start] reports it.
func Config[C Configuration[C]](group *echo.Group, given []C) (C, error) {
	var cfg C
	var errs []error
	if group == nil {
		errs = append(errs, errors.New("the group is nil"))
	}
	if len(given) > 1 {
		errs = append(errs, fmt.Errorf("more than one configuration is given (%d)", len(given)))
	}
	if len(given) > 0 {
		cfg = given[0]
	}
	cfg = cfg.WithDefaults()
	return cfg, errors.Join(append(errs, cfg.Validate())...)
}
