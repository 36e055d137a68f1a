package admin

import (
	"context"
	"net/url"
	"strings"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// keyOf parses a key as [driver.Key.String] formats it: its columns joined by commas,
// each percent-encoded. A part that is not valid encoding stands for itself, because
// people type it.
func keyOf(schema driver.Schema, text string) (driver.Key, error) {
	parts := strings.Split(text, ",")
	if len(schema.Key) == 1 {
		parts = []string{text} // a comma is part of it, encoded or not
	}
	for i, part := range parts {
		if plain, err := url.PathUnescape(part); err == nil {
			parts[i] = plain
		}
	}
	return schema.ParseKey(parts...)
}

// hold returns the one selected binding, even if it has not loaded: explain then says
// so.
func (p *Plugin) hold(ctx context.Context, s selection) (*live.View, func(), error) {
	if len(s.args) == 0 {
		if v, ok := p.reg.Lookup(s.name); ok {
			return v, func() {}, nil
		}
	}
	return p.reg.Hold(ctx, s.name, core.QueryArgs(s.args))
}
