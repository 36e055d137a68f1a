package main

import (
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/pgsource"
	"github.com/binderyhq/bindery/sources/pollsource"
)

func openPostgres(dsn string) (*database, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("storefront: -db %q: %w", redact(dsn), err)
	}
	cfg.RuntimeParams["application_name"] = "storefront"
	db := bunsource.OpenConnector(stdlib.GetConnector(*cfg), pgdialect.New())
	// The log shows what other processes write at once, triggers nearly so. Where
	// the server and the role allow neither, polling finds it.
	polling := pollsource.New(pollEvery, pollsource.XMin(db, 0))
	// Whatever else the DSN says, the password among it, may change.
	name := fmt.Sprintf("postgres://%s@%s:%d/%s", cfg.User, cfg.Host, cfg.Port, cfg.Database)
	return &database{db: db, name: name, others: []driver.Source{pgsource.NewBest(dsn, polling)}}, nil
}
