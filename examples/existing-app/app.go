package main

import (
	"database/sql"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/uptrace/bun"
)

// deskOrigin is where the staff's pages come from: another origin than the API.
const deskOrigin = "https://desk.example"

// app is the application as it was before Bindery came.
type app struct {
	echo     *echo.Echo
	db       *bun.DB
	sqldb    *sql.DB // the same database, for what is written without Bun
	sessions *sessions
	tokenKey []byte
}

func newApp(db *bun.DB, tokenKey []byte) *app {
	a := &app{echo: echo.New(), db: db, sqldb: db.DB, sessions: newSessions(), tokenKey: tokenKey}
	e := a.echo
	e.HideBanner, e.HidePort = true, true

	// region cors
	e.Use(middleware.CORSWithConfig(middleware.CORSConfig{
		AllowOrigins:     []string{deskOrigin},
		AllowCredentials: true,
		AllowHeaders:     []string{"Authorization", "Content-Type", "If-Match", "If-None-Match", "Prefer", "Last-Event-ID", "Bindery-Mark"},
	}))
	// endregion
	// region csrf
	csrf := http.NewCrossOriginProtection()
	if err := csrf.AddTrustedOrigin(deskOrigin); err != nil {
		panic(err) // it is a constant
	}
	e.Use(echo.WrapMiddleware(csrf.Handler))
	// endregion
	e.Use(middleware.Recover(), middleware.Gzip())

	e.POST("/login", a.login)
	e.GET("/tickets", a.list, a.bySession)
	e.POST("/tickets/:id/close", a.closeTicket, a.bySession)
	return a
}

// list is the endpoint that pages polled.
func (a *app) list(c echo.Context) error {
	var tickets []Ticket
	if err := a.db.NewSelect().Model(&tickets).Where("open").Order("id").Scan(c.Request().Context()); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, tickets)
}

func (a *app) closeTicket(c echo.Context) error {
	_, err := a.db.NewUpdate().Model((*Ticket)(nil)).
		Set("open = ?", false).Set("updated_at = ?", time.Now()).
		Where("id = ?", c.Param("id")).Exec(c.Request().Context())
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
