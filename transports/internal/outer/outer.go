// Package outer inspects the middleware between a handler and the server's own
// [http.ResponseWriter].
//
// Compressing middleware spoils answers that are compressed already or have a strong
// ETag: some of it compresses even answers with a Content-Encoding, and all of it
// leaves the ETag of the plain body on the compressed one. Middleware that copies each
// answer keeps a whole stream in memory. A handler cannot ask a writer for these
// habits, so this package recognises them by the writer's type: its name, and its
// fields.
package outer

import (
	"net/http"
	"reflect"
	"strings"
	"sync"
)

// Habits are the side effects of a writer on an answer.
type Habits uint8

// The habits that matter.
const (
	// Compresses: the writer compresses answers, in a content coding of its choice.
	Compresses Habits = 1 << iota
	// Copies: the writer keeps a copy of the whole answer in memory.
	Copies
)

// depth bounds how many nested writers are inspected.
const depth = 32

// Peel removes writers with one of the habits, from the handler's side, and returns the
// writer to use. It stops at a writer without these habits, and at one that hides the
// writer it wraps.
func Peel(w http.ResponseWriter, habits Habits) (below http.ResponseWriter, peeled bool) {
	for range depth {
		if terminal(w) || habitsOf(reflect.ValueOf(w))&habits == 0 {
			break
		}
		next := unwrap(w)
		if next == nil {
			break
		}
		w, peeled = next, true
	}
	return w, peeled
}

// Find returns the habits of all writers from w to the server's, as far as they are
// visible.
func Find(w http.ResponseWriter) Habits {
	if w == nil || terminal(w) {
		return 0
	}
	return find(reflect.ValueOf(w), depth)
}

// Own reports whether the writer is a server's own: it wraps no other, so a header that
// was written is out.
func Own(w http.ResponseWriter) bool { return terminal(w) }

// terminals remembers for each type of writer whether it is a server's own.
var terminals sync.Map // reflect.Type -> bool

// terminal reports whether the writer wraps no other. For most requests this is the
// only check.
func terminal(w http.ResponseWriter) bool {
	t := reflect.TypeOf(w)
	if is, ok := terminals.Load(t); ok {
		return is.(bool)
	}
	is := isTerminal(t)
	terminals.Store(t, is)
	return is
}

func isTerminal(t reflect.Type) bool {
	t = elem(t)
	switch t.PkgPath() {
	case "net/http", "golang.org/x/net/http2":
		return t.Name() != "timeoutWriter"
	case "net/http/httptest":
		return true
	}
	return false
}

func elem(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

var responseWriter = reflect.TypeFor[http.ResponseWriter]()

// unwrap returns the writer that w wraps, or nil if w hides it. It uses the method
// Unwrap, as [http.ResponseController] does, or an embedded field, which short wrappers
// often have.
func unwrap(w http.ResponseWriter) http.ResponseWriter {
	if u, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		return u.Unwrap()
	}
	v := strct(reflect.ValueOf(w))
	if !v.IsValid() {
		return nil
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.Anonymous || !f.IsExported() || f.Type != responseWriter || v.Field(i).IsNil() {
			continue
		}
		if next, ok := v.Field(i).Interface().(http.ResponseWriter); ok {
			return next
		}
	}
	return nil
}

// strct returns the struct that v is or leads to, or the zero Value.
func strct(v reflect.Value) reflect.Value {
	for range depth {
		switch v.Kind() {
		case reflect.Pointer, reflect.Interface:
			v = v.Elem() // of nil: the zero Value
		case reflect.Struct:
			return v
		default:
			return reflect.Value{}
		}
	}
	return reflect.Value{}
}

// find returns the habits of the writer and of those in its fields, whether it unwraps
// to them or not.
func find(v reflect.Value, left int) Habits {
	habits := habitsOf(v)
	s := strct(v)
	if left == 0 || !s.IsValid() || isTerminal(s.Type()) {
		return habits
	}
	for i := range s.NumField() {
		f := s.Field(i)
		if f.Kind() == reflect.Interface {
			f = f.Elem()
		}
		if f.IsValid() && f.Type().Implements(responseWriter) {
			habits |= find(f, left-1)
		}
	}
	return habits
}

// habitsOf returns the habits of the writer itself.
func habitsOf(v reflect.Value) Habits {
	s := strct(v)
	if !s.IsValid() || isTerminal(s.Type()) {
		return 0
	}
	habits := named(s.Type().Name())
	for i := range s.NumField() {
		f := s.Field(i)
		if f.Kind() == reflect.Interface {
			f = f.Elem()
		}
		if !f.IsValid() {
			continue
		}
		if f.Type().Implements(responseWriter) {
			// A struct without a name adds or hides methods of another writer,
			// which unwraps itself.
			if s.Type().Name() == "" {
				habits |= habitsOf(f)
			}
			continue
		}
		switch t := elem(f.Type()); {
		case t.PkgPath() == "io" && t.Name() == "multiWriter":
			habits |= Copies
		case t.Kind() == reflect.Struct && strings.HasSuffix(t.Name(), "Writer"):
			habits |= named(packageName(t)) & Compresses
		}
	}
	return habits
}

// packageName returns the last two elements of the type's package path:
// github.com/klauspost/compress/zstd is recognised by either.
func packageName(t reflect.Type) string {
	parts := strings.Split(t.PkgPath(), "/")
	return strings.Join(parts[max(0, len(parts)-2):], "/")
}

// named returns the habits that a name suggests.
func named(name string) Habits {
	name = strings.ToLower(name)
	var habits Habits
	for _, sign := range []string{"gzip", "compress", "deflate", "flate", "brotli", "zstd"} {
		if strings.Contains(name, sign) {
			habits |= Compresses
		}
	}
	if strings.Contains(name, "dump") {
		habits |= Copies
	}
	return habits
}
