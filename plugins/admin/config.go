package admin

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

// Config says who may use the plugin, and tunes it. Token or Guard is required;
// the zero value of each other field means its default.
type Config struct {
	// Token is the secret that requests must send. It is printable ASCII without
	// spaces. Make it from at least 16 random bytes, because nothing slows down
	// guesses.
	Token string

	// Guard is middleware of the application that lets operators in and answers
	// everybody else. It runs before the token is checked. Without a Token it decides
	// alone. Requests that change something must then also come from the page's own
	// origin, except those with "Authorization: Bearer", which no page of another
	// origin can send unasked.
	Guard echo.MiddlewareFunc

	// Hosts are the names by which the admin is reached, without ports: "localhost",
	// "127.0.0.1", "ops.example". Requests with another Host get 421. Set it if Guard goes
	// by the client's address: a page can have its own name resolve to that of the admin
	// (DNS rebinding), and the operator's browser then takes both for one origin. A token,
	// and cookies of a login, are not sent to such a name. The default is any host.
	Hosts []string

	// Timeout bounds an operation (sync, clear, verify, explain). The default is
	// one minute.
	Timeout time.Duration

	// Every is how often a live stream sends the status. The default is one second. A
	// status that takes long to build is sent less often, so that streams use at most a
	// tenth of one CPU each.
	Every time.Duration

	// MaxStreams bounds the live streams that are open at a time. The default
	// is 16.
	MaxStreams int
}

// WithDefaults returns a copy in which every zero field has its default.
func (c Config) WithDefaults() Config {
	if c.Timeout == 0 {
		c.Timeout = time.Minute
	}
	if c.Every == 0 {
		c.Every = time.Second
	}
	if c.MaxStreams == 0 {
		c.MaxStreams = 16
	}
	return c
}

// ErrNoGuard means that neither a token nor a guard is configured.
var ErrNoGuard = errors.New("admin: nothing guards it: set Config.Token or Config.Guard")

// Validate returns every error in the configuration, including [ErrNoGuard].
func (c Config) Validate() error {
	var errs []error
	if c.Token == "" && c.Guard == nil {
		errs = append(errs, ErrNoGuard)
	}
	if strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		errs = append(errs, errors.New("admin: Config.Token has characters other than printable ASCII without spaces"))
	}
	for _, host := range c.Hosts {
		if host == "" || strings.ContainsAny(host, "/[]* ") || strings.Contains(host, ":") && net.ParseIP(host) == nil {
			errs = append(errs, fmt.Errorf("admin: Config.Hosts has %q: want a name or an address, without port", host))
		}
	}
	for name, d := range map[string]time.Duration{"Timeout": c.Timeout, "Every": c.Every} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("admin: Config.%s is negative: %s", name, d))
		}
	}
	if c.MaxStreams < 0 {
		errs = append(errs, fmt.Errorf("admin: Config.MaxStreams is negative: %d", c.MaxStreams))
	}
	return errors.Join(errs...)
}
