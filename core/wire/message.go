package wire

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/binderyhq/bindery/core/live"
)

// Action says what a message does.
type Action string

// The actions of messages.
const (
	Sync   Action = "sync"   // replaces all rows, or confirms those that the client has
	Create Action = "create" // rows that came
	Update Action = "update" // rows that changed
	Delete Action = "delete" // keys of rows that went
	Page   Action = "page"   // one page, requested without following the binding
	Leave  Action = "leave"  // the client has left
	Mark   Action = "mark"   // the messages sent so far include everything that a mark covers
	Error  Action = "error"  // a problem
	State  Action = "state"  // how current the binding is; for followers
)

// Message is one encoded message: a JSON object on one line. Its bytes are
// shared and must not be modified.
type Message struct {
	Action Action
	JSON   []byte
}

// Subject is the binding, or the family's member, that a message is about.
type Subject struct {
	// Binding is the binding's name, "" for none in particular.
	Binding string
	// Params are the member's parameters as a JSON object on one line, nil for none.
	// Answers repeat the client's spelling.
	Params []byte
}

// SubjectOf returns the subject of the binding.
func SubjectOf(v *live.View) Subject {
	s := Subject{Binding: v.Name()}
	if params := v.Params(); params != nil {
		var err error
		if s.Params, err = params.MarshalJSON(); err != nil { // names and values always marshal
			panic("wire: encoding parameters: " + err.Error())
		}
	}
	return s
}

// open starts a message about the subject, up to the value of its action.
func (s Subject) open() []byte {
	b := []byte{'{'}
	if s.Binding != "" {
		b = append(append(append(b, `"event":`...), quote(s.Binding)...), ',')
	}
	if s.Params != nil {
		b = append(append(append(b, `"params":`...), s.Params...), ',')
	}
	return append(b, `"action":"`...)
}

// ErrorMessage encodes a problem with the subject: a problem document (RFC 9457) as
// a JSON object on one line.
func ErrorMessage(s Subject, problem []byte) Message {
	b := append(append(s.open(), `error","payload":`...), problem...)
	return Message{Error, append(b, '}')}
}

// LeaveMessage confirms that the client has left the subject.
func LeaveMessage(s Subject) Message { return Message{Leave, append(s.open(), `leave"}`...)} }

// MarkMessage says that the stream about the subject, now at the version, shows everything
// that the mark covers.
func MarkMessage(s Subject, mark string, version live.Version) Message {
	b := append(append(append(s.open(), `mark","mark":`...), quote(mark)...), ',')
	return Message{Mark, append(appendVersion(b, version), '}')}
}

// MarkErrorMessage encodes a problem document (RFC 9457) about a mark that the client asked
// about.
func MarkErrorMessage(s Subject, mark string, problem []byte) Message {
	const longest = 256
	if len(mark) > longest {
		return ErrorMessage(s, problem)
	}
	b := append(append(append(s.open(), `error","mark":`...), quote(mark)...), `,"payload":`...)
	return Message{Error, append(append(b, problem...), '}')}
}

// appendVersion appends the fields of the version.
func appendVersion(b []byte, version live.Version) []byte {
	b = append(append(append(b, `"version":"`...), version.Token...), `","last_modified":"`...)
	return append(version.Modified.UTC().AppendFormat(b, time.RFC3339Nano), '"')
}

// StateMessage tells a follower the state of the subject: "live" or "stale".
func StateMessage(s Subject, state string) Message {
	b := append(append(s.open(), `state","payload":{"state":`...), quote(state)...)
	return Message{State, append(b, "}}"...)}
}

// quote returns the text as a JSON string.
func quote(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil { // strings always marshal
		panic("wire: encoding a string: " + err.Error())
	}
	return b
}

// envelope holds the text around the rows in every message of one version.
type envelope struct {
	head    []byte // up to the action, with the frame's
	order   []byte // of page 1, with its comma; empty when rows do not show it
	version []byte // the version and its time
	tail    string // of the frame
}

func newEnvelope(f Framing, v *live.View, version live.Version) *envelope {
	env := &envelope{head: append(f.open(v.Name()), SubjectOf(v).open()...), tail: f.After}
	if fields := v.OrderFields(); fields != nil {
		list, err := json.Marshal(fields)
		if err != nil { // strings always marshal
			panic("wire: encoding an order: " + err.Error())
		}
		env.order = append([]byte(`,"order":`), list...)
	}
	env.version = appendVersion([]byte{','}, version)
	return env
}

// slack bounds the bytes of page numbers, action and punctuation.
const slack = 128

// room returns how many bytes of rows fit into a message with that limit.
func (env *envelope) room(limit int) int {
	return max(limit-len(env.head)-len(env.order)-len(env.version)-len(env.tail)-slack, 1)
}

// open starts a message, up to its payload.
func (env *envelope) open(action Action, size int) []byte {
	b := make([]byte, 0, len(env.head)+len(env.order)+len(env.version)+slack+size)
	b = append(append(b, env.head...), action...)
	return append(b, `","payload":`...)
}

// close ends a message; pages is 0 when it is not a page. extra holds further fields, each
// after a comma.
func (env *envelope) close(b []byte, page, pages int, more bool, extra []byte) []byte {
	if pages > 0 {
		b = strconv.AppendInt(append(b, `,"page":`...), int64(page), 10)
		b = strconv.AppendInt(append(b, `,"pages":`...), int64(pages), 10)
		if page == 1 {
			b = append(b, env.order...)
		}
	}
	b = append(append(b, env.version...), extra...)
	if more {
		b = append(b, `,"more":true`...)
	}
	return append(append(b, '}'), env.tail...)
}
