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

	"github.com/binderyhq/bindery/transports/internal/problem"
)

// query is what the query of a list's URL asks for.
type query struct {
	paged bool
	window
	since string // a version's token
	delta bool   // since was given
}

// parseQuery reads the parameters of a list. Every parameter that is unknown,
// repeated or has a bad value is an error that names it.
func (t *Transport) parseQuery(raw string) (query, *problem.Problem) {
	q := query{window: window{limit: t.cfg.PageLimit}}
	values, p := parameters(raw)
	if p != nil || len(values) == 0 {
		return q, p
	}
	// In order of name, so that the same request gets the same answer.
	for _, name := range slices.Sorted(maps.Keys(values)) {
		text := values[name]
		switch name {
		case "limit":
			q.paged = true
			q.limit, p = number(name, text, 1, t.cfg.MaxPageLimit)
		case "offset":
			q.paged = true
			q.offset, p = number(name, text, 0, math.MaxInt)
			q.offset = min(q.offset, maxOffset)
		case "since":
			q.delta = true
			if q.since = text; text == "" {
				p = problem.BadParameter(name, "must be a version's token")
			}
		default:
			p = unknownParameter(name)
		}
		if p != nil {
			return q, p
		}
	}
	if q.delta && q.paged {
		return q, problem.BadParameter("since", "does not go with limit or offset")
	}
	return q, nil
}

// noParameters refuses every parameter.
func noParameters(raw string) *problem.Problem {
	values, p := parameters(raw)
	if p != nil || len(values) == 0 {
		return p
	}
	return unknownParameter(slices.Sorted(maps.Keys(values))[0])
}

func unknownParameter(name string) *problem.Problem {
	return problem.BadParameter(name, "is not known here")
}

// parameters parses a query in which no name may be repeated.
func parameters(raw string) (map[string]string, *problem.Problem) {
	if raw == "" {
		return nil, nil
	}
	parsed, err := url.ParseQuery(raw)
	if err != nil {
		return nil, problem.MalformedQuery("the query is malformed")
	}
	values := make(map[string]string, len(parsed))
	for _, name := range slices.Sorted(maps.Keys(parsed)) {
		if len(parsed[name]) > 1 {
			return nil, problem.BadParameter(name, "must not be repeated")
		}
		values[name] = parsed[name][0]
	}
	return values, nil
}

// maxOffset stands for every offset beyond it: it is behind the end of every
// list, and the arithmetic of pages does not overflow, also with ints of 32
// bits.
const maxOffset = 1 << 30

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
