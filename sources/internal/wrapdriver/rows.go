package wrapdriver

import (
	sqldriver "database/sql/driver"
	"errors"
	"io"
	"reflect"
)

// rows are rows whose statement is observed until they are closed.
type rows struct {
	inner sqldriver.Rows
	run   *run
	err   error
}

var (
	_ sqldriver.RowsNextResultSet              = (*rows)(nil)
	_ sqldriver.RowsColumnTypeScanType         = (*rows)(nil)
	_ sqldriver.RowsColumnTypeDatabaseTypeName = (*rows)(nil)
	_ sqldriver.RowsColumnTypeLength           = (*rows)(nil)
	_ sqldriver.RowsColumnTypeNullable         = (*rows)(nil)
	_ sqldriver.RowsColumnTypePrecisionScale   = (*rows)(nil)
)

// Columns implements [sqldriver.Rows].
func (r *rows) Columns() []string { return r.inner.Columns() }

// Next implements [sqldriver.Rows].
func (r *rows) Next(dest []sqldriver.Value) error {
	err := r.inner.Next(dest)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	r.run.call.Next(r.inner.Columns, dest, err)
	return err
}

// Close implements [sqldriver.Rows].
func (r *rows) Close() error {
	err := r.inner.Close()
	if r.err == nil {
		r.err = err
	}
	r.run.finish(nil, r.err)
	return err
}

// HasNextResultSet implements [sqldriver.RowsNextResultSet].
func (r *rows) HasNextResultSet() bool {
	next, ok := r.inner.(sqldriver.RowsNextResultSet)
	return ok && next.HasNextResultSet()
}

// NextResultSet implements [sqldriver.RowsNextResultSet].
func (r *rows) NextResultSet() error {
	next, ok := r.inner.(sqldriver.RowsNextResultSet)
	if !ok {
		return io.EOF
	}
	r.run.call.NextResult()
	return next.NextResultSet()
}

// ColumnTypeScanType implements [sqldriver.RowsColumnTypeScanType].
func (r *rows) ColumnTypeScanType(i int) reflect.Type {
	if c, ok := r.inner.(sqldriver.RowsColumnTypeScanType); ok {
		return c.ColumnTypeScanType(i)
	}
	return reflect.TypeFor[any]()
}

// ColumnTypeDatabaseTypeName implements [sqldriver.RowsColumnTypeDatabaseTypeName].
func (r *rows) ColumnTypeDatabaseTypeName(i int) string {
	if c, ok := r.inner.(sqldriver.RowsColumnTypeDatabaseTypeName); ok {
		return c.ColumnTypeDatabaseTypeName(i)
	}
	return ""
}

// ColumnTypeLength implements [sqldriver.RowsColumnTypeLength].
func (r *rows) ColumnTypeLength(i int) (length int64, ok bool) {
	if c, ok := r.inner.(sqldriver.RowsColumnTypeLength); ok {
		return c.ColumnTypeLength(i)
	}
	return 0, false
}

// ColumnTypeNullable implements [sqldriver.RowsColumnTypeNullable].
func (r *rows) ColumnTypeNullable(i int) (nullable, ok bool) {
	if c, ok := r.inner.(sqldriver.RowsColumnTypeNullable); ok {
		return c.ColumnTypeNullable(i)
	}
	return false, false
}

// ColumnTypePrecisionScale implements [sqldriver.RowsColumnTypePrecisionScale].
func (r *rows) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	if c, ok := r.inner.(sqldriver.RowsColumnTypePrecisionScale); ok {
		return c.ColumnTypePrecisionScale(i)
	}
	return 0, 0, false
}
