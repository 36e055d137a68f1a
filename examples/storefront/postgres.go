package main

import (
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/pollsource"
)

func openPostgres(dsn string) (*database, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("storefront: -db %q: %w", redact(dsn), err)
	}
	cfg.RuntimeParams["application_name"] = "storefront"
	db := bunsource.OpenConnector(stdlib.GetConnector(*cfg), pgdialect.New())
	return &database{db: db, others: []driver.Source{
		pollsource.New(pollEvery, pollsource.XMin(db, 0)),
	}}, nil
}
