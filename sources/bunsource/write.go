package bunsource

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/feature"
)

var _ driver.Writer[struct{}] = (*Loader[struct{}])(nil)

// transactionKey is the context key of the transaction that Transact opened on
// a database handle.
type transactionKey struct{ db *sql.DB }

// Transactions that collide with others are tried again this often, after a
// wait that doubles from firstRetry.
const (
	transactAttempts = 6
	firstRetry       = 10 * time.Millisecond
)

// Transact implements [driver.Writer]. What the function reads through any loader
// over the same *sql.DB it reads in the transaction. A transaction that the
// database ends in favour of another (a deadlock, a serialization failure, a
// busy SQLite file) is run again, a few times.
func (l *Loader[T]) Transact(ctx context.Context, fn func(ctx context.Context) error) error {
	wait := firstRetry
	for attempt := 1; ; attempt++ {
		var own error
		err := l.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			s := &snapshot{tx: tx.Tx, turn: make(chan struct{}, 1)}
			s.turn <- struct{}{}
			ctx = context.WithValue(ctx, snapshotKey{l.db.DB}, s)
			own = fn(context.WithValue(ctx, transactionKey{l.db.DB}, tx))
			return own
		})
		switch {
		case err == nil:
			return nil
		case errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil:
			// database/sql rolled it back because the context had ended.
			return fmt.Errorf("bunsource: writing: %w", ctx.Err())
		case !collided(err) || attempt == transactAttempts:
			if own != nil && errors.Is(err, own) {
				return own
			}
			return fmt.Errorf("bunsource: writing: %w", err)
		}
		select {
		case <-time.After(wait):
			wait *= 2
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// transaction returns the transaction that the context carries.
func (l *Loader[T]) transaction(ctx context.Context) (bun.Tx, *model, error) {
	tx, ok := ctx.Value(transactionKey{l.db.DB}).(bun.Tx)
	if !ok {
		return bun.Tx{}, nil, errors.New("bunsource: writing outside of Transact")
	}
	m, err := l.model()
	return tx, m, err
}

// Lock implements [driver.Writer]. On SQLite, which knows no locks of rows, it
// makes the transaction the one writer.
func (l *Loader[T]) Lock(ctx context.Context, key driver.Key) error {
	tx, m, err := l.transaction(ctx)
	if err != nil {
		return err
	}
	ctx = withoutHooks(ctx) // it writes nothing
	if m.db.Dialect().Name() == dialect.SQLite {
		// No row, and so no trigger; but a write.
		pk := m.table.PKs[0].SQLName
		_, err := tx.NewRaw("UPDATE ? SET ? = ? WHERE 0", m.table.SQLName, pk, pk).Exec(ctx)
		return l.writeError(m, "locking a row of", err)
	}
	cond, err := m.rowCondition(key)
	if err != nil || cond == "" {
		return err
	}
	var found []int
	err = tx.NewSelect().Model((*T)(nil)).ColumnExpr("1").Where("?", cond).For("UPDATE").Scan(ctx, &found)
	return l.writeError(m, "locking a row of", err)
}

// Insert implements [driver.Writer]. The model's own hooks run; columns that its
// BeforeAppendModel hook fills in are written too.
func (l *Loader[T]) Insert(ctx context.Context, row *T, columns []string) (driver.Key, error) {
	tx, m, err := l.transaction(ctx)
	if err != nil {
		return "", err
	}
	if err := m.checkValues(reflect.ValueOf(row).Elem(), columns); err != nil {
		return "", err
	}
	q := tx.NewInsert().Model(row)
	zeroes := m.literalZeroes(reflect.ValueOf(row).Elem(), columns)
	named := columns
	if columns, err = m.withHooked(ctx, row, columns, zeroes, q); err != nil {
		return "", err
	}
	pks := make([]string, len(m.table.PKs))
	for i, pk := range m.table.PKs {
		pks[i] = string(pk.SQLName)
	}
	if len(columns) == 0 {
		return l.insertDefaults(ctx, tx, m, row, pks)
	}
	q = q.Column(columns...)
	for name, literal := range zeroes {
		q = q.Value(name, "?", literal)
	}
	if m.db.HasFeature(feature.InsertReturning) || m.db.HasFeature(feature.Returning) {
		q = q.Returning(strings.Join(pks, ", "))
	}
	if _, err := q.Exec(ctx); err != nil {
		return "", l.writeError(m, "inserting into", err, named...)
	}
	return m.keyOf(reflect.ValueOf(row).Elem()), nil
}

// insertDefaults inserts a row of nothing but defaults.
func (l *Loader[T]) insertDefaults(ctx context.Context, tx bun.Tx, m *model, row *T, pks []string) (driver.Key, error) {
	if m.db.Dialect().Name() == dialect.MySQL {
		res, err := tx.NewRaw("INSERT INTO ? () VALUES ()", m.table.SQLName).Exec(ctx)
		if err != nil {
			return "", l.writeError(m, "inserting into", err)
		}
		id, err := res.LastInsertId()
		if err != nil {
			return "", l.writeError(m, "inserting into", err)
		}
		key, err := m.schema.MakeKey(id)
		return key, err
	}
	err := tx.NewRaw("INSERT INTO ? DEFAULT VALUES RETURNING ?", m.table.SQLName, bun.Safe(strings.Join(pks, ", "))).Scan(ctx, row)
	if err != nil {
		return "", l.writeError(m, "inserting into", err)
	}
	return m.keyOf(reflect.ValueOf(row).Elem()), nil
}

// Update implements [driver.Writer]. The model's own hooks run, as in Insert. On
// SQLite, whose UPDATE knows no DEFAULT, the columns of defaults stay as they
// are.
func (l *Loader[T]) Update(ctx context.Context, key driver.Key, row *T, columns, defaults []string) error {
	tx, m, err := l.transaction(ctx)
	if err != nil {
		return err
	}
	if err := m.checkValues(reflect.ValueOf(row).Elem(), columns); err != nil {
		return err
	}
	cond, err := m.rowCondition(key)
	if err != nil || cond == "" {
		return err
	}
	q := tx.NewUpdate().Model(row).Where("?", cond)
	values := m.literalZeroes(reflect.ValueOf(row).Elem(), columns)
	named := columns
	if columns, err = m.withHooked(ctx, row, columns, values, q); err != nil {
		return err
	}
	if m.db.HasFeature(feature.DefaultPlaceholder) {
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
	_, err = q.Exec(ctx)
	return l.writeError(m, "updating", err, named...)
}

// Delete implements [driver.Writer].
func (l *Loader[T]) Delete(ctx context.Context, key driver.Key) error {
	tx, m, err := l.transaction(ctx)
	if err != nil {
		return err
	}
	cond, err := m.rowCondition(key)
	if err != nil || cond == "" {
		return err
	}
	_, err = tx.NewDelete().Model((*T)(nil)).Where("?", cond).Exec(ctx)
	return l.writeError(m, "deleting from", err)
}

// withHooked adds the columns that the model's BeforeAppendModel hook changes,
// and takes them out of zeroes: the hook has the last word. Bun runs the hook
// only when it writes the statement out, too late to know them, so it is tried
// on a copy.
func (m *model) withHooked(ctx context.Context, row any, columns []string, zeroes map[string]bun.Safe, q bun.Query) ([]string, error) {
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
	for i := range m.columns {
		name := m.schema.Columns[i].Name
		if m.columns[i].read(was) == m.columns[i].read(copied.Elem()) {
			continue
		}
		delete(zeroes, name)
		if !slices.Contains(columns, name) {
			columns = append(columns, name)
		}
	}
	return columns, nil
}

// literalZeroes returns how to write those of the named columns that are zero
// or nil in Go: whoever names a column means the value, or NULL, where Bun might
// write DEFAULT. The zero of a nullzero field means NULL where the column may be.
func (m *model) literalZeroes(strct reflect.Value, columns []string) map[string]bun.Safe {
	values := make(map[string]bun.Safe)
	gen := m.db.QueryGen()
	for _, name := range columns {
		i := m.schema.Column(name)
		f := m.columns[i].field
		switch {
		case f.IsPtr && f.HasNilValue(strct), f.NullZero && m.schema.Columns[i].Nullable && f.HasZeroValue(strct):
			values[name] = "NULL"
		case !f.IsPtr && f.Append != nil && f.HasZeroValue(strct):
			values[name] = bun.Safe(f.Append(gen, nil, f.Value(strct)))
		}
	}
	return values
}

// collided reports whether the database ended a transaction in favour of
// another, so that it is worth trying again.
func collided(err error) bool {
	var invalid *driver.InvalidError
	if errors.As(err, &invalid) {
		return false // whose words may be anything
	}
	var coded interface{ SQLState() string }
	if errors.As(err, &coded) {
		switch coded.SQLState() {
		case "40001", "40P01": // serialization_failure, deadlock_detected
			return true
		}
		return false
	}
	text := err.Error()
	for _, sign := range []string{"SQLITE_BUSY", "database is locked", "database table is locked", "Error 1213"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// writeError tells what the client can mend from what it cannot. The columns are
// those that the client named.
func (l *Loader[T]) writeError(m *model, doing string, err error, named ...string) error {
	if err == nil {
		return nil
	}
	if v, ok := violationOf(err); ok {
		return m.invalid(v, named)
	}
	return fmt.Errorf("bunsource: %s table %q: %w", doing, m.schema.Table, err)
}

// invalid words a violation for clients. A violation that the database puts
// down to no column is that of the only column that was written.
func (m *model) invalid(v violation, named []string) error {
	column := v.column
	if column == "" {
		column = m.columnOfRule(v.rule)
	}
	if column == "" && len(named) == 1 {
		column = named[0]
	}
	field := ""
	if i := m.schema.Column(column); i >= 0 {
		field = m.schema.Columns[i].JSON
	}
	return driver.Invalid(field, v.detail)
}
