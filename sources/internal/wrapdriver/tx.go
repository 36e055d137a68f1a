package wrapdriver

import sqldriver "database/sql/driver"

// tx is a transaction that is observed.
type tx struct {
	inner    sqldriver.Tx
	conn     *Conn
	observed Tx
}

// Commit implements [sqldriver.Tx].
func (t *tx) Commit() error {
	t.conn.settle()
	t.observed.Committing()
	returned := false
	defer func() {
		if !returned { // the driver panics
			t.observed.Committed(ErrUnseen)
		}
	}()
	err := t.inner.Commit()
	returned = true
	t.observed.Committed(err)
	return err
}

// Rollback implements [sqldriver.Tx].
func (t *tx) Rollback() error {
	err := t.inner.Rollback()
	t.observed.RolledBack(err)
	return err
}
