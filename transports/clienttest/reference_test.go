package clienttest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/binderyhq/bindery/transports/clienttest"
)

// A client as small as it can be, over event streams and polls, to try the suite
// with: as it should be, and with defects.

// defect is what a client does wrong.
type defect string

const (
	none        defect = ""
	eager       defect = "applies each message when it comes"
	forgetful   defect = "never resumes"
	keeper      defect = "keeps what it held under a sync"
	unsorted    defect = "appends what comes"
	merger      defect = "merges updates into the row"
	blind       defect = "takes messages of any member"
	believer    defect = "believes any ok"
	stubborn    defect = "asks on after it was refused"
	impatient   defect = "gives up at 503"
	neverStale  defect = "does not say that the connection is lost"
	lingering   defect = "keeps its connection when it is closed"
	halfHearted defect = "keeps half a batch over a lost connection"
)

// pause is the wait before the client connects again.
const pause = 5 * time.Millisecond

type msg struct {
	Event   string
	Action  string
	Payload json.RawMessage
	Params  map[string]any
	Page    int
	Order   []string
	Version string
	More    bool
}

type refusal struct{ status int }

func (r refusal) Error() string { return fmt.Sprint("refused with ", r.status) }

var errNonsense = errors.New("nonsense")

// client follows one binding on one goroutine.
type client struct {
	f      clienttest.Follow
	show   func(clienttest.State)
	bad    defect
	cancel context.CancelFunc
	done   sync.WaitGroup
	http   *http.Client

	state clienttest.State
	from  string // the version to resume from
	rows  []map[string]any
	order []string
	held  []msg
}

// lingerers are the clients that are running, also after Close.
var lingerers sync.WaitGroup

func open(bad defect) func(context.Context, clienttest.Follow, func(clienttest.State)) (clienttest.Client, error) {
	return func(_ context.Context, f clienttest.Follow, show func(clienttest.State)) (clienttest.Client, error) {
		ctx, cancel := context.WithCancel(context.Background())
		c := &client{f: f, show: show, bad: bad, cancel: cancel, http: &http.Client{Transport: &http.Transport{}}}
		c.set(clienttest.Connecting)
		c.done.Go(func() { c.run(ctx) })
		lingerers.Go(c.done.Wait)
		return c, nil
	}
}

func (c *client) Close() error {
	if c.bad == lingering {
		time.AfterFunc(1500*time.Millisecond, c.cancel) // far too late
		c.show = func(clienttest.State) {}
		return nil
	}
	c.cancel()
	c.done.Wait()
	c.http.CloseIdleConnections()
	return nil
}

func (c *client) set(s clienttest.Status) {
	c.state.Status = s
	c.state.Rows = nil
	for _, r := range c.rows {
		b, _ := json.Marshal(r) // it came as JSON
		c.state.Rows = append(c.state.Rows, b)
	}
	c.show(c.state)
}

func (c *client) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := c.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			continue // a poll was answered
		}
		if c.bad != halfHearted {
			c.held = nil
		}
		var r refusal
		if errors.As(err, &r) && (r.status < 500 || c.bad == impatient) {
			c.state.Problem = r.status
			c.set(clienttest.Refused)
			if c.bad != stubborn {
				return
			}
		} else if c.state.Status == clienttest.Live && c.bad != neverStale {
			c.set(clienttest.Stale)
		}
		if errors.Is(err, errNonsense) || c.bad == forgetful {
			c.from = "" // the rows stay until others come
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// follow keeps one stream, or makes one poll.
func (c *client) follow(ctx context.Context) error {
	q := url.Values{}
	for k, v := range c.f.Params {
		q.Set(k, v)
	}
	path := "events/"
	if c.f.Transport == clienttest.Poll {
		path = "api/"
		q.Set("since", c.from)
		if c.from == "" {
			q.Set("since", "0")
		}
		q.Set("wait", "20")
	} else if c.from != "" {
		q.Set("version", c.from)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.f.Base+path+url.PathEscape(c.f.Binding)+"?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	if c.bad == lingering {
		c.http.Transport = http.DefaultTransport
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refusal{resp.StatusCode}
	}
	if c.f.Transport == clienttest.Poll {
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		var list []msg
		if json.Unmarshal(body, &list) != nil {
			return errNonsense
		}
		for _, m := range list {
			if err := c.take(m); err != nil {
				return err
			}
		}
		return nil
	}
	var data []string
	for lines := bufio.NewReader(resp.Body); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		line = strings.TrimRight(line, "\r\n")
		if text, ok := strings.CutPrefix(line, "data:"); ok {
			data = append(data, strings.TrimPrefix(text, " "))
		}
		if line != "" || data == nil {
			continue
		}
		var m msg
		if json.Unmarshal([]byte(strings.Join(data, "\n")), &m) != nil {
			return errNonsense
		}
		data = nil
		if err := c.take(m); err != nil {
			return err
		}
	}
}

// take takes a message.
func (c *client) take(m msg) error {
	if m.Event != c.f.Binding || c.bad != blind && !c.mine(m.Params) {
		return nil
	}
	switch m.Action {
	case "sync", "create", "update", "delete":
	case "error":
		var p struct{ Status int }
		_ = json.Unmarshal(m.Payload, &p) // no status is refused like any other
		return refusal{p.Status}
	default:
		return nil
	}
	if m.Version == "" {
		return errNonsense
	}
	if m.Action == "sync" && m.Page <= 1 {
		c.held = nil
	}
	if n := len(c.held); n > 0 && (c.held[n-1].Version != m.Version || m.Action == "sync" && m.Page != c.held[n-1].Page+1) ||
		n == 0 && m.Action == "sync" && m.Page > 1 {
		return errNonsense
	}
	c.held = append(c.held, m)
	if m.More && c.bad != eager {
		return nil
	}
	batch := c.held
	if c.bad != eager || !m.More {
		c.held = nil
	}
	return c.apply(batch)
}

func (c *client) mine(params map[string]any) bool {
	if len(params) != len(c.f.Params) {
		return false
	}
	for k, v := range params {
		if c.f.Params[k] != fmt.Sprint(v) {
			return false
		}
	}
	return true
}

func (c *client) apply(batch []msg) error {
	rows, order := slices.Clone(c.rows), c.order
	at := func(r map[string]any) int {
		return slices.IndexFunc(rows, func(o map[string]any) bool { return o["id"] == r["id"] })
	}
	if batch[0].Action != "sync" && c.from == "" {
		return errNonsense
	}
	for i, m := range batch {
		if string(m.Payload) == `"ok"` {
			if m.Version != c.from && c.bad != believer {
				return errNonsense
			}
			continue
		}
		var list []map[string]any
		if json.Unmarshal(m.Payload, &list) != nil || slices.ContainsFunc(list, func(r map[string]any) bool { return r == nil }) {
			return errNonsense
		}
		if m.Action == "sync" && i == 0 {
			order = m.Order
			if c.bad != keeper {
				rows = nil
			}
		}
		for _, r := range list {
			n := at(r)
			switch {
			case m.Action == "delete" && n >= 0:
				rows = slices.Delete(rows, n, n+1)
			case m.Action == "delete":
			case n >= 0 && c.bad == merger:
				for k, v := range r {
					rows[n][k] = v
				}
			case n >= 0:
				rows[n] = r
			default:
				rows = append(rows, r)
			}
		}
	}
	if batch[0].Action != "sync" && c.bad != unsorted {
		slices.SortStableFunc(rows, func(a, b map[string]any) int { return compare(order, a, b) })
	}
	c.rows, c.order = rows, order
	c.state.Version = batch[len(batch)-1].Version
	c.from = c.state.Version
	c.set(clienttest.Live)
	return nil
}

func compare(order []string, a, b map[string]any) int {
	for _, term := range order {
		name, descending := strings.CutPrefix(term, "-")
		d := compareValues(a[name], b[name])
		if descending {
			d = -d
		}
		if d != 0 {
			return d
		}
	}
	return 0
}

func compareValues(a, b any) int {
	if a == nil || b == nil {
		switch {
		case a == b:
			return 0
		case a == nil:
			return -1
		}
		return 1
	}
	if x, ok := a.(string); ok {
		y, _ := b.(string)
		return strings.Compare(x, y)
	}
	x, _ := a.(float64)
	y, _ := b.(float64)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}
