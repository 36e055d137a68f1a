package writing

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// mergePatch applies the patch to the target by RFC 7396: objects are merged member
// by member, at any depth, a null removes a member, and other values replace.
// Numbers keep their spelling. A nil target means that there is no value.
func mergePatch(target, patch json.RawMessage) (json.RawMessage, error) {
	// Decode all levels at once: level by level, the innermost one of a deep patch
	// would be read once for each level.
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
