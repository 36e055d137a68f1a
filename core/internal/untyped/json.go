package untyped

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime/debug"
)

// EncodeJSON encodes as encoding/json does, but without escaping <, > and &: the result is
// not put into HTML pages. It returns a panic as an error.
func EncodeJSON(v any) (_ []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in encoding a %T: %v\n%s", v, p, debug.Stack())
		}
	}()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
