package sqlitesource_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/value"
	"github.com/binderyhq/bindery/sources/sqlitesource"
)

const timeout = 60 * time.Second

func schemaOf(name string, key ...string) driver.Schema {
	s := driver.Schema{Table: driver.Table{Name: name}}
	for _, k := range key {
		column, kind, _ := strings.Cut(k, " ")
		kinds := map[string]value.Kind{"": value.KindInt, "text": value.KindText, "blob": value.KindBytes, "real": value.KindFloat, "time": value.KindTime}
		s.Key = append(s.Key, column)
		s.Columns = append(s.Columns, driver.Column{Name: column, Kind: kinds[kind]})
	}
	return s
}

// rig is a watched database. A follower reads on a connection of its own what
// each report names, when it is reported, and so must come to hold what the
// database does.
type rig struct {
	t       testing.TB
	dsn     string
	source  *sqlitesource.Source
	db      *sql.DB // watched
	plain   *sql.DB // not watched: another process, as far as the source can tell
	sink    *coretest.Sink
	schemas []driver.Schema

	mu   sync.Mutex
	held map[driver.Table]map[driver.Key]string
	read error
}

var quiet = sqlitesource.Config{Interval: -1}

func newRig(t testing.TB, cfg sqlitesource.Config, setup []string, schemas ...driver.Schema) *rig {
	t.Helper()
	r := &rig{t: t, schemas: schemas, held: map[driver.Table]map[driver.Key]string{}}
	r.dsn = "file:" + filepath.Join(t.TempDir(), "test.db") + "?_pragma=busy_timeout(60000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_pragma=synchronous(OFF)&_txlock=immediate"
	var err error
	if r.source, err = sqlitesource.New(r.dsn, cfg); err != nil {
		t.Fatal(err)
	}
	r.db = sql.OpenDB(r.source.Connector())
	if r.plain, err = sql.Open("sqlite", r.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.db.Close(); r.plain.Close() })
	r.execOn(r.plain, setup...)
	for i := range schemas {
		r.held[schemas[i].Table] = r.rows(&schemas[i])
	}
	r.sink = &coretest.Sink{Schemas: schemas, OnReport: r.follow}
	r.watch()
	return r
}

func (r *rig) watch() {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.source.Watch(ctx, r.sink) }()
	r.t.Cleanup(func() {
		cancel()
		<-done
	})
	r.await("watching", func(rec *coretest.Record) bool { return rec.Watching > 0 })
}

func (r *rig) await(what string, condition func(*coretest.Record) bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := r.sink.Await(ctx, condition); err != nil {
		r.t.Fatalf("waiting for %s: %v; reported: %v", what, err, r.sink.Record().Changes)
	}
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (r *rig) execOn(db execer, statements ...string) {
	r.t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(context.Background(), s); err != nil {
			r.t.Fatalf("%s: %v", s, err)
		}
	}
}

func (r *rig) exec(statements ...string) { r.t.Helper(); r.execOn(r.db, statements...) }

// rows reads a table.
func (r *rig) rows(s *driver.Schema) map[driver.Key]string {
	out := map[driver.Key]string{}
	name := `"` + s.Table.Name + `"`
	if s.Table.Schema != "" {
		name = s.Table.Schema + "." + name
	}
	rows, err := r.plain.Query("SELECT * FROM " + name)
	if err != nil {
		r.fail(err)
		return out
	}
	defer rows.Close()
	names, _ := rows.Columns()
	for rows.Next() {
		vals := make([]any, len(names))
		dest := make([]any, len(names))
		for i := range vals {
			dest[i] = &vals[i]
		}
		if err := rows.Scan(dest...); err != nil {
			r.fail(err)
		}
		var key []any
		for _, k := range s.Key {
			key = append(key, vals[slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, k) })])
		}
		k, err := s.MakeKey(key...)
		if err != nil {
			r.fail(err)
		}
		out[k] = fmt.Sprint(vals)
	}
	if err := rows.Err(); err != nil {
		r.fail(err)
	}
	return out
}

func (r *rig) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read = err
}

func (r *rig) follow(changes []driver.Change) {
	for _, c := range changes {
		for i := range r.schemas {
			s := &r.schemas[i]
			if c.Table.Name != "" && c.Table != s.Table {
				continue
			}
			now := r.rows(s)
			r.mu.Lock()
			held := r.held[s.Table]
			if c.Keys == nil || c.Table.Name == "" {
				r.held[s.Table] = now
			}
			for _, k := range c.Keys {
				if row, ok := now[k]; ok {
					held[k] = row
				} else {
					delete(held, k)
				}
			}
			r.mu.Unlock()
		}
	}
}

// behind says where the follower differs from the database; "" is nowhere.
func (r *rig) behind() string {
	var out []string
	for i := range r.schemas {
		now := r.rows(&r.schemas[i])
		r.mu.Lock()
		if held := r.held[r.schemas[i].Table]; !maps.Equal(held, now) {
			out = append(out, fmt.Sprintf("table %v: follower holds %v, database %v", r.schemas[i].Table, held, now))
		}
		if r.read != nil {
			out = append(out, r.read.Error())
		}
		r.mu.Unlock()
	}
	return strings.Join(out, "\n")
}

func (r *rig) check() {
	r.t.Helper()
	if b := r.behind(); b != "" {
		r.t.Errorf("not everything was reported when it could be seen:\n%s", b)
	}
	if rec := r.sink.Record(); rec.Open != 0 {
		r.t.Errorf("%d announcements are open", rec.Open)
	}
}

// reported runs a write and returns what was reported meanwhile, as
// "table(key;key)" or "table" when whole, sorted.
func (r *rig) reported(write func()) string {
	r.t.Helper()
	before := len(r.sink.Record().Changes)
	write()
	r.check()
	return describe(r.sink.Record().Changes[before:])
}

func describe(changes []driver.Change) string {
	var out []string
	for _, c := range changes {
		name := c.Table.String()
		if name == "" {
			name = "*"
		}
		if c.Keys != nil {
			var keys []string
			for _, k := range c.Keys {
				keys = append(keys, k.String())
			}
			slices.Sort(keys)
			name += "(" + strings.Join(keys, ";") + ")"
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// wants runs statements and checks what is reported.
func (r *rig) wants(want string, statements ...string) {
	r.t.Helper()
	if got := r.reported(func() { r.exec(statements...) }); got != want {
		r.t.Errorf("%s:\nreported %q, want %q", strings.Join(statements, "; "), got, want)
	}
}
