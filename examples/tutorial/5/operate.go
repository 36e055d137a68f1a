package main

import (
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/plugins/admin"
	"github.com/binderyhq/bindery/plugins/health"
	"github.com/binderyhq/bindery/plugins/metrics"
)

// region operate

// operate mounts what operators look at, and returns what the end begins with.
func (k *kitchen) operate(adminToken string, drain health.Config) *health.Health {
	k.registry.Use(metrics.New(k.echo.Group("/metrics")))
	if adminToken != "" {
		k.registry.Use(admin.New(k.echo.Group("/admin"), admin.Config{Token: adminToken}))
	}
	h := health.New(k.registry, drain)
	k.echo.GET("/healthz", echo.WrapHandler(h.Live()))
	k.echo.GET("/readyz", echo.WrapHandler(h.Ready()))
	return h
}

// production is how the board ends when nobody is in a hurry.
var production = health.Config{Delay: 3 * time.Second, Spread: 5 * time.Second}

// endregion
