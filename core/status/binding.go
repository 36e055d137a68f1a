package status

import (
	"encoding/json"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// Binding is the status of a binding.
type Binding struct {
	// Name is the binding's name, shared by the members of a family. Params are a member's
	// parameters. Scoped says that an authorizer's scope, or a client's filter, confines
	// the member; Scope is that condition as text.
	Name   string
	Params live.Params
	Scoped bool
	Scope  string
	// Table is the table that the binding reads.
	Table driver.Table

	State State
	// Since is when the state began.
	Since time.Time
	// Err is why the binding is Loading, Stale or Ended. It is nil when it has only just
	// begun to load.
	Err error
	// Troubled counts the rows that the binding should show but cannot, and Trouble names
	// some of them. A binding that may omit such rows (core.Tuning.OmitUnreadable) goes on
	// without them; any other is Stale, or Loading, until they are repaired.
	Trouble  []Trouble
	Troubled int

	// Version is the current version, the zero value while Loading. Age is the time since
	// its content last changed.
	Version live.Version
	Age     time.Duration
	// Rows is the number of rows, Bytes the total length of their encoded forms.
	Rows, Bytes int
	// Subscribers is the number of open subscriptions.
	Subscribers int
	// Events counts the changes added to the log, Syncs the syncs sent to subscribers, and
	// Merges the merged events made for subscribers that lag.
	Events, Syncs, Merges uint64
}

// Trouble is a row that cannot be shown.
type Trouble struct {
	Key    driver.Key
	Reason string
}

// MarshalJSON encodes the key as in the row's URL.
func (t Trouble) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Key    string `json:"key"`
		Reason string `json:"reason"`
	}{t.Key.String(), t.Reason})
}

// MarshalJSON encodes the binding as described in docs/protocol.md, "Admin": the table as
// text, the version as its token, the age in seconds.
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
		State: b.State, Since: b.Since, Error: textOf(b.Err), Trouble: listed(b.Trouble), Troubled: b.Troubled,
		Subscribers: b.Subscribers, Events: b.Events, Syncs: b.Syncs, Merges: b.Merges,
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
