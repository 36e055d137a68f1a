package exchange

import (
	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/transports/internal/outer"
)

// outside says what middleware around the handler does to the answer.
type outside struct {
	compressed bool // it may compress the answer
	plain      bool // so the answer is not to be compressed here
}

// stepOut makes the answer go around compressing middleware: this package compresses
// each version once, and its tags name the coding. Middleware that hides the writer
// behind it is left to compress.
//
// The answer must also be plain if the writer behind such middleware does not send
// the header at once. The middleware sees that nothing was written through it, and
// then removes the Content-Encoding that was set here.
func stepOut(res *echo.Response) outside {
	h := res.Header()
	below, peeled := outer.Peel(res.Writer, outer.Compresses)
	if peeled {
		res.Writer = below
		h.Del("Content-Encoding") // some middleware sets it in advance
	}
	compressed := outer.Find(below)&outer.Compresses != 0 || h["Content-Encoding"] != nil
	return outside{compressed: compressed, plain: compressed || peeled && !outer.Own(below)}
}

// StepOut makes an answer without a body of a binding go around compressing
// middleware.
func StepOut(res *echo.Response) { stepOut(res) }
