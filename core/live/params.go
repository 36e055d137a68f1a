package live

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/binderyhq/bindery/core/value"
)

// Params are the values of a family's parameters, sorted by name, without optional ones
// that were not given. They are immutable.
type Params []Param

// Param is one value of a parameter.
type Param struct {
	Name  string
	Value value.Value
	// Repeated says that the parameter may have several values. Each is then a Param of its
	// own; they follow each other in ascending order, without duplicates.
	Repeated bool
}

// Get returns the value of the parameter. It reports false when the parameter was not given
// or has several values: see [Params.Values].
func (p Params) Get(name string) (v value.Value, ok bool) {
	for _, q := range p {
		switch {
		case q.Name != name:
		case ok:
			return value.Value{}, false
		default:
			v, ok = q.Value, true
		}
	}
	return v, ok
}

// Values returns the values of the parameter, nil when it was not given.
func (p Params) Values(name string) []value.Value {
	var values []value.Value
	for _, q := range p {
		if q.Name == name {
			values = append(values, q.Value)
		}
	}
	return values
}

// String returns the parameters as a URL query, sorted by name, or "". It repeats the name
// of a parameter with several values.
func (p Params) String() string {
	var b strings.Builder
	for i, q := range p {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(q.Name))
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(q.Value.String()))
	}
	return b.String()
}

// MarshalJSON returns the parameters as a JSON object. Numbers and booleans stay such,
// everything else becomes a string. Parameters that may have several values become arrays.
func (p Params) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, q := range p {
		if i > 0 {
			out = append(out, ',')
		}
		first := i == 0 || p[i-1].Name != q.Name
		last := i+1 == len(p) || p[i+1].Name != q.Name
		if first {
			label, err := json.Marshal(q.Name)
			if err != nil {
				return nil, err
			}
			out = append(append(out, label...), ':')
		}
		if first && q.Repeated {
			out = append(out, '[')
		}
		switch text := q.Value.String(); q.Value.Kind() {
		case value.KindFloat, value.KindDecimal:
			out = append(out, text...)
		default:
			out = append(out, valueJSON(q.Value)...)
		}
		if last && q.Repeated {
			out = append(out, ']')
		}
	}
	return append(out, '}'), nil
}

// ID identifies a binding, or the family's member with these parameters, within the
// registry: it returns the name, followed by the parameters as a URL query.
func (p Params) ID(name string) string {
	if len(p) == 0 {
		return name
	}
	return name + "?" + p.String()
}
