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
	// ErrRefused is returned by Connect and Page when the transport says that no such
	// binding exists.
	ErrRefused = errors.New("transporttest: there is no such binding")
	// ErrUnavailable is returned by Connect and Page when the transport says
	// that it cannot serve the binding now: it has not loaded yet, or the
	// transport is ending.
	ErrUnavailable = errors.New("transporttest: not available now")
	// ErrForbidden is returned when the transport says that the principal has no right.
	// A client that was allowed at first gets it from Next.
	ErrForbidden = errors.New("transporttest: it is not allowed")
	// ErrUnauthenticated is returned when the transport demands authentication.
	ErrUnauthenticated = errors.New("transporttest: it is not known who asks")
	// ErrNoMark is returned, by AskMark or the Next that follows it, when the transport
	// says that a text is not a mark, or is a mark of another node.
	ErrNoMark = errors.New("transporttest: it is no mark here")
	// ErrUnsupported is returned for requests that the transport does not support.
	ErrUnsupported = errors.New("transporttest: the transport does not do this")
)

// ParameterError is returned when the transport says that a parameter is missing,
// unknown or of the wrong type.
type ParameterError struct {
	// Name is the parameter's name, as the transport spells it.
	Name string
}

// Error names the parameter.
func (e *ParameterError) Error() string {
	return fmt.Sprintf("transporttest: parameter %q is wrong", e.Name)
}

// Abilities says what a transport can do. The suite checks that an ability declared
// missing is missing.
type Abilities struct {
	// Streams: a connection stays open and the changes are pushed on it. A
	// transport without it answers requests, and its clients ask again.
	Streams bool
	// Resumes: a client with the current version is told that it is current, and does
	// not get the rows again.
	Resumes bool
	// Deltas: changes are sent as such, also to a client that resumes from a version in
	// the binding's log. A transport without it sends whole states.
	Deltas bool
	// Pages: clients can ask for parts of the current state.
	Pages bool
	// Families: clients can ask for members of families, and the harness can name the
	// principal. It is then an [Asker].
	Families bool
	// Marks: clients can ask about marks. All of them are then a [MarkAsker].
	Marks bool
}

// Maker makes a harness for one case. The transport is new each time.
type Maker func() (Harness, error)

// Harness holds a transport under test, its server, and its clients. Methods may be
// called from several goroutines.
type Harness interface {
	// Abilities returns the abilities of the transport.
	Abilities() Abilities

	// Transport returns the transport, always the same one. The suite gives it to a
	// registry and starts that before the first Connect.
	Transport() core.Transport

	// Connect begins to follow the binding. version is the version that the client
	// holds, "" for none. It returns an error that wraps [ErrRefused] or
	// [ErrUnavailable] if the transport says so. Alternatively the Client's Next
	// returns that error. The context bounds only connecting.
	Connect(ctx context.Context, binding, version string) (Client, error)

	// Page returns one page of the binding's current rows, counted from 1. A page has
	// at most a hundred rows; pages after the last have none. It returns
	// [ErrUnsupported] if Abilities.Pages is false.
	Page(ctx context.Context, binding string, page int) (Page, error)

	// StopServer shuts down the transport's server gracefully, as
	// [net/http.Server.Shutdown] does: it waits for open requests until the context
	// ends, and then returns its error. It returns [ErrUnsupported] if the transport
	// serves itself.
	StopServer(ctx context.Context) error

	// Close releases the harness's resources after the registry has been shut down. It
	// is called once, whatever has happened before.
	Close() error
}

// Request names the binding and the principal of a client's request.
type Request struct {
	// Binding is the name of the binding or family.
	Binding string
	// Params name the member of a family, in text form: true, 42, some text.
	Params map[string]string
	// Repeated are parameters that have several values.
	Repeated map[string][]string
	// Version is the version that the client holds, "" for none.
	Version string
	// Principal is the principal that makes the request, "" for none. The harness makes
	// sure that [Principal] finds it in the context that the transport gives to
	// [core.Registry.Open]; over HTTP [Identify] and [PrincipalHeader] do that.
	Principal string
}

// Query returns the parameters and the version as a URL query.
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

// JSON returns the parameters as JSON values: true and false as booleans, others as
// strings, and those with several values as arrays.
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

	// ConnectTo is Connect for any request. Connect is the same for a request with only
	// a binding and a version.
	ConnectTo(ctx context.Context, q Request) (Client, error)

	// PageOf is Page for any request; it ignores the Version.
	PageOf(ctx context.Context, q Request, page int) (Page, error)
}

// Writer is an [Asker] whose clients can write.
type Writer interface {
	Asker

	// Write sends one write and returns the answer that a client sees: status, headers
	// and body. It leaves out parts that differ between equal answers (the date, an
	// address).
	Write(ctx context.Context, q WriteRequest) (answer string, err error)
}

// WriteRequest is one write.
type WriteRequest struct {
	Request
	// Op is the operation.
	Op live.WriteOp
	// Key is the row's key in text form, "" for an insert.
	Key string
	// Body is a JSON object of the row's fields, "" for a delete.
	Body string
	// Match is the precondition on the row, as in If-Match; "" for none.
	Match string
}

// Client is one client. Its methods are called by one goroutine at a time,
// except for Close.
type Client interface {
	// Next waits for the next message and returns it. If the context ends first, the
	// client is closed and not used any more. It returns [io.EOF] if the transport has
	// ended the connection in good order or has said that no more will come, and any
	// other error if the connection broke.
	//
	// Next reads no more than it needs: everything else stays in the network, so a
	// client whose Next is not called does not read. A client of a transport without
	// [Abilities].Streams asks again until something is new.
	Next(ctx context.Context) (Message, error)

	// Close disconnects without a goodbye, and drops received messages. It may be
	// called at any time and more than once.
	Close()
}

// MarkAsker is a [Client] that can ask about marks.
type MarkAsker interface {
	Client

	// AskMark asks for an answer when the client has been sent everything that the mark
	// covers. Next then returns a message with the action [Marked], in its place among
	// the messages. On a transport without [Abilities].Streams, AskMark waits itself.
	AskMark(ctx context.Context, mark string) error
}

// Action is the effect of a message.
type Action string

// The actions of messages.
const (
	// Sync: the rows, with those of the following Sync and Put messages of the batch,
	// replace all rows of the client.
	Sync Action = "sync"
	// Put: the rows exist; the client may have had them.
	Put Action = "put"
	// Create: the rows are new to the client.
	Create Action = "create"
	// Update: the rows have changed; the client had them.
	Update Action = "update"
	// Delete: the rows are gone; the client had them. The message has only their key
	// columns.
	Delete Action = "delete"
	// Current: the client's version is current.
	Current Action = "current"
	// Marked: earlier messages include everything that the mark covers. It comes
	// between batches, and its version is the client's.
	Marked Action = "mark"
)

// Message is one message as a client understands it. The client applies the messages of
// a batch together, at the last one.
type Message struct {
	Action Action
	// Rows are JSON objects as the binding encodes them.
	Rows []json.RawMessage
	// Version is the version that the message's batch leads to. The last message of a
	// batch has it; the others have the same or none.
	Version string
	// More says that the batch continues.
	More bool
	// Mark is the mark that a Marked message answers.
	Mark string
}

// Page is one page of a binding's rows.
type Page struct {
	// Rows are in the binding's order.
	Rows []json.RawMessage
	// Pages is the total number of pages; 1 or 0 if there are no rows.
	Pages int
}
