package rest

import (
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/transports/internal/ending"
	"github.com/binderyhq/bindery/transports/internal/problem"
	"github.com/binderyhq/bindery/transports/rest/internal/access"
	"github.com/binderyhq/bindery/transports/rest/internal/exchange"
	"github.com/binderyhq/bindery/transports/rest/internal/request"
	"github.com/binderyhq/bindery/transports/rest/internal/writing"
)

// resource answers the requests for one kind of URL. It returns a problem to answer
// with, or the error of writing the answer, or [access.ErrScopeChanged].
type resource func(*exchange.Exchange) (*problem.Problem, error)

// serve returns the handler of a resource whose query has these parameters of its own.
// The handler opens the binding, and begins again if the authorizer changes its mind
// meanwhile.
func (t *Transport) serve(answer resource, params ...string) echo.HandlerFunc {
	return t.meter.Count(func(c echo.Context) error {
		x := exchange.New(c)
		x.Prefix, x.MinCompress = t.prefix.Of(x.R), t.cfg.MinCompress
		defer ending.LimitBody(x.W, x.R, t.cfg.BodyTimeout, t.stopping, t.servers.Of(x.R)).End()
		defer x.Sent.Close()
		exposeHeaders(x.W.Header())
		values, args, p := request.Parameters(x.R.URL.RawQuery, params)
		x.Params = values
		for again := 0; p == nil; again++ {
			if p = t.opener.Open(&x, request.Name(x.R, c.Param("binding")), args); p != nil {
				break
			}
			var err error
			p, err = answered(&x, answer)
			switch {
			case err == nil && p == nil:
				return nil
			case errors.Is(err, access.ErrScopeChanged) && again < access.Reopenings:
			case errors.Is(err, access.ErrScopeChanged):
				p = problem.Unavailable("what may be seen here is changing")
			case err != nil:
				return err
			}
		}
		return p.Write(x.W, x.R)
	})
}

// answered lets the resource answer, and closes the grant even if the application's
// code panics.
func answered(x *exchange.Exchange, answer resource) (*problem.Problem, error) {
	defer x.Grant.Close()
	return answer(x)
}

// byPath answers requests whose method has no route, because Echo does not know it. The
// resource at the path then says that it does not support the method.
func byPath(list, row, nothing echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		binding, key, isRow := strings.Cut(c.Param("*"), "/")
		switch {
		case binding == "" || strings.Contains(key, "/"):
			return nothing(c)
		case isRow:
			c.SetParamNames("binding", "key")
			c.SetParamValues(binding, key)
			return row(c)
		default:
			c.SetParamNames("binding")
			c.SetParamValues(binding)
			return list(c)
		}
	}
}

// nothing answers for paths that no binding can have.
func nothing(c echo.Context) error {
	exchange.StepOut(c.Response())
	return problem.NotFound("there is nothing at this path").Write(c.Response(), c.Request())
}

// list answers for a binding as a whole.
func (t *Transport) list(x *exchange.Exchange) (*problem.Problem, error) {
	allow, writable := "GET, HEAD, OPTIONS", x.View.WriteRules().Writable
	if writable {
		allow += ", POST"
	}
	switch {
	case x.R.Method == http.MethodGet, x.R.Method == http.MethodHead:
		return t.reader.List(x)
	case x.R.Method == http.MethodPost && writable:
		return t.writer.Insert(x)
	default:
		return refuse(x, allow)
	}
}

// row answers for one row.
func (t *Transport) row(x *exchange.Exchange) (*problem.Problem, error) {
	allow, writable := "GET, HEAD, OPTIONS", x.View.WriteRules().Writable
	if writable {
		allow += ", PUT, PATCH, DELETE"
	}
	switch x.R.Method {
	case http.MethodGet, http.MethodHead:
		return t.reader.Row(x)
	case http.MethodPut, http.MethodPatch, http.MethodDelete:
		if writable {
			return t.writer.Change(x)
		}
	case http.MethodOptions:
		if writable {
			x.W.Header().Set("Accept-Patch", writing.TypeMergePatch+", "+writing.TypeJSON)
		}
	}
	return refuse(x, allow)
}

// refuse answers OPTIONS, and methods that the resource does not support.
func refuse(x *exchange.Exchange, allow string) (*problem.Problem, error) {
	x.W.Header().Set("Allow", allow)
	if x.R.Method != http.MethodOptions {
		return problem.MethodNotAllowed(x.R.Method), nil
	}
	x.W.WriteHeader(http.StatusNoContent)
	return nil, nil
}

// exposeHeaders lets scripts from other origins read the transport's headers, if CORS
// middleware lets them read the answer at all.
func exposeHeaders(h http.Header) {
	if h.Get("Access-Control-Allow-Origin") != "" && h.Get("Access-Control-Expose-Headers") == "" {
		h.Set("Access-Control-Expose-Headers", "Bindery-Mark, Content-Location, ETag, Last-Modified, Link, Location, Preference-Applied, Retry-After, X-Total-Count")
	}
}
