package exchange

import (
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
	"github.com/binderyhq/bindery/transports/rest/internal/coding"
	"github.com/binderyhq/bindery/transports/rest/internal/content"
)

// Header values that many answers share. net/http only reads them.
var (
	NoStore      = []string{"no-store"}
	VaryEncoding = []string{"Accept-Encoding"}

	jsonType = []string{"application/json"}
)

// Exchange is one request and its answer.
type Exchange struct {
	W      http.ResponseWriter
	R      *http.Request
	Params map[string]string // of the query, without those that name a family's member
	Key    string            // the part of the path that names a row, as Echo found it
	Prefix string            // of the paths in links
	App    *echo.Echo        // its Validator checks the rows of writes

	// Grant is the client's leave to use the binding, and View is the grant's view.
	Grant *core.Grant
	View  *live.View

	// Sent keeps the body of the request, so that the request can be begun anew.
	Sent Body

	// MinCompress is the size of the smallest body that is compressed, in bytes;
	// a negative one means that no body is.
	MinCompress int

	outside outside
}

// New returns the exchange of an Echo request. Answers go around middleware that
// would compress them, where that is possible.
func New(c echo.Context) Exchange {
	outside := stepOut(c.Response())
	return Exchange{W: c.Response(), R: c.Request(), Key: c.Param("key"), App: c.Echo(), outside: outside}
}

// Compressible reports whether the content is long enough to be compressed, and may
// be.
func (x *Exchange) Compressible(c *content.Content) bool {
	return !x.outside.plain && x.MinCompress >= 0 && c.Size() >= x.MinCompress
}

// Coding chooses the coding of an answer without preconditions.
func (x *Exchange) Coding(c *content.Content) coding.Coding {
	if !x.Compressible(c) {
		return coding.Identity
	}
	return coding.ParseAccept(x.R.Header["Accept-Encoding"]).Best()
}

// SetETag sets the tag of the content in the coding. The tag is weak if middleware
// may compress the body: then the server does not know the bytes that the client gets
// (RFC 9110, section 8.8.1).
func (x *Exchange) SetETag(c *content.Content, in coding.Coding) {
	tag := c.ETag(in)
	if x.outside.compressed {
		tag = []string{"W/" + tag[0]}
	}
	x.W.Header()["Etag"] = tag
}

// Write answers with the content's body in the coding.
func (x *Exchange) Write(status int, c *content.Content, in coding.Coding) error {
	body, h := c.Body(in), x.W.Header()
	h["Content-Type"] = jsonType
	if !x.outside.compressed { // or else nobody knows the length yet
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	if in != coding.Identity {
		h["Content-Encoding"] = in.Header()
	}
	x.W.WriteHeader(status)
	if x.R.Method == http.MethodHead {
		return nil
	}
	_, err := x.W.Write(body)
	return err
}

// AddHeader adds values to a header that middleware may have set already. Answers
// share the values, so it copies them rather than append to them.
func AddHeader(h http.Header, name string, values []string) {
	if was := h[name]; len(was) > 0 {
		values = append(was[:len(was):len(was)], values...)
	}
	h[name] = values
}
