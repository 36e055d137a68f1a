package writing

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/transports/internal/ending"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/rest/internal/exchange"
)

// readBody reads the body of a write.
func (w *Writer) readBody(x *exchange.Exchange, accepted []string) ([]byte, *problem.Problem) {
	if !isOf(x.R.Header, accepted) {
		text := strings.Join(accepted, ", ")
		// Accept-Patch: RFC 5789. Accept-Post: W3C, Linked Data Platform 1.0.
		switch x.R.Method {
		case http.MethodPatch:
			x.W.Header().Set("Accept-Patch", text)
		case http.MethodPost:
			x.W.Header().Set("Accept-Post", text)
		}
		return nil, problem.UnsupportedMediaType(text)
	}
	if x.R.Method == http.MethodPut && x.R.Header["Content-Range"] != nil {
		return nil, problem.MalformedBody("it is a part, by Content-Range, and rows are replaced whole") // RFC 9110, section 14.5
	}
	if x.R.ContentLength > w.MaxBody {
		// Nothing is read, so a client that waits for "100 Continue" sends nothing.
		return nil, problem.TooLarge(w.MaxBody)
	}
	come := &sent{from: http.MaxBytesReader(x.W, x.R.Body, w.MaxBody), reserve: w.Registry.Reserve}
	x.Sent.Held(come.release)
	body, err := io.ReadAll(come)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, core.ErrBudget):
		ending.CloseConnection(x.W, x.R) // the rest of the body is not read
		return nil, problem.Crowded()
	case errors.As(err, &tooLarge):
		return nil, problem.TooLarge(w.MaxBody)
	case errors.Is(err, ending.ErrBodyCut):
		ending.CloseConnection(x.W, x.R)
		return nil, problem.ShuttingDown()
	case errors.Is(err, ending.ErrSlowBody):
		w.SlowBodies.Add(1)
		ending.CloseConnection(x.W, x.R)
		return nil, problem.SlowBody(w.BodyTimeout)
	case err != nil: // also if the client has closed its half of the connection, and reads on
		return nil, problem.MalformedBody("it could not be read to its end")
	case !utf8.Valid(body) && encoded(x.R.Header):
		return nil, problem.UnsupportedMediaType("bodies without a Content-Encoding")
	case !utf8.Valid(body):
		// encoding/json would replace the bad bytes, and the database would keep the
		// replacement.
		return nil, problem.MalformedBody("it is not UTF-8")
	case loneSurrogate(body):
		return nil, problem.MalformedBody("it has half of a surrogate pair, which is no character")
	case body == nil:
		body = []byte{}
	}
	return body, nil
}

// isOf reports whether Content-Type names one of the types, in UTF-8, the only charset
// of JSON.
func isOf(h http.Header, types []string) bool {
	name, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	charset, named := params["charset"]
	return err == nil && slices.Contains(types, name) && (!named || strings.EqualFold(charset, "utf-8"))
}

// encoded reports whether the client sent the body in a content coding. Middleware
// may have decoded the body and left the header, so this alone is no reason to refuse
// it.
func encoded(h http.Header) bool {
	text := h.Get("Content-Encoding")
	return text != "" && !strings.EqualFold(text, "identity")
}
