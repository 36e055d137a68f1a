package rest

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/binderyhq/bindery/transports/internal/ending"
	"github.com/binderyhq/bindery/transports/internal/problem"
)

// sentBody is the body of a request, which can be read once, and a request be
// begun anew.
type sentBody struct {
	done  bool
	bytes []byte
	p     *problem.Problem
}

func (b *sentBody) read(from func() ([]byte, *problem.Problem)) ([]byte, *problem.Problem) {
	if !b.done {
		b.bytes, b.p = from()
		b.done = true
	}
	return b.bytes, b.p
}

// readBody reads the body of a write.
func (t *Transport) readBody(x exchange, accepted []string) ([]byte, *problem.Problem) {
	if !isOf(x.r.Header, accepted) {
		text := strings.Join(accepted, ", ")
		// Accept-Patch: RFC 5789. Accept-Post: W3C, Linked Data Platform 1.0.
		switch x.r.Method {
		case http.MethodPatch:
			x.w.Header().Set("Accept-Patch", text)
		case http.MethodPost:
			x.w.Header().Set("Accept-Post", text)
		}
		return nil, problem.UnsupportedMediaType(text)
	}
	if x.r.Method == http.MethodPut && x.r.Header["Content-Range"] != nil {
		return nil, problem.MalformedBody("it is a part, by Content-Range, and rows are replaced whole") // RFC 9110, section 14.5
	}
	if x.r.ContentLength > t.cfg.MaxBody {
		// Unread, so that a client that waits for "100 Continue" sends nothing.
		return nil, problem.TooLarge(t.cfg.MaxBody)
	}
	body, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, t.cfg.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, problem.TooLarge(t.cfg.MaxBody)
	case errors.Is(err, ending.ErrBodyCut):
		ending.CloseConnection(x.w, x.r)
		return nil, problem.ShuttingDown()
	case errors.Is(err, ending.ErrSlowBody):
		t.slowBodies.Add(1)
		ending.CloseConnection(x.w, x.r)
		return nil, problem.SlowBody(t.cfg.BodyTimeout)
	case err != nil: // also where the client has closed its half of the connection, and reads on
		return nil, problem.MalformedBody("it could not be read to its end")
	case !utf8.Valid(body) && encoded(x.r.Header):
		return nil, problem.UnsupportedMediaType("bodies without a Content-Encoding")
	case !utf8.Valid(body):
		// encoding/json would replace what it cannot read, and the database
		// would keep the replacement.
		return nil, problem.MalformedBody("it is not UTF-8")
	case loneSurrogate(body):
		return nil, problem.MalformedBody("it has half of a surrogate pair, which is no character")
	case body == nil:
		body = []byte{}
	}
	return body, nil
}

// loneSurrogate reports whether a text in the JSON has an escape of half a surrogate
// pair, which encoding/json would replace as well. What is no JSON is left to it.
func loneSurrogate(body []byte) bool {
	half := func(at int) uint64 { // the code unit that is escaped there
		if at+6 > len(body) || body[at] != '\\' || body[at+1] != 'u' {
			return 0
		}
		unit, err := strconv.ParseUint(string(body[at+2:at+6]), 16, 16)
		if err != nil {
			return 0
		}
		return unit
	}
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' {
			continue
		}
		switch unit := half(i); {
		case unit >= 0xd800 && unit < 0xdc00:
			if low := half(i + 6); low < 0xdc00 || low >= 0xe000 {
				return true
			}
			i += 11
		case unit >= 0xdc00 && unit < 0xe000:
			return true
		default:
			i++ // what is escaped, which may be another backslash
		}
	}
	return false
}

// isOf reports whether the body is declared to be of one of the types, in
// UTF-8, which is JSON's only charset.
func isOf(h http.Header, types []string) bool {
	name, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	charset, named := params["charset"]
	return err == nil && slices.Contains(types, name) && (!named || strings.EqualFold(charset, "utf-8"))
}

// encoded reports whether the body was sent in a content coding. Middleware
// that undoes it leaves the header, so this alone is no reason to refuse.
func encoded(h http.Header) bool {
	text := h.Get("Content-Encoding")
	return text != "" && !strings.EqualFold(text, "identity")
}
