package live

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/binderyhq/bindery/core/value"
)

// Params are the values of a family's parameters, in order of name. Optional ones
// that were not given are not among them. They are immutable.
type Params []Param

// Param is a value of one parameter.
type Param struct {
	Name  string
	Value value.Value
	// Repeated says that the parameter may have several values. Each is a Param of
	// its own then; they follow each other in ascending order, each value once.
	Repeated bool
}

// Get returns the value of the parameter. It reports false for one that was not
// given, and for one that has several values: see [Params.Values].
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

// Values returns the values of the parameter, nil for one that was not given.
func (p Params) Values(name string) []value.Value {
	var values []value.Value
	for _, q := range p {
		if q.Name == name {
			values = append(values, q.Value)
		}
	}
	return values
}

// String returns the parameters as the query of a URL, in order of name, or "". The
// name of one with several values is repeated.
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

// MarshalJSON returns the parameters as a JSON object: numbers and booleans as
// such, everything else as text. Those that may have several values are arrays.
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

// ID names a binding, or the member of a family that has these parameters, among
// all that there are: by its name, followed by the parameters as the query of a
// URL.
func (p Params) ID(name string) string {
	if len(p) == 0 {
		return name
	}
	return name + "?" + p.String()
}
