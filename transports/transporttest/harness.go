package transporttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
)

// Errors that harnesses return.
var (
	// ErrRefused is returned by Connect and Page when the transport says that
	// there is no such binding.
	ErrRefused = errors.New("transporttest: there is no such binding")
	// ErrUnavailable is returned by Connect and Page when the transport says
	// that it cannot serve the binding now: it has not loaded yet, or the
	// transport is ending.
	ErrUnavailable = errors.New("transporttest: not available now")
	// ErrForbidden is returned when the transport says that who asks may not.
	// A client that was allowed at first gets it from Next.
	ErrForbidden = errors.New("transporttest: it is not allowed")
	// ErrUnauthenticated is returned when the transport wants to know who asks.
	ErrUnauthenticated = errors.New("transporttest: it is not known who asks")
	// ErrNoMark is returned, by AskMark or the Next that follows it, when the
	// transport says that what was asked about is no mark, or means nothing here.
	ErrNoMark = errors.New("transporttest: it is no mark here")
	// ErrUnsupported is returned by what the transport cannot do at all.
	ErrUnsupported = errors.New("transporttest: the transport does not do this")
)

// ParameterError is returned when the transport says that a parameter is missing,
// unknown or of the wrong type.
type ParameterError struct {
	// Name is the parameter's, as the transport names it.
	Name string
}

// Error names the parameter.
func (e *ParameterError) Error() string {
	return fmt.Sprintf("transporttest: parameter %q is wrong", e.Name)
}

// Abilities says what a transport does. What is declared missing is checked to
// be missing.
type Abilities struct {
	// Streams: a connection stays open and the changes are pushed on it. A
	// transport without it answers requests, and its clients ask again.
	Streams bool
	// Resumes: a client that shows the current version is told that it is
	// current, and not sent the rows again.
	Resumes bool
	// Deltas: changes are told as such, also to a client that resumes from a
	// version in the binding's log. A transport without it tells whole states.
	Deltas bool
	// Pages: parts of the current state can be asked for.
	Pages bool
	// Families: members of families can be asked for, and the harness can say
	// who asks. It then is an [Asker].
	Families bool
	// Marks: clients can ask about marks. All of them are [MarkAsker] then.
	Marks bool
}

// Maker makes a harness for one case. The transport is new each time.
type Maker func() (Harness, error)

// Harness is a transport under test, what serves it, and its clients. Methods
// may be called from several goroutines.
type Harness interface {
	// Abilities says what the transport does.
	Abilities() Abilities

	// Transport returns the transport, always the same one. The suite gives it
	// to a registry and starts that before the first Connect.
	Transport() core.Transport

	// Connect begins to follow the binding. The version is what the client
	// holds, "" for nothing. It returns an error that wraps [ErrRefused] or
	// [ErrUnavailable] when the transport says so; it may also return a Client
	// whose Next does. The context bounds connecting alone.
	Connect(ctx context.Context, binding, version string) (Client, error)

	// Page returns one page of the binding's current rows, counted from 1; it
	// returns [ErrUnsupported] when Abilities.Pages is false. A page has at
	// most a hundred rows. Beyond the last page there are no rows.
	Page(ctx context.Context, binding string, page int) (Page, error)

	// StopServer shuts down what serves the transport, gracefully, as
	// [net/http.Server.Shutdown] does: it waits for what is open, until the
	// context ends, and returns its error then. It returns [ErrUnsupported]
	// when the transport serves itself.
	StopServer(ctx context.Context) error

	// Close gives back what the harness holds, after the registry has been
	// shut down. It is called once, whatever has happened before.
	Close() error
}

// Request says what a client asks for, and who asks.
type Request struct {
	// Binding is the name of the binding or family.
	Binding string
	// Params name the member of a family, in text form: true, 42, some text.
	Params map[string]string
	// Repeated are parameters that have several values.
	Repeated map[string][]string
	// Version is what the client holds, "" for nothing.
	Version string
	// Principal is who asks, "" when nobody says who it is. The harness sees to
	// it that [Principal] finds it in the context that the transport gives to
	// [core.Registry.Open]; over HTTP [Identify] and [PrincipalHeader] do.
	Principal string
}

// Query returns the parameters and the version as the query of a URL.
func (q Request) Query() url.Values {
	values := url.Values{}
	for name, text := range q.Params {
		values.Set(name, text)
	}
	for name, texts := range q.Repeated {
		values[name] = texts
	}
	if q.Version != "" {
		values.Set("version", q.Version)
	}
	return values
}

// JSON returns the parameters as JSON has them: true and false are booleans, all
// others texts, and those that have several values arrays.
func (q Request) JSON() map[string]any {
	params := make(map[string]any)
	for name, text := range q.Params {
		params[name] = text
		if text == "true" || text == "false" {
			params[name] = text == "true"
		}
	}
	for name, texts := range q.Repeated {
		params[name] = texts
	}
	return params
}

// Asker is a [Harness] with [Abilities].Families.
type Asker interface {
	Harness

	// ConnectTo is Connect for any request. Connect is the same for one that
	// has a binding and a version alone.
	ConnectTo(ctx context.Context, q Request) (Client, error)

	// PageOf is Page for any request; its Version has no meaning here.
	PageOf(ctx context.Context, q Request, page int) (Page, error)
}

// Writer is an [Asker] whose clients can write.
type Writer interface {
	Asker

	// Write sends one write and returns the answer as a client sees it: status,
	// headers and body, without what differs between two equal answers (the date,
	// an address).
	Write(ctx context.Context, q WriteRequest) (answer string, err error)
}

// WriteRequest is one write.
type WriteRequest struct {
	Request
	// Op is what it does.
	Op live.WriteOp
	// Key is the row's in text form, "" in an insert.
	Key string
	// Body is a JSON object of the row's fields, "" in a delete.
	Body string
	// Match is what the client says the row to be, as in If-Match; "" for
	// nothing.
	Match string
}

// Client is one client. Its methods are called by one goroutine at a time,
// except for Close.
type Client interface {
	// Next returns the next message. It waits for it until the context ends,
	// after which the client is closed and not used any more. It returns
	// [io.EOF] when the transport has ended the connection in good order or
	// has said that there is no more to come, and any other error when the
	// connection broke.
	//
	// Next reads no more than it needs: what was not asked for stays in the
	// network, so that a client which does not call it is one that does not
	// read. A client of a transport without [Abilities].Streams asks again
	// until there is something new.
	Next(ctx context.Context) (Message, error)

	// Close vanishes: no goodbye is said and what was received is lost. It may
	// be called at any time and more than once.
	Close()
}

// MarkAsker is a [Client] that can ask about marks.
type MarkAsker interface {
	Client

	// AskMark asks to be told when the client has been sent everything that the
	// mark covers. Next then returns, in its place among the messages, one with the
	// action [Marked]. Of a transport without [Abilities].Streams AskMark waits.
	AskMark(ctx context.Context, mark string) error
}

// Action says what a message does.
type Action string

// The actions of messages.
const (
	// Sync: the rows, with those of the Sync and Put messages that follow in
	// the same batch, replace all that the client holds.
	Sync Action = "sync"
	// Put: the rows are there, whether the client had them or not.
	Put Action = "put"
	// Create: the rows are there, and the client had them not.
	Create Action = "create"
	// Update: the rows have changed, and the client had them.
	Update Action = "update"
	// Delete: the rows, of which the message bears the key columns alone, are
	// gone, and the client had them.
	Delete Action = "delete"
	// Current: what the client holds is current.
	Current Action = "current"
	// Marked: what was sent before includes everything that the mark covers. It is
	// between batches, and its version is the one that the client has.
	Marked Action = "mark"
)

// Message is one message as a client understands it. The messages of a batch
// are applied together, at the last.
type Message struct {
	Action Action
	// Rows are JSON objects as the binding encodes them.
	Rows []json.RawMessage
	// Version is the version that the message's batch leads to. The last
	// message of a batch has one; the others have the same or none.
	Version string
	// More says that the batch goes on.
	More bool
	// Mark is the mark that is answered.
	Mark string
}

// Page is a part of a binding's state.
type Page struct {
	// Rows are in the binding's order.
	Rows []json.RawMessage
	// Pages is the number of pages that there are; 1 or 0 when there are no
	// rows.
	Pages int
}
