package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/pgsource"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

// TestPostgresTakesTheBestSource: the shop follows the log where it may, else it reads
// what triggers record where they are installed, else it polls. Whatever the way,
// after writes over REST and by other processes it agrees with the database.
func TestPostgresTakesTheBestSource(t *testing.T) {
	server := pgtest.Shared(t)
	server.Exec(t, "postgres", "DROP ROLE IF EXISTS shopkeeper", "CREATE ROLE shopkeeper LOGIN")
	t.Cleanup(func() { server.Exec(t, "postgres", "DROP ROLE shopkeeper") })
	for _, way := range []struct {
		source, role string
		triggers     bool
	}{
		{"pgsource", "postgres", false},
		{"pgsource.triggers", "shopkeeper", true},
		{"pollsource", "shopkeeper", false},
	} {
		t.Run(way.source, func(t *testing.T) {
			dsn := server.CreateDatabase(t)
			outside, err := sql.Open("pgx", dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = outside.Close() }()
			dsn = strings.Replace(dsn, "postgres@", way.role+"@", 1)
			if _, err := outside.ExecContext(t.Context(), "GRANT ALL ON SCHEMA public TO PUBLIC"); err != nil {
				t.Fatal(err)
			}
			if way.triggers {
				prepared, err := openPostgres(dsn)
				if err != nil {
					t.Fatal(err)
				}
				err = prepareDatabase(t.Context(), prepared.db, 100)
				if err != nil || prepared.close() != nil {
					t.Fatal(err)
				}
				owner := strings.Replace(dsn, way.role+"@", "postgres@", 1)
				if err := (pgsource.Outbox{Readers: []string{way.role}}).Install(t.Context(), owner, driver.Table{Name: "products"}); err != nil {
					t.Fatal(err)
				}
			}
			r := open(t, dsn, 100)
			r.eventually("watching by "+way.source, func() bool { return r.watchesBy(way.source) })
			converge(t, r, outside)
		})
	}
}

// watchesBy reports whether the shop's source for other processes uses the one of
// that name.
func (r *running) watchesBy(source string) bool {
	r.t.Helper()
	var status struct {
		Sources []struct {
			Name, Via string
			Watching  bool
		}
	}
	_, _, body := r.do("GET", "admin/api/status", http.Header{"Authorization": {"Bearer " + adminToken}})
	if err := json.Unmarshal(body, &status); err != nil {
		r.t.Fatalf("%v: %s", err, body)
	}
	for _, s := range status.Sources {
		if s.Name == "pgsource.best" {
			return s.Watching && s.Via == source
		}
	}
	return false
}

// converge writes at once over REST and as several other processes do, and waits until
// the shop agrees with the database.
func converge(t *testing.T, r *running, outside *sql.DB) {
	t.Helper()
	exec := func(ctx context.Context, statement string, args ...any) {
		if _, err := outside.ExecContext(ctx, statement, args...); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(w)))
			for range 30 {
				id := 1 + random.IntN(90)
				switch random.IntN(5) {
				case 0:
					exec(t.Context(), "INSERT INTO products (name, venue, price, active) VALUES ($1, 'online', $2, true)", fmt.Sprint("new ", random.Int()), random.IntN(5000))
				case 1:
					exec(t.Context(), "DELETE FROM products WHERE id = $1", id)
				case 2:
					exec(t.Context(), "UPDATE products SET id = id + 10000 WHERE id = $1", id)
				case 3:
					exec(t.Context(), "UPDATE products SET price = price + 1 WHERE id % 7 = $1", id%7)
				default:
					exec(t.Context(), "UPDATE products SET active = NOT active WHERE id = $1", id)
				}
			}
		})
	}
	writers.Go(func() {
		for i := range 30 {
			code, _, body := r.do("PATCH", fmt.Sprintf("api/products/%d", 1+3*i), http.Header{"Content-Type": {"application/json"}}, fmt.Sprintf(`{"name":"patched %d"}`, i))
			if code != http.StatusOK && code != http.StatusNotFound {
				t.Errorf("PATCH: %d %s", code, body)
			}
		}
	})
	writers.Wait()
	last := time.Now()
	want := everythingOutside(t, outside)
	r.eventually("the same as in the database", func() bool {
		_, _, body := r.do("GET", "api/everything", nil)
		return bytes.Equal(withoutTimes(t, body), want)
	})
	t.Logf("agreed %v after the last write", time.Since(last).Round(time.Millisecond))
}

// everythingOutside is what the database has, as the shop's rows show it.
func everythingOutside(t *testing.T, outside *sql.DB) []byte {
	t.Helper()
	var body []byte
	err := outside.QueryRowContext(t.Context(), `SELECT coalesce(json_agg(json_build_object(
		'id', id, 'name', name, 'venue', venue, 'price', price, 'active', active) ORDER BY id), '[]') FROM products`).Scan(&body)
	if err != nil {
		t.Fatal(err)
	}
	return withoutTimes(t, body)
}

// withoutTimes leaves out of the rows when they were changed, and how they are
// spelled.
func withoutTimes(t *testing.T, body []byte) []byte {
	t.Helper()
	var rows []struct {
		ID     int     `json:"id"`
		Name   string  `json:"name"`
		Venue  string  `json:"venue"`
		Price  float64 `json:"price"`
		Active bool    `json:"active"`
	}
	if err := json.Unmarshal(body, &rows); err != nil {
		t.Fatalf("%v: %.200s", err, body)
	}
	text, err := json.Marshal(rows)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
