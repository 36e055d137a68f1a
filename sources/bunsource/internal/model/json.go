package model

import (
	"encoding/json"
	"reflect"
	"strings"
)

var (
	marshalerType   = reflect.TypeFor[json.Marshaler]()
	unmarshalerType = reflect.TypeFor[json.Unmarshaler]()
)

// jsonPath returns the names that lead to a field inside of named structs, as
// encoding/json nests them; nil when it does not show the field, or when a type
// on the way has a JSON form of its own.
func jsonPath(typ reflect.Type, index []int) []string {
	var path []string
	for len(index) > 0 {
		if typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || path != nil && hasOwnJSON(typ) {
			return nil
		}
		names, name, n := jsonNames(typ), "", 0
		for n = 1; n <= len(index); n++ { // past embedded structs, which have no name
			if name = names[indexPath(index[:n])]; name != "" {
				break
			}
		}
		if name == "" {
			return nil
		}
		path = append(path, name)
		typ = typ.FieldByIndex(index[:n]).Type
		index = index[n:]
	}
	return path
}

func hasOwnJSON(typ reflect.Type) bool {
	p := reflect.PointerTo(typ)
	return p.Implements(marshalerType) || p.Implements(unmarshalerType)
}

// jsonNames returns the names that encoding/json gives the fields of a struct,
// by their index paths. It follows the rules of embedding: of several fields
// with one name the least nested wins, then the tagged one, else none. Fields
// inside a named struct are left out, since no member of the encoded row is
// theirs alone.
func jsonNames(typ reflect.Type) map[string]string {
	type found struct {
		path   string
		depth  int
		tagged bool
	}
	byName := make(map[string][]found)
	seen := make(map[reflect.Type]bool) // a struct that embeds itself adds nothing new
	var walk func(t reflect.Type, index []int, depth int)
	walk = func(t reflect.Type, index []int, depth int) {
		if seen[t] {
			return
		}
		seen[t] = true
		defer delete(seen, t)
		for i := range t.NumField() {
			f := t.Field(i)
			tag := f.Tag.Get("json")
			if tag == "-" {
				continue
			}
			name, _, _ := strings.Cut(tag, ",")
			path := append(index[:len(index):len(index)], i)
			embedded := f.Type
			if embedded.Kind() == reflect.Pointer {
				embedded = embedded.Elem()
			}
			if f.Anonymous && name == "" && embedded.Kind() == reflect.Struct {
				walk(embedded, path, depth+1)
				continue
			}
			if !f.IsExported() {
				continue
			}
			tagged := name != ""
			if !tagged {
				name = f.Name
			}
			byName[name] = append(byName[name], found{indexPath(path), depth, tagged})
		}
	}
	walk(typ, nil, 0)

	names := make(map[string]string, len(byName))
	for name, fields := range byName {
		best, rivals := fields[0], 0
		for _, f := range fields[1:] {
			switch {
			case f.depth < best.depth, f.depth == best.depth && f.tagged && !best.tagged:
				best, rivals = f, 0
			case f.depth == best.depth && f.tagged == best.tagged:
				rivals++
			}
		}
		if rivals == 0 {
			names[best.path] = name
		}
	}
	return names
}
