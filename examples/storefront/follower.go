package main

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/sources/followsource"
)

// newFollower assembles a shop that serves what another one has: same rows, same
// tokens, read-only. It has no database.
func newFollower(s settings) (*shop, error) {
	for flag, said := range map[string]string{"-db": s.dsn, "-nats": s.nats, "-warm": s.warm} {
		if said != "" {
			return nil, fmt.Errorf("storefront: -follow and %s exclude each other: a follower has no database", flag)
		}
	}
	address, err := url.Parse(s.follow)
	if err == nil && (address.Host == "" || address.Scheme != "http" && address.Scheme != "https") {
		err = errors.New("want http://HOST:PORT/")
	}
	if err != nil {
		return nil, fmt.Errorf("storefront: -follow %q: %w", s.follow, err)
	}
	origin := followsource.New(address.JoinPath("events").String())
	reg := core.NewRegistry()
	reg.Add(
		followsource.Bind[Product](origin, "products"),
		followsource.Bind[Product](origin, "everything"),
		followsource.Bind[Product](origin, "cheapest"),
		followsource.BindFamily[Product](origin, "shelf", core.Where(ofVenue())),
		followsource.Bind[Venue](origin, "venues"),
	)
	return serve(reg, s), nil
}
