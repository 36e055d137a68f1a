package rest

import (
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/transports/rest/internal/resttest"
)

type (
	product = resttest.Product
	record  = resttest.Record
)

var (
	do   = resttest.Do
	want = resttest.Want
	body = resttest.Body
	take = resttest.Take
)

func decode[T any](t testing.TB, res *http.Response) T {
	t.Helper()
	return resttest.Decode[T](t, res)
}

// shop is a registry with products, served under /api.
type shop struct {
	*resttest.Shop
	rest *Transport
}

// newShop serves n products as "products" under /api.
func newShop(t testing.TB, n int, cfg ...Config) *shop {
	t.Helper()
	return newAuthorizedShop(t, n, nil, cfg...)
}

// newAuthorizedShop is newShop with an authorizer, nil for none.
func newAuthorizedShop(t testing.TB, n int, authorizer core.Authorizer, cfg ...Config) *shop {
	t.Helper()
	s := &shop{}
	s.Shop = resttest.NewShop(t, n, authorizer, func(e *echo.Echo) core.Transport {
		s.rest = New(e.Group("/api"), cfg...)
		return s.rest
	})
	return s
}

// store is a registry with records, served under /api.
type store struct {
	*resttest.Store
	rest *Transport
}

// newStore serves the records. Requests are made by whom the header Principal names.
func newStore(t testing.TB, authorizer core.Authorizer, cfg Config, opts ...core.Option) *store {
	t.Helper()
	s := &store{}
	s.Store = resttest.NewStore(t, authorizer, func(e *echo.Echo) core.Transport {
		s.rest = New(e.Group("/api"), cfg)
		return s.rest
	}, opts...)
	return s
}
