package rest

import (
	"errors"
	"fmt"
	"net/netip"
	"net/textproto"
	"strings"
	"time"
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

// Config tunes a [Transport]. The zero value of each field means its default.
type Config struct {
	// CacheControl is the Cache-Control header of answers by name of the
	// binding; the entry "" is for bindings without one of their own. The
	// default is [DefaultCacheControl]: caches may keep answers and must ask
	// each time, which costs a 304. Some caches (nginx, Varnish) keep only what
	// has a max-age above 0.
	//
	// Where the registry has an authorizer, "private" is put in front, unless
	// "private", "public" or "no-store" is there already: caches that several
	// clients share then keep nothing. To say "public" is to promise that the
	// authorizer shows everybody the same.
	CacheControl map[string]string

	// SharedMaxAge is how long caches that several clients share (a CDN, nginx,
	// Varnish) may keep answers to "?since=" that tell of something new, in full
	// seconds: clients that poll are then answered by the cache, one of each version
	// by this program. Lists, pages and rows become "public, max-age=1", unless
	// CacheControl says otherwise. Where the registry has an authorizer nothing is
	// shared. The default, 0, shares nothing.
	SharedMaxAge time.Duration

	// LoadWait bounds how long a request waits for the rows of a family's
	// member, or of a scope, that has come alive with it. After that it is
	// answered with 503. The default is [DefaultLoadWait]; negative means not
	// to wait. Other bindings, which load at start, are never waited for.
	LoadWait time.Duration

	// PageLimit is the number of rows in a page whose request has an offset
	// and no limit. The default is [DefaultPageLimit], or MaxPageLimit where
	// that is less.
	PageLimit int

	// MaxPageLimit is the highest limit that a request may name; a higher one
	// is a 400. The default is [DefaultMaxPageLimit].
	MaxPageLimit int

	// MaxWait bounds how long a request with "Prefer: wait" is held. A request
	// that would wait longer is held that long. The default is
	// [DefaultMaxWait]; negative means that no request is held. Where the HTTP
	// server has a WriteTimeout, it counts from the end of the waiting.
	MaxWait time.Duration

	// MaxWaiting bounds the requests that are held at the same time. Those
	// beyond it are answered at once, as if they had not asked to wait. The
	// default is [DefaultMaxWaiting]; negative means that no request is held.
	MaxWaiting int

	// BasePath stands in front of the paths in Link, Location and
	// Content-Location, where a proxy or [http.StripPrefix] takes it off
	// requests: "/shop", for example. The default is none.
	BasePath string

	// TrustedProxies are the networks of proxies whose X-Forwarded-Prefix takes
	// the place of BasePath. It counts whose connection a request comes over.
	// The default is none: whoever may set the header decides where links lead.
	TrustedProxies []netip.Prefix

	// MinCompress is the length of the shortest body that is compressed, in
	// bytes. The default is [DefaultMinCompress]; negative means that nothing
	// is compressed.
	MinCompress int

	// MaxBody is the length of the longest body of a write, in bytes; a longer
	// one is a 413. The default is [DefaultMaxBody].
	MaxBody int64

	// BodyTimeout bounds how long the body of a request is waited for, from when
	// its header was read. One that takes longer is a 408, and its connection is
	// closed. The default is [DefaultBodyTimeout]. Where the HTTP server has a
	// shorter ReadTimeout, that counts.
	BodyTimeout time.Duration

	// WriteTimeout bounds a write from when its body was read: the transaction,
	// and the wait until the binding shows it. A transaction that takes longer
	// is rolled back and answered with 503. The default is
	// [DefaultWriteTimeout].
	WriteTimeout time.Duration
}

// WithDefaults returns a copy in which every zero field has its default.
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
	if !isBasePath(c.BasePath) {
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

// cacheControl returns the header values by binding: those of answers for
// everybody, and those of answers for one client alone.
func (c Config) cacheControl() (values [2]map[string][]string) {
	values = [2]map[string][]string{{}, {}}
	set := func(name, text string) {
		values[0][name] = []string{text}
		if !namesAudience(text) {
			text = "private, " + text
		}
		values[1][name] = []string{text}
	}
	set("", DefaultCacheControl)
	if c.SharedMaxAge > 0 {
		// Of one client alone nothing is shared, whatever is said of the others.
		values[0][""] = []string{"public, max-age=1"}
	}
	for name, text := range c.CacheControl {
		set(name, text)
	}
	return values
}

// namesAudience reports whether a Cache-Control says who may keep the answer.
func namesAudience(text string) bool {
	for directive := range strings.SplitSeq(text, ",") {
		switch strings.ToLower(strings.TrimSpace(directive)) {
		case "private", "public", "no-store":
			return true
		}
	}
	return false
}
