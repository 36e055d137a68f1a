package clienttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"
)

// Transport names how a client connects.
type Transport string

// The transports. A client need not speak all of them.
const (
	WebSocket Transport = "websocket" // at /ws below the base URL
	SSE       Transport = "sse"       // at /events
	Poll      Transport = "poll"      // GET /api/NAME?since=VERSION&wait=SECONDS
)

// Harness makes the clients under test.
type Harness struct {
	// Transports are the transports that the client supports; at least one.
	Transports []Transport

	// Open starts a client that follows a binding. Until Close returns, the client
	// calls show with every state that it shows, in order and never concurrently; show
	// returns at once. The context bounds only Open, which need not wait for a
	// connection. The client should wait only some milliseconds before it reconnects.
	Open func(ctx context.Context, f Follow, show func(State)) (Client, error)

	// Lacks names cases that the client does not pass, with the reason. Run skips such
	// a case, unless the client passes it: then it reports that. Check leaves it out.
	Lacks map[string]string

	// Timeout bounds one case. The default is a minute.
	Timeout time.Duration
}

// Follow says which binding a client must follow, and how.
type Follow struct {
	Base      string            // the server's URL, with a slash at its end
	Transport Transport         // the only one to use
	Binding   string            // the binding's name
	Params    map[string]string // of a member of a family; nil for none
	Key       []string          // the columns of the rows' key
}

// Client is one client that follows a binding.
type Client interface {
	// Close ends the client and its connections. The suite calls it once.
	Close() error
}

// Status says how current the rows are that a client shows.
type Status string

// The states of a client. It may show further states without a version.
const (
	Connecting Status = "connecting" // no rows yet
	Live       Status = "live"       // current as far as the server has told
	Stale      Status = "stale"      // rows that may be old, because the connection is lost
	Refused    Status = "closed"     // the server refused for good
)

// State is what a client shows at one moment.
type State struct {
	Status  Status            `json:"status"`
	Version string            `json:"version"` // "" before the first
	Rows    []json.RawMessage `json:"rows"`    // in the order shown
	Problem int               `json:"problem"` // HTTP status of what closed it, else 0
}

// Case tests one rule for clients.
type Case struct {
	Name string
	Rule string      // the rule of the protocol that it tests
	On   []Transport // empty for all
	run  func(*rig) error
}

// Cases returns all cases.
func Cases() []Case {
	var all []Case
	for _, list := range [][]Case{stateCases, batchCases, resumeCases, refusalCases, orderCases, memberCases, nonsenseCases, randomCases} {
		all = append(all, list...)
	}
	return all
}

// Run runs every case as a subtest.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if err := h.validate(); err != nil {
		t.Fatal(err)
	}
	for _, tr := range h.Transports {
		t.Run(string(tr), func(t *testing.T) {
			for _, c := range Cases() {
				if !c.on(tr) {
					continue
				}
				t.Run(c.Name, func(t *testing.T) {
					err := h.try(t.Context(), tr, c)
					reason, lacking := h.Lacks[c.Name]
					switch {
					case lacking && err == nil:
						t.Errorf("the client passes what Harness.Lacks says that it does not (%s)", reason)
					case lacking:
						t.Skipf("%s: %v", reason, err)
					case err != nil:
						t.Errorf("%v\nthe rule: %s", err, c.Rule)
					}
				})
			}
		})
	}
}

// Check runs every case, and returns all failures, each with the name of its transport
// and case.
func Check(ctx context.Context, h Harness) error {
	return check(ctx, h, func(Case) bool { return true })
}

// CheckCase runs only the case with this name, as Check does.
func CheckCase(ctx context.Context, h Harness, name string) error {
	return check(ctx, h, func(c Case) bool { return c.Name == name })
}

func check(ctx context.Context, h Harness, wanted func(Case) bool) error {
	if err := h.validate(); err != nil {
		return err
	}
	var errs []error
	for _, tr := range h.Transports {
		for _, c := range Cases() {
			if _, lacking := h.Lacks[c.Name]; lacking || !c.on(tr) || !wanted(c) {
				continue
			}
			if err := h.try(ctx, tr, c); err != nil {
				errs = append(errs, fmt.Errorf("%s: %s: %w", tr, c.Name, err))
			}
		}
	}
	return errors.Join(errs...)
}

func (h Harness) validate() error {
	if h.Open == nil || len(h.Transports) == 0 {
		return errors.New("clienttest: the harness needs Open and at least one of Transports")
	}
	known := map[string]bool{}
	for _, c := range Cases() {
		known[c.Name] = true
	}
	for name := range h.Lacks {
		if !known[name] {
			return fmt.Errorf("clienttest: Harness.Lacks names %q, which is no case", name)
		}
	}
	return nil
}

func (c Case) on(t Transport) bool {
	for _, o := range c.On {
		if o == t {
			return true
		}
	}
	return len(c.On) == 0
}

// try runs one case within its timeout.
func (h Harness) try(ctx context.Context, tr Transport, c Case) error {
	timeout := h.Timeout
	if timeout == 0 {
		timeout = time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := newRig(ctx, h, tr)
	if err != nil {
		return err
	}
	err = c.run(r)
	return errors.Join(err, r.end())
}
