package arguments

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/core/value"
)

// Texts are the values of one argument in their text form, as a URL's query has them.
// JSON is one argument in JSON. Arguments of all other types are Go values.
type (
	Texts []string
	JSON  []byte
)

// Problem says what is wrong with an argument, in words that a client may see.
type Problem struct {
	// Name is the argument's, clipped when it is long.
	Name, Detail string
}

// Parse converts arguments into the values of the parameters. A problem is about the
// first argument that is wrong: declared parameters come first, then unknown names in
// their order.
func Parse(params []rowset.Parameter, args map[string]any) (live.Params, *Problem) {
	if len(params) == 0 && len(args) == 0 {
		return nil, nil
	}
	out := make(live.Params, 0, len(params))
	for _, p := range params {
		values, detail := parseArg(args[p.Name], &p)
		if detail != "" {
			return nil, &Problem{Clip(p.Name), detail}
		}
		for _, v := range values {
			out = append(out, live.Param{Name: p.Name, Value: v, Repeated: p.Repeated})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(args)) {
		if !slices.ContainsFunc(params, func(p rowset.Parameter) bool { return p.Name == name }) {
			return nil, &Problem{Clip(name), "is unknown; " + knownParameters(params)}
		}
	}
	return out, nil
}

func knownParameters(params []rowset.Parameter) string {
	if len(params) == 0 {
		return "the binding has no parameters"
	}
	names := make([]string, len(params))
	for i, p := range params {
		names[i] = p.Name
	}
	return "there are: " + strings.Join(names, ", ")
}

// The bounds of what a member holds for a parameter: its values, the bytes of each,
// and those of all together.
const (
	maxArgument       = 1024
	maxArgumentValues = 100
	maxArgumentBytes  = 4096
)

// parseArg converts one argument, nil for one that is not given, into the values of
// the parameter: in ascending order, each once. problem is "" when it could be, and
// when no column refuses them as far as Go knows.
func parseArg(arg any, p *rowset.Parameter) (values []value.Value, problem string) {
	given, problem := valuesOf(arg, p)
	if p.Optional {
		given = slices.DeleteFunc(given, isEmpty)
	}
	switch {
	case problem != "":
		return nil, problem
	case len(given) == 0 && p.Optional:
		return nil, ""
	case len(given) == 0:
		return nil, "is missing"
	case len(given) > maxArgumentValues:
		return nil, fmt.Sprintf("has more than %d values", maxArgumentValues)
	}
	bytes := 0
	for _, one := range given {
		v, problem := parseOne(one, p)
		if problem != "" {
			return nil, problem
		}
		if bytes += len(v.String()); bytes > maxArgumentBytes && p.Repeated {
			return nil, fmt.Sprintf("has values of more than %d bytes", maxArgumentBytes)
		}
		values = append(values, v)
	}
	slices.SortFunc(values, value.Compare)
	return slices.Compact(values), ""
}

// valuesOf takes an argument apart into its values: one, unless the parameter may
// have several.
func valuesOf(arg any, p *rowset.Parameter) (values []any, problem string) {
	switch arg := arg.(type) {
	case nil:
		return nil, ""
	case Texts:
		for _, text := range arg {
			values = append(values, Texts{text})
		}
		if len(arg) > 1 && !p.Repeated {
			return nil, "must not be repeated"
		}
		return values, ""
	case JSON:
		raw := bytes.TrimSpace(arg)
		var list []json.RawMessage
		switch {
		case !p.Repeated || len(raw) == 0 || raw[0] != '[':
			return []any{arg}, ""
		case json.Unmarshal(raw, &list) != nil:
			return nil, "must be " + kindInWords(p.Kind) + ", or an array"
		}
		for _, one := range list {
			values = append(values, JSON(one))
		}
		return values, ""
	}
	v := reflect.ValueOf(arg)
	if !p.Repeated || v.Kind() != reflect.Slice || v.Type().Elem().Kind() == reflect.Uint8 {
		return []any{arg}, ""
	}
	for i := range v.Len() {
		values = append(values, v.Index(i).Interface())
	}
	return values, ""
}

// isEmpty reports whether a value of an optional parameter counts as not given.
func isEmpty(arg any) bool {
	switch arg := arg.(type) {
	case Texts:
		return arg[0] == ""
	case JSON:
		text := string(bytes.TrimSpace(arg))
		return text == "null" || text == `""`
	}
	v := reflect.ValueOf(arg)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	return !v.IsValid() || v.Kind() == reflect.Pointer || v.Kind() == reflect.String && v.Len() == 0
}

// Clip shortens a name that came from outside, for an error.
func Clip(name string) string {
	const longest = 100
	if len(name) > longest {
		return name[:longest] + "…"
	}
	return name
}
