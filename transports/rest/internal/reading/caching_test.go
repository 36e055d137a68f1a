package reading

import (
	"context"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/transports/rest/internal/resttest"
)

// Who may keep an answer depends on the configuration, and on whether an authorizer
// decides what the client sees.
func TestCaching(t *testing.T) {
	for _, c := range []struct {
		name               string
		texts              map[string]string
		maxAge             time.Duration
		everybody, changes string // Cache-Control without an authorizer
		personal           string // and with one; changes are then never kept
		vary               string
	}{
		{"defaults", nil, 0, "no-cache", "no-store", "private, no-cache", "Accept-Encoding"},
		{"shared", nil, time.Minute, "public, max-age=1", "public, max-age=60", "private, no-cache", "Accept-Encoding, Bindery-Mark"},
		{"of all", map[string]string{"": "max-age=5"}, 0, "max-age=5", "no-store", "private, max-age=5", "Accept-Encoding, Bindery-Mark"},
		{"of one", map[string]string{"products": "public, max-age=5"}, 0, "public, max-age=5", "no-store", "public, max-age=5", "Accept-Encoding, Bindery-Mark"},
		{"of another", map[string]string{"other": "max-age=5"}, time.Second, "public, max-age=1", "public, max-age=1", "private, no-cache", "Accept-Encoding, Bindery-Mark"},
	} {
		caching := NewCaching(c.texts, "no-cache", c.maxAge)
		if caching.Vary[0] != c.vary {
			t.Errorf("%s: Vary %s", c.name, caching.Vary)
		}
		for _, authorizer := range []core.Authorizer{nil, core.AuthorizerFunc(func(context.Context, core.Access) (core.Decision, error) { return core.Allow(), nil })} {
			wanted, changes := c.everybody, c.changes
			if authorizer != nil {
				wanted, changes = c.personal, "no-store"
			}
			s := resttest.NewShop(t, 1, authorizer, nil)
			g, err := s.Reg.Open(t.Context(), "products", nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := caching.Of(g)[0]; got != wanted {
				t.Errorf("%s, personal %v: %q, want %q", c.name, g.Personal(), got, wanted)
			}
			if got := caching.OfChanges(g)[0]; got != changes {
				t.Errorf("%s, personal %v: changes %q, want %q", c.name, g.Personal(), got, changes)
			}
			g.Close()
		}
	}
}
