package live

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/binderyhq/bindery/core/value"
)

// Params are the values of a family's parameters, in order of name. They are
// immutable.
type Params []Param

// Param is the value of one parameter.
type Param struct {
	Name  string
	Value value.Value
}

// Get returns the value of the parameter.
func (p Params) Get(name string) (value.Value, bool) {
	for _, q := range p {
		if q.Name == name {
			return q.Value, true
		}
	}
	return value.Value{}, false
}

// String returns the parameters as the query of a URL, in order of name, or "".
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
// such, everything else as text.
func (p Params) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, q := range p {
		if i > 0 {
			out = append(out, ',')
		}
		label, err := json.Marshal(q.Name)
		if err != nil {
			return nil, err
		}
		out = append(append(out, label...), ':')
		switch text := q.Value.String(); q.Value.Kind() {
		case value.KindFloat, value.KindDecimal:
			out = append(out, text...)
		default:
			out = append(out, valueJSON(q.Value)...)
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
