package status

import "encoding/json"

// Explain says why a row is in a binding, or is not.
type Explain struct {
	// In says whether the binding shows the row.
	In bool
	// Why has an entry for each part that decides. Where the binding is current
	// the row is in exactly when all of them hold.
	Why []Reason
	// Sources are those that watch the tables of the binding.
	Sources []Source
}

// MarshalJSON encodes the lists as arrays, also where they are empty.
func (e Explain) MarshalJSON() ([]byte, error) {
	out := struct {
		In      bool     `json:"in"`
		Why     []Reason `json:"why"`
		Sources []Source `json:"sources"`
	}{e.In, e.Why, e.Sources}
	if out.Why == nil {
		out.Why = []Reason{}
	}
	if out.Sources == nil {
		out.Sources = []Source{}
	}
	return json.Marshal(out)
}

// Reason is one part of what decides about a row. One of Filter, Limit and Row
// says which.
type Reason struct {
	// Filter is a part of the binding's filter, or its condition in the terms of
	// the loader, as text. Value is what the row has in the column that the part
	// is about; nil where it is about several, or about none.
	Filter string          `json:"filter,omitempty"`
	Value  json.RawMessage `json:"value,omitempty"`
	// Limit is the binding's: the row is, or is not, among so many first rows.
	Limit int `json:"limit,omitempty"`
	// Row says what the database has of the row: [Present], [Absent] or
	// [Unreadable].
	Row RowState `json:"row,omitempty"`
	// Binding says why the binding does not show what the database has: it is
	// "stale", or "loading".
	Binding string `json:"binding,omitempty"`
	// Detail says more where there is more to say.
	Detail string `json:"detail,omitempty"`
	Holds  bool   `json:"holds"`
}

// RowState is what the database has of a row.
type RowState string

// What the database may have of a row.
const (
	// Present: the row is there. It is said where nothing else decides.
	Present RowState = "present"
	// Absent: there is no row of that key.
	Absent RowState = "absent"
	// Unreadable: the row is there, and cannot be read or encoded.
	Unreadable RowState = "unreadable"
)
