package core

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime/debug"
)

// encodeJSON encodes as encoding/json does. The result is served as JSON and
// not put into pages, so <, > and & stay what they are.
func encodeJSON(v any) (_ []byte, err error) {
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
