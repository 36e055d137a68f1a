package main

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/plugins/admin"
	"github.com/binderyhq/bindery/plugins/metrics"
)

// region operate

// operate mounts what operators look at.
func (k *kitchen) operate(adminToken string) {
	k.registry.Use(metrics.New(k.echo.Group("/metrics")))
	if adminToken != "" {
		k.registry.Use(admin.New(k.echo.Group("/admin"), admin.Config{Token: adminToken}))
	}
	k.echo.GET("/healthz", func(c echo.Context) error { return c.String(http.StatusOK, "ok\n") })
	k.echo.GET("/readyz", func(c echo.Context) error {
		code := http.StatusServiceUnavailable
		ready := k.registry.Ready()
		if ready.Ready {
			code = http.StatusOK
		}
		return c.JSON(code, ready)
	})
}

// endregion
