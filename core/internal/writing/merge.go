package writing

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// merger merges patches into the JSON objects in a row's columns.
type merger struct {
	o         *writing
	row       any                        // as it was read
	before    map[string]json.RawMessage // its members; nil: not needed yet
	stored    map[string]json.RawMessage // by column, as the database has them
	documents map[string]json.RawMessage // by column: written in place of the row's field
}

// merge returns the column's value with the patch applied. If the database stores
// the value as JSON, it patches the stored one, which may have members that the Go
// type lacks, and numbers that Go would round.
func (m *merger) merge(ctx context.Context, c *driver.Column, patch json.RawMessage) (json.RawMessage, error) {
	if m.before == nil {
		var err error
		if m.before, err = membersOf(m.row); err != nil {
			return nil, err
		}
		if m.stored = m.o.documents; m.stored == nil {
			if m.stored, err = m.read(ctx); err != nil {
				return nil, err
			}
		}
	}
	shown := memberAt(m.before, pathOf(c))
	stored, ok := m.stored[c.Name]
	if !ok || !slices.Contains(m.o.replaced, c.Name) && !m.agrees(c, stored, shown) {
		return mergePatch(shown, patch)
	}
	doc, err := mergePatch(stored, patch)
	if err != nil {
		return nil, err
	}
	if m.documents == nil {
		m.documents = make(map[string]json.RawMessage)
	}
	m.documents[c.Name] = doc
	return doc, nil
}

// read returns the stored documents of all columns that are patched.
func (m *merger) read(ctx context.Context) (map[string]json.RawMessage, error) {
	var columns []string
	for _, c := range m.o.Shape.Schema.Columns {
		if raw, ok := m.o.fields[c.Name]; ok && isObject(raw) {
			columns = append(columns, c.Name)
		}
	}
	if len(columns) == 0 {
		return nil, nil
	}
	return m.o.db.Documents(ctx, m.o.Key, columns)
}

// agrees reports whether the stored document, decoded into the row's field, encodes
// as the field does. A type may be stored differently from its JSON.
func (m *merger) agrees(c *driver.Column, stored, shown json.RawMessage) bool {
	if !isObject(stored) {
		return false
	}
	again := m.o.db.CloneRow(m.row)
	if setField(again, pathOf(c), stored) != nil {
		return false
	}
	members, err := membersOf(again)
	return err == nil && bytes.Equal(memberAt(members, pathOf(c)), shown)
}

// memberAt returns the value at the path, nil if there is none.
func memberAt(members map[string]json.RawMessage, path []string) (value json.RawMessage) {
	for i, name := range path {
		value = members[name]
		if i == len(path)-1 {
			return value
		}
		members = nil
		if json.Unmarshal(value, &members) != nil {
			return nil
		}
	}
	return nil
}

// membersOf returns the members of the row's JSON.
func membersOf(row any) (map[string]json.RawMessage, error) {
	whole, err := json.Marshal(row)
	if err != nil {
		return nil, fmt.Errorf("encoding a row: %w", err)
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(whole, &members); err != nil {
		return nil, fmt.Errorf("taking a row apart: %w", err)
	}
	return members, nil
}

// sameJSON reports whether two JSON values are equal, whatever the order of
// members and the spelling of numbers and strings.
func sameJSON(a, b json.RawMessage) bool {
	x, errX := anyJSON(a)
	y, errY := anyJSON(b)
	return errX == nil && errY == nil && sameValue(x, y)
}

func sameValue(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for name, member := range a {
			if other, ok := b[name]; !ok || !sameValue(member, other) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !sameValue(a[i], b[i]) {
				return false
			}
		}
		return true
	case json.Number:
		b, ok := b.(json.Number)
		return ok && sameNumber(a.String(), b.String())
	default:
		return reflect.DeepEqual(a, b)
	}
}

// sameNumber compares numbers by value. It compares long numbers and those with an
// exponent as text, because a client could choose one that is costly to compute.
func sameNumber(a, b string) bool {
	if a == b {
		return true
	}
	if len(a)+len(b) > 200 || strings.ContainsAny(a+b, "eE") {
		return false
	}
	x, okX := new(big.Rat).SetString(a)
	y, okY := new(big.Rat).SetString(b)
	return okX && okY && x.Cmp(y) == 0
}

// decodeProblem describes a decoding error without Go's terms.
func decodeProblem(err error) string {
	var typeErr *json.UnmarshalTypeError
	if !errors.As(err, &typeErr) {
		var timeErr *time.ParseError
		if errors.As(err, &timeErr) {
			return "is no time as RFC 3339 writes it"
		}
		return "cannot be read as a value of this column"
	}
	if number, ok := strings.CutPrefix(typeErr.Value, "number "); ok {
		return "number " + number + " is out of range, or not of the column's type"
	}
	return "must not be a JSON " + typeErr.Value
}
