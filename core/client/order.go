package client

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// order is the order of rows: a list of fields that ends with those of the key.
type order []orderField

type orderField struct {
	name string
	desc bool
	// instants says that every text of the field is a time, so that rows are ordered by
	// time.
	instants bool
}

func parseOrder(fields []string) order {
	o := make(order, len(fields))
	for i, f := range fields {
		o[i].name, o[i].desc = strings.CutPrefix(f, "-")
	}
	return o
}

// sortKey holds the values that order a row.
type sortKey []sortValue

type sortValue struct {
	kind   sortKind
	text   string // of text and numbers
	number float64
	at     time.Time // of text that is a time
}

// The kinds of values, in their order.
type sortKind uint8

const (
	sortNull sortKind = iota
	sortFalse
	sortTrue
	sortNumber
	sortText
	sortOther
)

// of returns the sort key of the row with the given fields.
func (o order) of(fields map[string]json.RawMessage) sortKey {
	k := make(sortKey, len(o))
	for i, f := range o {
		k[i] = valueOf(fields[f.name])
	}
	return k
}

func valueOf(raw json.RawMessage) sortValue {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return sortValue{}
	case string(raw) == "false":
		return sortValue{kind: sortFalse}
	case string(raw) == "true":
		return sortValue{kind: sortTrue}
	case raw[0] == '"':
		v := sortValue{kind: sortText}
		if json.Unmarshal(raw, &v.text) != nil {
			return sortValue{kind: sortOther, text: string(raw)}
		}
		v.at, _ = time.Parse(time.RFC3339Nano, v.text)
		return v
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		v := sortValue{kind: sortNumber, text: string(raw)}
		v.number, _ = strconv.ParseFloat(v.text, 64) // infinite beyond a float's range
		return v
	}
	return sortValue{kind: sortOther, text: string(raw)}
}

// compare orders rows: null below everything, false below true, numbers by value, text by
// its bytes, times by instant.
func (o order) compare(a, b sortKey) int {
	for i, f := range o {
		d := compareValues(a[i], b[i], f.instants)
		if f.desc {
			d = -d
		}
		if d != 0 {
			return d
		}
	}
	return 0
}

func compareValues(a, b sortValue, instants bool) int {
	if a.kind != b.kind {
		return cmp.Compare(a.kind, b.kind)
	}
	switch a.kind {
	case sortNumber:
		if d := cmp.Compare(a.number, b.number); d != 0 || a.text == b.text {
			return d
		}
		return compareExactly(a.text, b.text)
	case sortText:
		if instants {
			if d := a.at.Compare(b.at); d != 0 {
				return d
			}
		}
	}
	return strings.Compare(a.text, b.text)
}

// maxExact bounds the digits of numbers that are compared exactly.
const maxExact = 400

// compareExactly compares numbers that are equal as floats.
func compareExactly(a, b string) int {
	if len(a) > maxExact || len(b) > maxExact || strings.ContainsAny(a+b, "eE") {
		return 0
	}
	x, ok := new(big.Rat).SetString(a)
	y, fine := new(big.Rat).SetString(b)
	if !ok || !fine {
		return 0
	}
	return x.Cmp(y)
}

// learn determines from all rows which fields hold times. It reports whether that has
// changed.
func (o order) learn(keys func(visit func(sortKey) bool)) (changed bool) {
	for i := range o {
		texts, moments := 0, 0
		keys(func(k sortKey) bool {
			if k[i].kind == sortText {
				texts++
				if !k[i].at.IsZero() {
					moments++
				}
			}
			return true
		})
		instants := texts > 0 && texts == moments
		changed = changed || instants != o[i].instants
		o[i].instants = instants
	}
	return changed
}

// fits reports whether the row is consistent with what learn found.
func (o order) fits(k sortKey) bool {
	for i, f := range o {
		if f.instants && k[i].kind == sortText && k[i].at.IsZero() {
			return false
		}
	}
	return true
}
