package session

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/transports/internal/problem"
)

// Request is one request of a client.
type Request struct {
	event      string
	version    string
	page       int     // 0: not a look at a page
	mark       *string // nil: not a question about a mark
	disconnect bool
	params     map[string]json.RawMessage
	said       []byte // params as the client spelled them, on one line; nil for none
}

// Event returns the name of the binding that the request is about, "" when it
// names none.
func (r Request) Event() string { return r.event }

// subject returns the binding and parameters of the request as the client spelled them.
func (r Request) subject() wire.Subject { return wire.Subject{Binding: r.event, Params: r.said} }

// Decode reads a message that names its event in a field. Together with a problem it
// returns the parts of the request that name the event. It ignores unknown fields, and
// known fields that are null.
func Decode(msg []byte) (Request, *problem.Problem) {
	var r Request
	// Not into a struct: its fields would also take names in other case.
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(msg, &fields); err != nil || fields == nil {
		return r, problem.MalformedMessage("not a JSON object")
	}
	p := r.take(fields, true)
	return r, p
}

// DecodeArgument reads a request for a known event from an argument: an object, or nil or
// null for none. It ignores a field that names an event.
func DecodeArgument(event string, arg []byte) (Request, *problem.Problem) {
	r := Request{event: event}
	var fields map[string]json.RawMessage
	if len(arg) > 0 {
		if err := json.Unmarshal(arg, &fields); err != nil {
			return r, problem.MalformedMessage("the argument is not a JSON object")
		}
	}
	p := r.take(fields, false)
	return r, p
}

// take reads the fields. If named, a field names the event.
func (r *Request) take(fields map[string]json.RawMessage, named bool) *problem.Problem {
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
	if named { // first, since an error about another field bears it
		if p := take("event", "a string", &r.event); p != nil {
			return p
		}
	}
	var page *int
	for _, f := range []struct {
		name, kind string
		into       any
	}{
		{"version", "a string", &r.version},
		{"page", "an integer", &page},
		{"mark", "a string", &r.mark},
		{"disconnect", "true or false", &r.disconnect},
		{"params", "an object", &r.params},
	} {
		if p := take(f.name, f.kind, f.into); p != nil {
			return p
		}
	}
	if len(r.params) > 0 {
		var line bytes.Buffer
		if err := json.Compact(&line, fields["params"]); err == nil { // it has been decoded
			r.said = line.Bytes()
		}
	}
	if r.event == "" {
		return problem.MalformedMessage(`field "event": names no binding`)
	}
	if page != nil {
		if *page < 1 {
			return problem.BadParameter("page", "pages are counted from 1")
		}
		r.page = *page
	}
	return nil
}
