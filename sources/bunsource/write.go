package bunsource

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/feature"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/model"
	"github.com/binderyhq/bindery/sources/bunsource/internal/sqlgen"
)

var (
	_ driver.Writer[struct{}]         = (*Loader[struct{}])(nil)
	_ driver.DocumentWriter[struct{}] = (*Loader[struct{}])(nil)
	_ driver.PartialLoader[struct{}]  = (*Loader[struct{}])(nil)
)

// transactionKey is the context key of the transaction that Transact opened on
// a database handle.
type transactionKey struct{ db *sql.DB }

// How often Transact runs a transaction that collides with others, and the first
// wait between two attempts, which doubles each time.
const (
	transactAttempts = 6
	alteredAttempts  = 3 // after an ALTER, a prepared statement and a planned trigger may each fail once
	firstRetry       = 10 * time.Millisecond
)

// Transact implements [driver.Writer]. In fn, all loaders over the same *sql.DB read
// in the transaction. Transact runs fn again, a few times, if the database ends the
// transaction in favour of another (a deadlock, a serialization failure, a
// busy SQLite file), or if a statement or a trigger was prepared before the table was
// altered, which shows only when it runs.
func (l *Loader[T]) Transact(ctx context.Context, fn func(ctx context.Context) error) error {
	wait := firstRetry
	discard := false // first discard the session's cached plans
	for attempt := 1; ; attempt++ {
		var own error
		var last written
		err := l.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			if discard {
				if _, err := tx.Tx.ExecContext(withoutHooks(ctx), "DISCARD PLANS"); err != nil {
					return err
				}
			}
			s := &snapshot{tx: tx.Tx, turn: make(chan struct{}, 1)}
			s.turn <- struct{}{}
			ctx = context.WithValue(ctx, snapshotKey{l.db.DB}, s)
			ctx = context.WithValue(ctx, transactionKey{l.db.DB}, tx)
			own = fn(context.WithValue(ctx, writtenKey{l.db.DB}, &last))
			return own
		})
		switch {
		case err == nil:
			return nil
		case errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil:
			// database/sql rolled it back because the context had ended.
			return fmt.Errorf("bunsource: writing: %w", ctx.Err())
		case !collided(err) && (attempt >= alteredAttempts || !misread(err) && !misplanned(err)) || attempt == transactAttempts:
			return l.refusal(ctx, last, own, err)
		}
		discard = misplanned(err)
		select {
		case <-time.After(wait):
			wait *= 2
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// transaction returns the transaction that the context carries.
func (l *Loader[T]) transaction(ctx context.Context) (bun.Tx, *model.Model, error) {
	tx, ok := ctx.Value(transactionKey{l.db.DB}).(bun.Tx)
	if !ok {
		return bun.Tx{}, nil, errors.New("bunsource: writing outside of Transact")
	}
	m, err := l.model()
	return tx, m, err
}

// Lock implements [driver.Writer]. SQLite has no row locks: there Lock makes the
// transaction the only writer.
func (l *Loader[T]) Lock(ctx context.Context, key driver.Key) error {
	tx, m, err := l.transaction(ctx)
	if err != nil {
		return err
	}
	ctx = withoutHooks(ctx) // it writes nothing
	if m.DB.Dialect().Name() == dialect.SQLite {
		// It changes no row and fires no trigger, but takes the write lock.
		pk := m.Table.PKs[0].SQLName
		_, err := tx.NewRaw("UPDATE ? SET ? = ? WHERE 0", m.Table.SQLName, pk, pk).Exec(ctx)
		return writeError(m, "locking a row of", err)
	}
	cond, err := sqlgen.RowCondition(m, key)
	if err != nil || cond == "" {
		return err
	}
	var found []int
	err = tx.NewSelect().Model((*T)(nil)).ColumnExpr("1").Where("?", cond).For("UPDATE").Scan(ctx, &found)
	return writeError(m, "locking a row of", err)
}

// Insert implements [driver.Writer]. The model's own hooks run; columns that its
// BeforeAppendModel hook fills in are written too.
func (l *Loader[T]) Insert(ctx context.Context, row *T, columns []string) (driver.Key, error) {
	tx, m, err := l.transaction(ctx)
	if err != nil {
		return "", err
	}
	if err := checkValues(m, reflect.ValueOf(row).Elem(), columns); err != nil {
		return "", err
	}
	q := tx.NewInsert().Model(row)
	zeroes := literalZeroes(m, reflect.ValueOf(row).Elem(), columns)
	if columns, err = withHooked(m, ctx, row, columns, zeroes, q); err != nil {
		return "", err
	}
	l.note(ctx, m, row, columns)
	pks := make([]string, len(m.Table.PKs))
	for i, pk := range m.Table.PKs {
		pks[i] = string(pk.SQLName)
	}
	if len(columns) == 0 {
		return l.insertDefaults(ctx, tx, m, row, pks)
	}
	q = q.Column(columns...)
	for name, literal := range zeroes {
		q = q.Value(name, "?", literal)
	}
	if m.DB.HasFeature(feature.InsertReturning) || m.DB.HasFeature(feature.Returning) {
		q = q.Returning(strings.Join(pks, ", "))
	}
	res, err := q.Exec(ctx)
	if errors.Is(err, sql.ErrNoRows) { // RETURNING returned nothing
		return "", driver.ErrRefused
	}
	if err := outcome(m, "inserting into", res, err); err != nil {
		return "", err
	}
	return m.KeyOf(reflect.ValueOf(row).Elem()), nil
}

// insertDefaults inserts a row in which every column has its default.
func (l *Loader[T]) insertDefaults(ctx context.Context, tx bun.Tx, m *model.Model, row *T, pks []string) (driver.Key, error) {
	if m.DB.Dialect().Name() == dialect.MySQL {
		res, err := tx.NewRaw("INSERT INTO ? () VALUES ()", m.Table.SQLName).Exec(ctx)
		if err != nil {
			return "", writeError(m, "inserting into", err)
		}
		id, err := res.LastInsertId()
		if err != nil {
			return "", writeError(m, "inserting into", err)
		}
		key, err := m.Schema.MakeKey(id)
		return key, err
	}
	err := tx.NewRaw("INSERT INTO ? DEFAULT VALUES RETURNING ?", m.Table.SQLName, bun.Safe(strings.Join(pks, ", "))).Scan(ctx, row)
	if errors.Is(err, sql.ErrNoRows) {
		return "", driver.ErrRefused
	}
	if err != nil {
		return "", writeError(m, "inserting into", err)
	}
	return m.KeyOf(reflect.ValueOf(row).Elem()), nil
}

// Update implements [driver.Writer]. The model's own hooks run, as in Insert.
// SQLite's UPDATE has no DEFAULT: there the columns in defaults keep their values.
func (l *Loader[T]) Update(ctx context.Context, key driver.Key, row *T, columns, defaults []string) error {
	return l.UpdateDocuments(ctx, key, row, columns, defaults, nil)
}

// UpdateDocuments implements [driver.DocumentWriter].
func (l *Loader[T]) UpdateDocuments(ctx context.Context, key driver.Key, row *T, columns, defaults []string, documents map[string]json.RawMessage) error {
	tx, m, err := l.transaction(ctx)
	if err != nil {
		return err
	}
	if err := checkValues(m, reflect.ValueOf(row).Elem(), columns); err != nil {
		return err
	}
	cond, err := sqlgen.RowCondition(m, key)
	if err != nil || cond == "" {
		return err
	}
	q := tx.NewUpdate().Model(row).Where("?", cond)
	values := literalZeroes(m, reflect.ValueOf(row).Elem(), columns)
	for name, doc := range documents {
		values[name] = bun.Safe(m.DB.QueryGen().AppendValue(nil, reflect.ValueOf(string(doc))))
	}
	if columns, err = withHooked(m, ctx, row, columns, values, q); err != nil {
		return err
	}
	if m.DB.HasFeature(feature.DefaultPlaceholder) {
		for _, c := range defaults {
			if !slices.Contains(columns, c) {
				columns = append(columns, c)
				values[c] = bun.Safe("DEFAULT")
			}
		}
	}
	if len(columns) == 0 {
		return nil
	}
	q = q.Column(columns...)
	for name, literal := range values {
		q = q.Value(name, "?", literal)
	}
	l.note(ctx, m, row, columns)
	res, err := q.Exec(ctx)
	return outcome(m, "updating", res, err)
}

// Delete implements [driver.Writer].
func (l *Loader[T]) Delete(ctx context.Context, key driver.Key) error {
	tx, m, err := l.transaction(ctx)
	if err != nil {
		return err
	}
	cond, err := sqlgen.RowCondition(m, key)
	if err != nil || cond == "" {
		return err
	}
	l.note(ctx, m, nil, nil)
	res, err := tx.NewDelete().Model((*T)(nil)).Where("?", cond).Exec(ctx)
	return outcome(m, "deleting from", res, err)
}

// withHooked adds the columns that the model's BeforeAppendModel hook changes,
// and takes them out of zeroes: the hook has the last word. Bun runs the hook
// only when it writes the statement, when the list of columns is already fixed. So
// withHooked runs the hook on a copy first.
func withHooked(m *model.Model, ctx context.Context, row any, columns []string, zeroes map[string]bun.Safe, q bun.Query) ([]string, error) {
	was := reflect.ValueOf(row).Elem()
	copied := reflect.New(was.Type())
	copied.Elem().Set(was)
	hook, ok := copied.Interface().(bun.BeforeAppendModelHook)
	if !ok {
		return columns, nil
	}
	if err := hook.BeforeAppendModel(ctx, q); err != nil {
		return nil, err
	}
	columns = slices.Clone(columns)
	for i := range m.Columns {
		name := m.Schema.Columns[i].Name
		if m.Columns[i].Read(was) == m.Columns[i].Read(copied.Elem()) {
			continue
		}
		delete(zeroes, name)
		if !slices.Contains(columns, name) {
			columns = append(columns, name)
		}
	}
	return columns, nil
}

// literalZeroes returns the literals of the named columns that are zero or nil in
// Go. Bun might write DEFAULT for them, but a client that names a column means the
// value, or NULL. The zero of a nullzero field means NULL if the column allows it.
func literalZeroes(m *model.Model, strct reflect.Value, columns []string) map[string]bun.Safe {
	values := make(map[string]bun.Safe)
	gen := m.DB.QueryGen()
	for _, name := range columns {
		i := m.Schema.Column(name)
		f := m.Columns[i].Field
		switch {
		case f.IsPtr && f.HasNilValue(strct), f.NullZero && m.Schema.Columns[i].Nullable && f.HasZeroValue(strct):
			values[name] = "NULL"
		case !f.IsPtr && f.Append != nil && f.HasZeroValue(strct):
			values[name] = bun.Safe(f.Append(gen, nil, f.Value(strct)))
		}
	}
	return values
}
