package status

import (
	"encoding/json"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// Binding is what is known about a binding beside its rows.
type Binding struct {
	// Name is the binding's name, which the members of a family share, Params the
	// values of a member's parameters. Scoped says that an authorizer's scope, or
	// a client's filter, confines the member, and Scope is that condition as text.
	Name   string
	Params live.Params
	Scoped bool
	Scope  string
	// Table is the table that it reads.
	Table driver.Table

	State State
	// Since is when the state began.
	Since time.Time
	// Err is why the binding is Loading, Stale or Ended, nil when there is no
	// reason but that it has just begun.
	Err error
	// Troubled counts the rows that the binding should show and cannot, Trouble
	// names some of them. A binding that leaves such rows out goes on without
	// them; any other one is Stale, or Loading, until they are mended.
	Trouble  []Trouble
	Troubled int

	// Version is the current version, the zero value while Loading, and Age how
	// long ago its content changed.
	Version live.Version
	Age     time.Duration
	// Rows is the number of rows, Bytes the length of their encoded forms.
	Rows, Bytes int
	// Subscribers is the number of open subscriptions.
	Subscribers int
	// Events counts the changes that were published to the log, Syncs the full
	// syncs that subscribers got, and Merges the merged events that were made for
	// those who lag.
	Events, Syncs, Merges uint64
}

// Trouble is a row that cannot be shown.
type Trouble struct {
	Key    driver.Key
	Reason string
}

// MarshalJSON encodes the key as rows' URLs spell it.
func (t Trouble) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Key    string `json:"key"`
		Reason string `json:"reason"`
	}{t.Key.String(), t.Reason})
}

// MarshalJSON encodes the binding as docs/protocol.md, "Admin", shows it: the
// table as text, the version as its token, the age in seconds.
func (b Binding) MarshalJSON() ([]byte, error) {
	out := struct {
		Name        string      `json:"name"`
		Params      live.Params `json:"params"`
		Scoped      bool        `json:"scoped,omitempty"`
		Scope       string      `json:"scope,omitempty"`
		Table       string      `json:"table"`
		Rows        int         `json:"rows"`
		Bytes       int         `json:"bytes"`
		Version     string      `json:"version,omitempty"`
		Modified    *time.Time  `json:"modified,omitempty"`
		Age         *float64    `json:"age,omitempty"`
		State       State       `json:"state"`
		Since       time.Time   `json:"since"`
		Error       string      `json:"error"`
		Trouble     []Trouble   `json:"trouble"`
		Troubled    int         `json:"troubled"`
		Subscribers int         `json:"subscribers"`
		Events      uint64      `json:"events"`
		Syncs       uint64      `json:"syncs"`
		Merges      uint64      `json:"merges"`
	}{
		Name: b.Name, Params: b.Params, Scoped: b.Scoped, Scope: b.Scope, Table: b.Table.String(), Rows: b.Rows, Bytes: b.Bytes,
		State: b.State, Since: b.Since, Error: textOf(b.Err), Trouble: b.Trouble, Troubled: b.Troubled,
		Subscribers: b.Subscribers, Events: b.Events, Syncs: b.Syncs, Merges: b.Merges,
	}
	if out.Trouble == nil {
		out.Trouble = []Trouble{}
	}
	if b.Version != (live.Version{}) {
		age := b.Age.Seconds()
		out.Version, out.Modified, out.Age = b.Version.Token, &b.Version.Modified, &age
	}
	return json.Marshal(out)
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Drift is how a binding's rows differed from the database's.
type Drift struct {
	// Missing are the keys of rows that the binding should have held, Extra of
	// those it should not have held, Different of those it held otherwise.
	Missing, Extra, Different []driver.Key
}

// Len returns the number of rows that differed.
func (d Drift) Len() int { return len(d.Missing) + len(d.Extra) + len(d.Different) }
