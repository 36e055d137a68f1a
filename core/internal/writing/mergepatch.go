package writing

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// mergePatch returns the JSON value that the patch makes of the target, as
// RFC 7396 has it: objects are merged member by member, to any depth, a null
// takes a member away, and anything else replaces. Numbers stay as they are
// written. A target that is nil is absent.
func mergePatch(target, patch json.RawMessage) (json.RawMessage, error) {
	// Decoded at once and not level by level, which would read the innermost
	// level of a deep patch as often as there are levels.
	p, err := anyJSON(patch)
	if err != nil {
		return nil, err
	}
	var t any
	if target != nil {
		if t, err = anyJSON(target); err != nil {
			return nil, err
		}
	}
	merged, err := json.Marshal(merged(t, p))
	if err != nil {
		return nil, fmt.Errorf("encoding a merged value: %w", err)
	}
	return merged, nil
}

func merged(target, patch any) any {
	members, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	result, ok := target.(map[string]any)
	if !ok {
		result = make(map[string]any, len(members))
	}
	for name, member := range members {
		if member == nil {
			delete(result, name)
		} else {
			result[name] = merged(result[name], member)
		}
	}
	return result
}

func anyJSON(raw json.RawMessage) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	err = dec.Decode(&v)
	return v, err
}

// isObject reports whether the JSON value is an object.
func isObject(raw json.RawMessage) bool {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	return len(raw) > 0 && raw[0] == '{'
}
