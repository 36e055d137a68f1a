package main

import (
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/binderyhq/bindery/sources/bunsource"
)

// sqliteOptions let readers and the writer work side by side.
const sqliteOptions = "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_txlock=immediate"

// openSQLite opens the file by the name of its driver.
func openSQLite(path string) (*bun.DB, error) {
	dsn := "file:" + path + sqliteOptions
	// region open
	db, err := bunsource.Open("sqlite", dsn, sqlitedialect.New()) // was: sql.Open, then bun.NewDB
	// endregion
	return db, err
}

// openPostgres opens the database by pgx, which is configured in code.
func openPostgres(dsn string) (*bun.DB, error) {
	// region pgx
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	db := bunsource.OpenConnector(stdlib.GetConnector(*cfg), pgdialect.New()) // was: stdlib.OpenDB(*cfg), then bun.NewDB
	// endregion
	return db, nil
}

// openBoth keeps a *sql.DB of one's own: for sqlx, sqlc, migrations.
func openBoth(cfg pgx.ConnConfig) (*sql.DB, *bun.DB) {
	// region wrap
	sqldb := sql.OpenDB(bunsource.WrapConnector(stdlib.GetConnector(cfg))) // was: stdlib.OpenDB(cfg)
	db := bun.NewDB(sqldb, pgdialect.New())                                // as it was; or new, if there was no Bun
	// endregion
	return sqldb, db
}

func isSQLite(db *bun.DB) bool { return db.Dialect().Name() == dialect.SQLite }
