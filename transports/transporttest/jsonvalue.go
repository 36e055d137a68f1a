package transporttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/binderyhq/bindery/core/value"
)

// sameJSON reports whether two texts are the same JSON value (RFC 8259). The order of
// an object's members, the escaping of characters and the spelling of numbers make no
// difference, because a transport may encode rows again.
func sameJSON(a, b string) bool {
	if a == b {
		return true
	}
	x, err := jsonValue(a)
	y, other := jsonValue(b)
	return err == nil && other == nil && equalJSON(x, y)
}

// jsonValue decodes a text that is one JSON value. It keeps the spelling of numbers.
func jsonValue(text string) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("there is more after the value: %.200q", text)
	}
	return v, nil
}

func equalJSON(x, y any) bool {
	switch x := x.(type) {
	case map[string]any:
		y, ok := y.(map[string]any)
		return ok && maps.EqualFunc(x, y, equalJSON)
	case []any:
		y, ok := y.([]any)
		return ok && slices.EqualFunc(x, y, equalJSON)
	case json.Number:
		y, ok := y.(json.Number)
		return ok && (x == y || equalNumbers(x, y))
	default:
		return x == y // texts, booleans, null
	}
}

// equalNumbers compares exactly: 1.0 is 1, and 9007199254740993 is not
// 9007199254740992.
func equalNumbers(x, y json.Number) bool {
	a, err := value.Parse(value.KindDecimal, x.String())
	b, other := value.Parse(value.KindDecimal, y.String())
	return err == nil && other == nil && a == b
}
