// Package outer looks at what middleware has put between a handler and the
// server's own [http.ResponseWriter].
//
// Compressing middleware spoils answers that are compressed already, or that
// bear a strong tag: some of it compresses whatever has a Content-Encoding, and
// all of it leaves the tag of the plain body on the compressed one. Middleware
// that keeps a copy of each answer keeps a stream for as long as it lasts. A
// handler cannot ask a writer for such habits, so they are told by its type:
// its name, and what it holds.
package outer

import (
	"net/http"
	"reflect"
	"strings"
	"sync"
)

// Habits are what a writer does with an answer, beside passing it on.
type Habits uint8

// The habits that matter.
const (
	// Compresses: in a content coding of its own choice.
	Compresses Habits = 1 << iota
	// Copies: all that is written, into memory.
	Copies
)

// depth bounds how many writers around each other are looked at.
const depth = 32

// Peel takes writers off that have one of the habits, from the handler's side,
// and returns the one to write to. A writer stays when it does not show what it
// wraps, and so does everything behind a writer without these habits.
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

// Find returns the habits of all writers from w to the server's, as far as they
// can be seen.
func Find(w http.ResponseWriter) Habits {
	if w == nil || terminal(w) {
		return 0
	}
	return find(reflect.ValueOf(w), depth)
}

// Own reports whether the writer is a server's own: it wraps no other, and the
// header is out once it was written.
func Own(w http.ResponseWriter) bool { return terminal(w) }

// terminals remembers for each type of writer whether it is a server's own.
var terminals sync.Map // reflect.Type -> bool

// terminal reports whether the writer wraps no other. Most requests have no
// other, so this is what they pay.
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

// unwrap returns the writer that w wraps, nil when it does not show it: by the
// method that [http.ResponseController] asks for, or embedded as people do who
// write a wrapper of ten lines.
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

// strct returns the struct that v is or leads to, the zero Value when there is
// none.
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

// find looks at the writer and at those that it holds, shown or not.
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

// packageName returns the path of the type's package from its last element but
// one on: github.com/klauspost/compress/zstd is known by either.
func packageName(t reflect.Type) string {
	parts := strings.Split(t.PkgPath(), "/")
	return strings.Join(parts[max(0, len(parts)-2):], "/")
}

// named tells the habits of what bears the name.
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
