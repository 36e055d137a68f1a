package rest

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/transports/internal/problem"
)

// query is what the query of a list's URL asks for.
type query struct {
	paged bool
	window
	keyset bool   // the page begins behind a place, and not at an offset
	after  string // the place, "" for before all rows

	since string        // a version's token
	delta bool          // since was given
	wait  time.Duration // for something newer than that version
}

// The parameters of a list that are not a family's.
const (
	paramAfter  = "after"
	paramLimit  = "limit"
	paramOffset = "offset"
	paramSince  = "since"
	paramWait   = "wait"
)

// parseQuery reads the parameters of a list. Every one that has a bad value is an
// error that names it.
func (t *Transport) parseQuery(values map[string]string) (query, *problem.Problem) {
	q := query{window: window{limit: t.cfg.PageLimit}}
	if len(values) == 0 {
		return q, nil
	}
	var p *problem.Problem
	// In order of name, so that the same request gets the same answer.
	for _, name := range slices.Sorted(maps.Keys(values)) {
		text := values[name]
		switch name {
		case paramAfter:
			q.paged, q.keyset = true, true
			q.after, p = parseCursor(text)
		case paramLimit:
			q.paged = true
			q.limit, p = number(name, text, 1, t.cfg.MaxPageLimit)
		case paramOffset:
			q.paged = true
			q.offset, p = number(name, text, 0, math.MaxInt)
			q.offset = min(q.offset, maxOffset)
		case paramSince:
			q.delta = true
			if q.since = text; text == "" {
				p = problem.BadParameter(name, "must be a version's token")
			}
		case paramWait:
			var seconds int
			seconds, p = number(name, text, 0, math.MaxInt)
			q.wait = time.Duration(min(seconds, maxWaitSeconds)) * time.Second
		}
		if p != nil {
			return q, p
		}
	}
	if q.delta && q.paged {
		return q, problem.BadParameter(paramSince, "does not go with limit, offset or after")
	}
	if _, also := values[paramOffset]; also && q.keyset {
		return q, problem.BadParameter(paramOffset, "does not go with after")
	}
	if _, waits := values[paramWait]; waits && !q.delta {
		return q, problem.BadParameter(paramWait, "goes with since")
	}
	return q, nil
}

// noParameters refuses every parameter that is not a family's.
func noParameters(values map[string]string) *problem.Problem {
	if len(values) == 0 {
		return nil
	}
	return problem.BadParameter(slices.Sorted(maps.Keys(values))[0], "is not known here")
}

// parameters parses a query into the resource's own parameters, none of which may
// be repeated, and the arguments that name a family's member.
func parameters(raw string, own []string) (values map[string]string, args core.Args, p *problem.Problem) {
	if raw == "" {
		return nil, nil, nil
	}
	parsed, err := url.ParseQuery(raw)
	if err != nil {
		return nil, nil, problem.MalformedQuery("the query is malformed")
	}
	values = make(map[string]string)
	for _, name := range own {
		given, ok := parsed[name]
		if len(given) > 1 {
			return nil, nil, problem.BadParameter(name, "must not be repeated")
		}
		if ok {
			values[name] = given[0]
			delete(parsed, name)
		}
	}
	return values, core.QueryArgs(parsed), nil
}

// maxOffset stands for every offset beyond it: it is behind the end of every
// list, and the arithmetic of pages does not overflow, also with ints of 32
// bits.
const maxOffset = 1 << 30

// maxWaitSeconds stands for every wait beyond it: a day, which no Config.MaxWait
// is likely to allow.
const maxWaitSeconds = 24 * 60 * 60

// number reads a number of digits alone. One that is too large for an int is
// taken for the largest.
func number(name, text string, lowest, highest int) (int, *problem.Problem) {
	n, err := strconv.Atoi(text)
	if errors.Is(err, strconv.ErrRange) {
		n, err = math.MaxInt, nil
	}
	if err == nil && strings.Trim(text, "0123456789") == "" && n >= lowest && n <= highest {
		return n, nil
	}
	if highest == math.MaxInt {
		return 0, problem.BadParameter(name, fmt.Sprintf("must be a whole number of at least %d", lowest))
	}
	return 0, problem.BadParameter(name, fmt.Sprintf("must be a whole number from %d to %d", lowest, highest))
}
