package live

import (
	"encoding/json"
	"slices"

	"github.com/binderyhq/bindery/core/value"
)

// KeyJSON returns a JSON object of the row's key columns alone, each as the encoded row
// shows it.
func (v *View) KeyJSON(r Row) []byte {
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(r.JSON(), &fields) // a row that is not an object shows no columns
	vals, _ := r.Key().Values()
	out := []byte{'{'}
	for i, name := range v.keyNames() {
		raw, ok := fields[name]
		if !ok && i < len(vals) {
			raw = valueJSON(vals[i])
		}
		if i > 0 {
			out = append(out, ',')
		}
		label, _ := json.Marshal(name)
		out = append(append(append(out, label...), ':'), raw...)
	}
	return append(out, '}')
}

// valueJSON encodes a key value that the rows do not show.
func valueJSON(v value.Value) []byte {
	switch v.Kind() {
	case value.KindInt, value.KindBool:
		return []byte(v.String())
	default:
		raw, _ := json.Marshal(v.String())
		return raw
	}
}

// keyNames returns the names of the key columns in encoded rows, or the database's names
// for those that rows do not show.
func (v *View) keyNames() []string {
	schema := v.Schema()
	names := slices.Clone(schema.Key)
	for i, k := range names {
		if c := schema.Column(k); c >= 0 && schema.Columns[c].JSON != "" {
			names[i] = schema.Columns[c].JSON
		}
	}
	return names
}
