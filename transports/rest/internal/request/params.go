package request

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
	"github.com/binderyhq/bindery/transports/rest/internal/paging"
)

// The query parameters that do not name a family's member.
const (
	ParamAfter  = "after"
	ParamLimit  = "limit"
	ParamOffset = "offset"
	ParamSince  = "since"
	ParamWait   = "wait"
	ParamMark   = "mark"
)

// List says what the query of a list's URL asks for. It asks for the whole list if
// neither Paged nor Changes is set.
type List struct {
	Paged bool
	paging.Window
	Cursor bool         // the page begins after a row, and Offset is 0
	After  paging.Place // of that row

	Changes bool          // since a version
	Since   string        // the version's token
	Wait    time.Duration // for something newer than that version
}

// Limits bound the pages of lists, in rows.
type Limits struct {
	Default int // of a page whose request names no limit
	Max     int // a request for more is refused
}

// Parameters splits a raw query into the parameters with the names given, and the
// arguments that name a family's member. It refuses a query in which one of the
// named parameters is repeated.
func Parameters(raw string, names []string) (values map[string]string, args core.Args, p *problem.Problem) {
	if raw == "" {
		return nil, nil, nil
	}
	parsed, err := url.ParseQuery(raw)
	if err != nil {
		return nil, nil, problem.MalformedQuery("the query is malformed")
	}
	values = make(map[string]string)
	for _, name := range names {
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

// ParseList reads the parameters of a list. A problem names the first parameter with
// a bad value, in order of their names.
func ParseList(values map[string]string, limits Limits) (List, *problem.Problem) {
	q := List{Window: paging.Window{Limit: limits.Default}}
	if len(values) == 0 {
		return q, nil
	}
	var p *problem.Problem
	for _, name := range slices.Sorted(maps.Keys(values)) {
		text := values[name]
		switch name {
		case ParamAfter:
			q.Paged, q.Cursor = true, true
			var ok bool
			if q.After, ok = paging.ParseCursor(text); !ok {
				p = problem.BadParameter(name, "must be empty, or taken from a link to the next page")
			}
		case ParamLimit:
			q.Paged = true
			q.Limit, p = number(name, text, 1, limits.Max)
		case ParamOffset:
			q.Paged = true
			q.Offset, p = number(name, text, 0, math.MaxInt)
			q.Offset = min(q.Offset, maxOffset)
		case ParamSince:
			q.Changes = true
			if q.Since = text; text == "" {
				p = problem.BadParameter(name, "must be a version's token")
			}
		case ParamWait:
			var seconds int
			seconds, p = number(name, text, 0, math.MaxInt)
			q.Wait = time.Duration(min(seconds, maxWaitSeconds)) * time.Second
		}
		if p != nil {
			return q, p
		}
	}
	if q.Changes && q.Paged {
		return q, problem.BadParameter(ParamSince, "does not go with limit, offset or after")
	}
	if _, also := values[ParamOffset]; also && q.Cursor {
		return q, problem.BadParameter(ParamOffset, "does not go with after")
	}
	if _, waits := values[ParamWait]; waits && !q.Changes {
		return q, problem.BadParameter(ParamWait, "goes with since")
	}
	return q, nil
}

// NoParameters refuses all parameters that do not name a family's member.
func NoParameters(values map[string]string) *problem.Problem {
	if len(values) == 0 {
		return nil
	}
	return problem.BadParameter(slices.Sorted(maps.Keys(values))[0], "is not known here")
}

// maxOffset replaces every larger offset. No list is that long, and sums of offsets
// and limits do not overflow an int of 32 bits.
const maxOffset = 1 << 30

// maxWaitSeconds replaces every longer wait: it is a day, and the transport bounds
// waits further.
const maxWaitSeconds = 24 * 60 * 60

// number reads a number that consists of digits alone. It takes a number that is too
// large for an int as the largest int.
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
