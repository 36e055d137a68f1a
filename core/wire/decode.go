package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Received is a message received by a client.
type Received struct {
	// Event is the binding's name, "" when the message concerns no binding in particular.
	// Params are a member's parameters as a JSON object, nil for none.
	Event  string
	Params json.RawMessage
	// Action says what the message does. Receivers ignore unknown actions: later servers
	// may have more.
	Action Action
	// Current says that a Sync only confirms the rows that the client holds ("ok"). It then
	// has no Rows.
	Current bool
	// Rows are JSON objects: whole rows of Sync, Create, Update and Page, and only the key
	// columns of Delete.
	Rows []json.RawMessage
	// Problem is the problem document of an Error.
	Problem Problem
	// Page and Pages number the pages of a Sync from 1; they are 0 for other messages.
	// Order names the fields that order the rows, on page 1 and if rows show them.
	Page, Pages int
	Order       []string
	// Version is the token of the version that the batch leads to. Modified is when that
	// version arose, the zero time when the server did not say.
	Version  string
	Modified time.Time
	// More says that the batch goes on: the receiver holds its messages until one comes
	// without More.
	More bool
	// Mark is the mark that a message with action Mark answers.
	Mark string
	// State is the state in a message with action State: "live" or "stale".
	State string
	// Replica is the additional data for followers, nil for others.
	Replica *Replica
}

// Problem holds the parts of a problem document (RFC 9457) that receivers need.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Errors describe the problems of single fields, or parameters, of a request.
	Errors []FieldError `json:"errors"`
}

// FieldError is a problem of one field or parameter.
type FieldError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// Error implements error.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return fmt.Sprintf("%d %s", p.Status, p.Title)
	}
	return fmt.Sprintf("%d %s: %s", p.Status, p.Title, p.Detail)
}

// MalformedError says why a message cannot be understood. The receiver does not apply the
// message, and requests all rows anew.
type MalformedError struct{ Detail string }

// Error returns the detail.
func (e *MalformedError) Error() string { return "wire: malformed message: " + e.Detail }

func malformed(format string, args ...any) error {
	return &MalformedError{fmt.Sprintf(format, args...)}
}

// message is a message's JSON. Its names are matched exactly, see fields.
type message struct {
	event, action, version, modified, mark string
	params, payload, order                 json.RawMessage
	page, pages                            int
	more                                   bool
	keys, places, replica                  json.RawMessage
}

// Decode reads one message. It ignores unknown fields, and the payload of unknown actions.
// The error is a [*MalformedError] when the message is not a JSON object, lacks a field
// that its action needs, or has a field of the wrong type. The result refers to raw, which
// the caller must not change.
func Decode(raw []byte) (Received, error) {
	m, err := parse(raw)
	if err != nil {
		return Received{}, err
	}
	r := Received{
		Event: m.event, Action: Action(m.action), Page: m.page, Pages: m.pages, Version: m.version, More: m.more, Mark: m.mark,
	}
	switch {
	case m.action == "":
		return Received{}, malformed("it has no action")
	case m.page < 0 || m.pages < 0:
		return Received{}, malformed("a page has a negative number")
	}
	if !isNull(m.params) {
		if m.params[0] != '{' {
			return Received{}, malformed("params is no object")
		}
		r.Params = m.params
	}
	if !isNull(m.order) {
		if err := json.Unmarshal(m.order, &r.Order); err != nil {
			return Received{}, malformed("order is no list of names")
		}
	}
	if m.modified != "" {
		if r.Modified, err = time.Parse(time.RFC3339Nano, m.modified); err != nil {
			return Received{}, malformed("last_modified is no time of RFC 3339")
		}
	}
	switch r.Action {
	case Sync, Create, Update, Delete, Page:
		err = r.takeRows(m)
	case State:
		var p struct{ State string }
		if json.Unmarshal(m.payload, &p) != nil || p.State == "" {
			err = malformed("the payload of state has none")
		}
		r.State = p.State
	case Error:
		if json.Unmarshal(m.payload, &r.Problem) != nil || isNull(m.payload) {
			err = malformed("the payload of an error is no problem document")
		}
	}
	return r, err
}

func (r *Received) takeRows(m message) error {
	switch {
	case r.Version == "":
		return malformed("%s without a version", r.Action)
	case r.Action == Sync && string(m.payload) == `"ok"`:
		r.Current = true
		return nil
	case isNull(m.payload) || json.Unmarshal(m.payload, &r.Rows) != nil:
		return malformed("the payload of %s is no list", r.Action)
	}
	for _, row := range r.Rows {
		if len(row) == 0 || row[0] != '{' {
			return malformed("a row of %s is no object", r.Action)
		}
	}
	if isNull(m.keys) {
		return nil
	}
	var err error
	r.Replica, err = decodeReplica(m, len(r.Rows))
	return err
}

// parse splits a message into its fields. Their names must match exactly: encoding/json
// would ignore case.
func parse(raw []byte) (message, error) {
	var m message
	into := map[string]any{
		"event": &m.event, "action": &m.action, "version": &m.version, "last_modified": &m.modified, "mark": &m.mark,
		"page": &m.page, "pages": &m.pages, "more": &m.more,
	}
	later := map[string]*json.RawMessage{
		"params": &m.params, "payload": &m.payload, "order": &m.order, "keys": &m.keys, "places": &m.places, "replica": &m.replica,
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if brace, err := dec.Token(); err != nil || brace != json.Delim('{') {
		return m, malformed("it is no JSON object")
	}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return m, malformed("it is no JSON object")
		}
		name, _ := token.(string) // the names of an object's members are strings
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return m, malformed("%q cannot be read", name)
		}
		if at, ok := later[name]; ok {
			*at = value
			continue
		}
		if at, ok := into[name]; ok {
			if err := json.Unmarshal(value, at); err != nil {
				return m, malformed("%q is of the wrong type", name)
			}
		}
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return m, malformed("it is no JSON object")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return m, malformed("something follows the object")
	}
	return m, nil
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }
