package rest

import (
	"errors"
	"fmt"
	"net/netip"
	"net/textproto"
	"strings"
	"time"

	"github.com/binderyhq/bindery/transports/rest/internal/prefix"
)

// The defaults of [Config].
const (
	DefaultCacheControl = "no-cache"
	DefaultPageLimit    = 100
	DefaultMaxPageLimit = 1000
	DefaultMaxWait      = time.Minute
	DefaultMaxWaiting   = 1000
	DefaultMinCompress  = 1024
	DefaultMaxBody      = 1 << 20
	DefaultBodyTimeout  = 10 * time.Second
	DefaultWriteTimeout = 10 * time.Second
	DefaultLoadWait     = 5 * time.Second
)

// DefaultMarkWait is how long a request is held for a mark that the binding has not
// reached, unless the request names another time (Prefer: wait).
const DefaultMarkWait = 5 * time.Second

// Config tunes a [Transport]. In each field zero means the default.
type Config struct {
	// CacheControl is the Cache-Control header of answers by name of the binding. The
	// entry "" is for bindings without an entry of their own. The default is
	// [DefaultCacheControl]: caches may keep answers but must ask each time, which
	// costs a 304. Some caches (nginx, Varnish) keep only answers with a max-age above
	// 0.
	//
	// If the registry has an authorizer, answers also say "private", unless the text
	// says "private", "public" or "no-store". Caches that several clients share then
	// keep nothing. Say "public" only if the authorizer shows everybody the same.
	CacheControl map[string]string

	// SharedMaxAge is how long caches that several clients share (a CDN, nginx,
	// Varnish) may keep answers to "?since=" with changes, in full seconds. The cache
	// then answers clients that poll, and this program answers one poll for each version.
	// Lists, pages and rows become "public, max-age=1", unless CacheControl says
	// otherwise. If the registry has an authorizer nothing is shared. The default, 0,
	// shares nothing.
	SharedMaxAge time.Duration

	// LoadWait bounds how long a request waits for the rows of a family's member, or of
	// an authorizer's scope, that was opened for it. Then the answer is 503. The
	// default is [DefaultLoadWait]; negative means not to wait. Requests never wait for
	// other bindings, which load at start.
	LoadWait time.Duration

	// PageLimit is the number of rows in a page whose request names an offset but no
	// limit. The default is [DefaultPageLimit], or MaxPageLimit if that is less.
	PageLimit int

	// MaxPageLimit is the highest limit that a request may name; a higher one is a 400.
	// The default is [DefaultMaxPageLimit].
	MaxPageLimit int

	// MaxWait bounds how long a request with "Prefer: wait" is held; a request that asks
	// for more is held that long. The default is [DefaultMaxWait]; negative means that no
	// request is held. If the HTTP server has a WriteTimeout, it counts from the end of
	// the wait.
	MaxWait time.Duration

	// MaxWaiting bounds how many requests are held at the same time. Further requests
	// are answered at once, as if they had not asked to wait. The default is
	// [DefaultMaxWaiting]; negative means that no request is held.
	MaxWaiting int

	// BasePath is the prefix, such as "/shop", that a proxy or [http.StripPrefix] strips
	// from the paths of requests. It is added to the paths in Link, Location and
	// Content-Location. The default is none.
	BasePath string

	// TrustedProxies are the networks of the proxies whose X-Forwarded-Prefix takes the
	// place of BasePath. The address at the other end of the connection decides.
	// The default is none, because whoever can set that header decides where links lead.
	TrustedProxies []netip.Prefix

	// MinCompress is the length of the shortest body that is compressed, in bytes. The
	// default is [DefaultMinCompress]; negative means that nothing is compressed.
	MinCompress int

	// MaxBody is the length of the longest body of a write, in bytes; a longer one is a
	// 413. The default is [DefaultMaxBody].
	MaxBody int64

	// BodyTimeout bounds the time from a request's header to the end of its body. A
	// request that takes longer gets a 408, and its connection is closed. The default is
	// [DefaultBodyTimeout]. If the HTTP server has a shorter ReadTimeout, that counts.
	BodyTimeout time.Duration

	// WriteTimeout bounds a write from the end of its body: the transaction, and the
	// wait until the binding shows it. A transaction that takes longer is rolled back
	// and answered with 503. The default is [DefaultWriteTimeout].
	WriteTimeout time.Duration
}

// WithDefaults returns a copy with the default in every zero field.
func (c Config) WithDefaults() Config {
	if c.MaxPageLimit == 0 {
		c.MaxPageLimit = DefaultMaxPageLimit
	}
	if c.PageLimit == 0 {
		c.PageLimit = min(DefaultPageLimit, c.MaxPageLimit)
	}
	if c.MaxWait == 0 {
		c.MaxWait = DefaultMaxWait
	}
	if c.MaxWaiting == 0 {
		c.MaxWaiting = DefaultMaxWaiting
	}
	if c.MinCompress == 0 {
		c.MinCompress = DefaultMinCompress
	}
	if c.MaxBody == 0 {
		c.MaxBody = DefaultMaxBody
	}
	if c.LoadWait == 0 {
		c.LoadWait = DefaultLoadWait
	}
	if c.BodyTimeout == 0 {
		c.BodyTimeout = DefaultBodyTimeout
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = DefaultWriteTimeout
	}
	return c
}

// Validate returns everything that is wrong with the configuration.
func (c Config) Validate() error {
	c = c.WithDefaults()
	var errs []error
	for name, text := range c.CacheControl {
		if text != textproto.TrimString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			errs = append(errs, fmt.Errorf("config: CacheControl of %q: %q is not the value of a header", name, text))
		}
	}
	if !prefix.Valid(c.BasePath) {
		errs = append(errs, fmt.Errorf("config: BasePath %q is no path that begins with a slash and does not end with one", c.BasePath))
	}
	for i, network := range c.TrustedProxies {
		if !network.IsValid() {
			errs = append(errs, fmt.Errorf("config: TrustedProxies: number %d is no network", i+1))
		}
	}
	if c.MaxPageLimit < 1 {
		errs = append(errs, fmt.Errorf("config: MaxPageLimit %d is not positive", c.MaxPageLimit))
	}
	if c.PageLimit < 1 || c.PageLimit > c.MaxPageLimit {
		errs = append(errs, fmt.Errorf("config: PageLimit %d is not between 1 and MaxPageLimit (%d)", c.PageLimit, c.MaxPageLimit))
	}
	if c.MaxBody < 1 {
		errs = append(errs, fmt.Errorf("config: MaxBody %d is not positive", c.MaxBody))
	}
	if c.BodyTimeout < 0 {
		errs = append(errs, fmt.Errorf("config: BodyTimeout %v is negative", c.BodyTimeout))
	}
	if c.SharedMaxAge < 0 || c.SharedMaxAge%time.Second != 0 {
		errs = append(errs, fmt.Errorf("config: SharedMaxAge %v is no number of full seconds", c.SharedMaxAge))
	}
	if c.WriteTimeout < 0 {
		errs = append(errs, fmt.Errorf("config: WriteTimeout %v is negative", c.WriteTimeout))
	}
	return errors.Join(errs...)
}
