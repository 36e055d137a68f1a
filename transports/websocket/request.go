package websocket

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/internal/wire"
)

// request is one message of a client.
type request struct {
	event      string
	version    string
	page       int // 0: not a look at a page
	disconnect bool
	params     map[string]json.RawMessage
	said       []byte // params as the client spelled them, on one line; nil for none
}

// subject is what the request is about, in the client's own words.
func (r request) subject() wire.Subject { return wire.Subject{Binding: r.event, Params: r.said} }

// decodeRequest reads a client's message. With the problem it returns as much of
// the request as says which event it is about. Fields that are not known are
// ignored, and so are known ones that are null.
func decodeRequest(msg []byte) (request, *problem.Problem) {
	var r request
	// Not into a struct: its fields would also take names in other case.
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(msg, &fields); err != nil || fields == nil {
		return r, problem.MalformedMessage("not a JSON object")
	}
	take := func(name, kind string, into any) *problem.Problem {
		raw, ok := fields[name]
		if !ok {
			return nil
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return problem.MalformedMessage("field " + strconv.Quote(name) + ": must be " + kind)
		}
		return nil
	}
	var page *int
	// The event comes first: an error about another field bears it.
	for _, f := range []struct {
		name, kind string
		into       any
	}{
		{"event", "a string", &r.event},
		{"version", "a string", &r.version},
		{"page", "an integer", &page},
		{"disconnect", "true or false", &r.disconnect},
		{"params", "an object", &r.params},
	} {
		if p := take(f.name, f.kind, f.into); p != nil {
			return r, p
		}
	}
	if len(r.params) > 0 {
		var line bytes.Buffer
		if err := json.Compact(&line, fields["params"]); err == nil { // it has been decoded
			r.said = line.Bytes()
		}
	}
	if r.event == "" {
		return r, problem.MalformedMessage(`field "event": names no binding`)
	}
	if page != nil {
		if *page < 1 {
			return r, problem.BadParameter("page", "pages are counted from 1")
		}
		r.page = *page
	}
	return r, nil
}
