package together_test

import (
	"errors"
	"testing"

	"github.com/binderyhq/bindery/sources/bunsource"
	"github.com/binderyhq/bindery/sources/pgsource"
)

// TestBankWithPGSource is the bank with a source that learns of commits from
// the server's log: writers may be anybody.
func TestBankWithPGSource(t *testing.T) {
	t.Run("others write", func(t *testing.T) {
		dsn := postgresDSN(t)
		plain, others := openPlain(t, "pgx", dsn), openPlain(t, "pgx", dsn)
		createBank(t, plain)
		b := openBank(t, plain, pgsource.New(dsn))
		b.awaitLive(t)
		workDay(t, others)
		b.close(t, plain)
	})
	t.Run("beside hooks, all write", func(t *testing.T) {
		dsn := postgresDSN(t)
		db, others := openBoth(t, "pgx", dsn)
		createBank(t, others)
		b := openBank(t, db, bunsource.Hooks(db), pgsource.New(dsn))
		b.awaitLive(t)
		workDay(t, db, others)
		b.close(t, others)
	})
}

// awaitLive waits until the sources watch.
func (b *bank) awaitLive(t testing.TB) {
	t.Helper()
	eventually(t, "the sources watch", func() error {
		for _, s := range b.reg.Status().Sources {
			if !s.Watching {
				return errors.Join(errors.New("source "+s.Name+" does not watch"), s.Err)
			}
		}
		return nil
	})
}
