package wire

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/value"
)

// Replica is the data that a message has for a follower beside the rows, so that the
// follower computes the same tokens as its origin: a token is a digest of keys, order keys
// and encoded rows, under a fingerprint.
type Replica struct {
	// Keys are the keys of the message's rows, in the same order.
	Keys []driver.Key
	// OrderKeys are the order keys of the rows ([live.Row.OrderKey]). It is nil when these
	// equal the keys, and in delete messages.
	OrderKeys []string
	// Description is set on page 1 of a sync, and nil elsewhere.
	Description *Description
}

// Description describes a binding to a follower.
type Description struct {
	// Fingerprint is the binding's fingerprint as text, see [live.ParseFingerprint].
	Fingerprint string `json:"fingerprint"`
	// Numbered says that the order keys are numbers, so that the order of the rows is a
	// separate part of the token, see [live.Edit.MarkOrder]. Such a binding is sent whole
	// at each change.
	Numbered bool `json:"numbered,omitempty"`
	// Columns, Key, Order and OrderFields are those of [live.Description]. Columns holds
	// only those that clients see and those of the key and the order, with name, kind, and
	// whether they may be NULL.
	Columns     []Column       `json:"columns"`
	Key         []string       `json:"key"`
	Order       []driver.Order `json:"order,omitempty"`
	OrderFields []string       `json:"order_fields,omitempty"`
}

// Column is a column in a [Description].
type Column struct {
	Name     string     `json:"name"`
	JSON     string     `json:"json,omitempty"`
	Path     []string   `json:"path,omitempty"`
	Kind     value.Kind `json:"-"`
	KindName string     `json:"kind"`
	Nullable bool       `json:"nullable,omitempty"`
}

// DescribeView returns the description of a binding at a version.
func DescribeView(v *live.View, s *live.Snapshot) *Description {
	from := v.Description()
	d := &Description{
		Fingerprint: s.Fingerprint().String(), Numbered: s.OrderMarked(),
		Key: from.Schema.Key, Order: from.Order, OrderFields: from.OrderFields,
	}
	for _, c := range from.Schema.Columns {
		ordering := slices.ContainsFunc(d.Order, func(o driver.Order) bool { return o.Column == c.Name })
		if c.JSON == "" && c.Path == nil && !ordering && !slices.Contains(d.Key, c.Name) {
			continue
		}
		d.Columns = append(d.Columns, Column{Name: c.Name, JSON: c.JSON, Path: c.Path, Kind: c.Kind, KindName: c.Kind.String(), Nullable: c.Nullable})
	}
	return d
}

// Live returns the description for a view of the given table.
func (d *Description) Live(table driver.Table) live.Description {
	out := live.Description{
		Schema: driver.Schema{Table: table, Key: d.Key},
		Order:  d.Order, OrderFields: d.OrderFields,
	}
	for _, c := range d.Columns {
		out.Schema.Columns = append(out.Schema.Columns, driver.Column{Name: c.Name, JSON: c.JSON, Path: c.Path, Kind: c.Kind, Nullable: c.Nullable})
	}
	return out
}

// check resolves the kinds, and returns the problems of the description.
func (d *Description) check() error {
	if _, err := live.ParseFingerprint(d.Fingerprint); err != nil {
		return malformed("replica: %v", err)
	}
	for i, c := range d.Columns {
		kind, ok := kinds[c.KindName]
		if !ok {
			return malformed("replica: column %q is of the unknown kind %q", c.Name, c.KindName)
		}
		d.Columns[i].Kind = kind
	}
	l := d.Live(driver.Table{Name: "replica"})
	if err := l.Schema.Validate(); err != nil {
		return malformed("replica: %v", err)
	}
	return nil
}

var kinds = func() map[string]value.Kind {
	all := make(map[string]value.Kind)
	for k := value.KindNull; k <= value.KindOpaque; k++ {
		all[k.String()] = k
	}
	return all
}()

// encoded encodes bytes for JSON: base64 without padding, in the alphabet for URLs (RFC
// 4648, section 5).
var encoded = base64.RawURLEncoding.Strict()

// replicaSize returns the most that a row adds to the replica's part of a message, in
// bytes.
func replicaSize(r live.Row) int {
	n := encoded.EncodedLen(len(r.Key())) + 3
	if placed(r) {
		n += encoded.EncodedLen(len(r.OrderKey())) + 3
	}
	return n
}

// placed reports whether the row's order key differs from its key.
func placed(r live.Row) bool { return r.OrderKey() != string(r.Key()) }

// ShowsOrderKeys reports whether clients see the columns that order the rows. If so, order
// keys ([Replica].OrderKeys) tell a follower no more than the rows do.
func ShowsOrderKeys(v *live.View) bool {
	d := v.Description()
	if d.OrderFields != nil {
		return true
	}
	byKey := len(d.Order) == len(d.Schema.Key)
	for i, o := range d.Order {
		if o.Collation != "" {
			return true // the order keys are numbers
		}
		byKey = byKey && o == driver.Order{Column: d.Schema.Key[i]}
	}
	return byKey
}

// appendReplica appends the fields of the rows, and the description if there is one.
// Deleted rows have only keys.
func appendReplica(b []byte, rows []live.Row, deleted bool, d *Description) []byte {
	list := func(b []byte, name string, text func(live.Row) string) []byte {
		b = append(append(b, `,"`...), name...)
		b = append(b, `":[`...)
		for i, r := range rows {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, '"')
			b = encoded.AppendEncode(b, []byte(text(r)))
			b = append(b, '"')
		}
		return append(b, ']')
	}
	b = list(b, "keys", func(r live.Row) string { return string(r.Key()) })
	if !deleted && len(rows) > 0 && placed(rows[0]) {
		b = list(b, "places", live.Row.OrderKey)
	}
	if d == nil {
		return b
	}
	raw, err := json.Marshal(d)
	if err != nil { // names and numbers always marshal
		panic("wire: encoding a description: " + err.Error())
	}
	return append(append(b, `,"replica":`...), raw...)
}

// decodeReplica reads the fields for the given number of rows.
func decodeReplica(m message, rows int) (*Replica, error) {
	r := &Replica{}
	keys, err := decodeBytes("keys", m.keys, rows)
	if err != nil {
		return nil, err
	}
	r.Keys = make([]driver.Key, rows)
	for i, k := range keys {
		r.Keys[i] = driver.Key(k)
	}
	if !isNull(m.places) {
		if r.OrderKeys, err = decodeBytes("places", m.places, rows); err != nil {
			return nil, err
		}
	}
	if isNull(m.replica) {
		return r, nil
	}
	r.Description = &Description{}
	if err := json.Unmarshal(m.replica, r.Description); err != nil {
		return nil, malformed("replica: %v", err)
	}
	return r, r.Description.check()
}

func decodeBytes(name string, raw json.RawMessage, want int) ([]string, error) {
	var list []string
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, malformed("%s is no list of texts", name)
	}
	if len(list) != want {
		return nil, malformed("%d %s belong to %d rows", len(list), name, want)
	}
	for i, text := range list {
		b, err := encoded.DecodeString(text)
		if err != nil || len(b) == 0 {
			return nil, malformed("%s: %s", name, fmt.Sprintf("%.40q is no base64", text))
		}
		list[i] = string(b)
	}
	return list, nil
}

// ReplicaParam is the parameter of an event stream's URL by which a follower requests, with
// the value 1, the data of [Replica].
const ReplicaParam = "replica"

// HeaderLineage is the header of a follower's stream that names the run of versions which
// it carries, see core.Grant.Lineage.
const HeaderLineage = "Bindery-Lineage"
