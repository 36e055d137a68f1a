package reading

import (
	"strconv"
	"strings"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/transports/rest/internal/exchange"
	"github.com/binderyhq/bindery/transports/rest/internal/request"
)

// Caching tells caches what they may keep. See [NewCaching].
type Caching struct {
	// Vary is the Vary header of answers.
	Vary []string

	everybody map[string][]string // Cache-Control by binding, "" for the others
	personal  map[string][]string // the same, of answers for one client
	maxAge    time.Duration       // of changes in caches that clients share; 0: they keep none
	shared    []string            // Cache-Control of such changes
}

// varyMark is the Vary header where caches may give stored answers without asking:
// whether they may give one depends on the mark of the request.
var varyMark = []string{"Accept-Encoding, " + request.HeaderMark}

// NewCaching returns the headers of answers. texts is the Cache-Control by name of the
// binding, and byDefault that of all others. maxAge is how long caches that several
// clients share may keep changes; with 0 they may not.
func NewCaching(texts map[string]string, byDefault string, maxAge time.Duration) Caching {
	c := Caching{
		Vary:      exchange.VaryEncoding,
		everybody: map[string][]string{}, personal: map[string][]string{},
		maxAge: maxAge, shared: []string{"public, max-age=" + strconv.FormatInt(int64(maxAge/time.Second), 10)},
	}
	if maxAge > 0 || len(texts) > 0 {
		c.Vary = varyMark
	}
	c.set("", byDefault)
	if maxAge > 0 {
		// This is for everybody's answers: nobody shares those of one client.
		c.everybody[""] = []string{"public, max-age=1"}
	}
	for name, text := range texts {
		c.set(name, text)
	}
	return c
}

func (c *Caching) set(name, text string) {
	c.everybody[name] = []string{text}
	if !namesAudience(text) {
		text = "private, " + text
	}
	c.personal[name] = []string{text}
}

// Of returns the Cache-Control of lists, pages and rows that the grant shows.
func (c *Caching) Of(g *core.Grant) []string {
	texts := c.everybody
	if g.Personal() {
		texts = c.personal
	}
	if text, ok := texts[g.View().Name()]; ok {
		return text
	}
	return texts[""]
}

// OfChanges returns the Cache-Control of the changes between two versions.
func (c *Caching) OfChanges(g *core.Grant) []string {
	if c.maxAge > 0 && !g.Personal() {
		// The changes from one version to another are the same whenever somebody
		// asks for them.
		return c.shared
	}
	return exchange.NoStore
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
