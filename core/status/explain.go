package status

import "encoding/json"

// Explain says why a row is in a binding or not.
type Explain struct {
	// In says whether the binding shows the row.
	In bool
	// Why has an entry for each deciding part. When the binding is current, the row is in
	// it exactly when all of them hold.
	Why []Reason
	// Sources are the sources that watch the tables of the binding.
	Sources []Source
}

// MarshalJSON encodes empty lists as arrays too.
func (e Explain) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		In      bool     `json:"in"`
		Why     []Reason `json:"why"`
		Sources []Source `json:"sources"`
	}{e.In, listed(e.Why), listed(e.Sources)})
}

// Reason is one of the parts that decide about a row. Filter, Limit, Row or Binding says
// which.
type Reason struct {
	// Filter is a part of the binding's filter, or its condition in the loader's terms, as
	// text. Value is the row's value in the column that the part tests, nil when it tests
	// several or none.
	Filter string          `json:"filter,omitempty"`
	Value  json.RawMessage `json:"value,omitempty"`
	// Limit is the binding's limit: the row is, or is not, among that many first rows.
	Limit int `json:"limit,omitempty"`
	// Row is the row's state in the database: [Present], [Absent] or [Unreadable].
	Row RowState `json:"row,omitempty"`
	// Binding is the state, "stale" or "loading", that keeps the binding from showing the
	// database's row.
	Binding string `json:"binding,omitempty"`
	// Detail is an explanation, "" for none.
	Detail string `json:"detail,omitempty"`
	Holds  bool   `json:"holds"`
}

// RowState is the state of a row in the database.
type RowState string

// The states of a row in the database.
const (
	// Present means that the row exists. It is reported when nothing else decides.
	Present RowState = "present"
	// Absent means that no row has that key.
	Absent RowState = "absent"
	// Unreadable means that the row exists but cannot be read or encoded.
	Unreadable RowState = "unreadable"
)
