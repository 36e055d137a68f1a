package pgtest

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(Main(m)) }

func TestSharedGivesEachTestADatabase(t *testing.T) {
	s := Shared(t)
	if Shared(t) != s {
		t.Error("a second server was started")
	}
	var wg sync.WaitGroup
	dsns := make([]string, 3)
	for i := range dsns {
		wg.Go(func() { dsns[i] = s.CreateDatabase(t) })
	}
	wg.Wait()
	if dsns[0] == dsns[1] || dsns[1] == dsns[2] || dsns[0] == dsns[2] {
		t.Errorf("databases are shared: %q", dsns)
	}
	for name, want := range map[string]string{"wal_level": "logical", "fsync": "off", "lc_collate": "C"} {
		if got := s.Exec(t, "postgres", "SHOW "+name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestDatabasesAreDropped(t *testing.T) {
	s := Shared(t)
	var name string
	t.Run("user", func(t *testing.T) {
		dsn := s.CreateDatabase(t, "TEMPLATE template0")
		name = strings.TrimSuffix(dsn[strings.LastIndex(dsn, "/")+1:], "?sslmode=disable")
	})
	if got := s.Exec(t, "postgres", "SELECT count(*) FROM pg_database WHERE datname = '"+name+"'"); got != "0" {
		t.Errorf("database %q is still there", name)
	}
}

func TestKillAndRestartKeepsWhatWasCommitted(t *testing.T) {
	var dir string
	t.Run("server", func(t *testing.T) {
		s := Start(t, Setting("work_mem", "1234kB"))
		dir = s.dir
		if got := s.Exec(t, "postgres", "SHOW work_mem"); got != "1234kB" {
			t.Errorf("work_mem is %s", got)
		}
		s.Exec(t, "postgres", "CREATE TABLE t (a int)", "INSERT INTO t VALUES (1), (2)")
		dsn := s.DSN("postgres")
		for name, end := range map[string]func(testing.TB){"kill": s.Kill, "stop": s.Stop} {
			end(t)
			if out, err := s.psql("postgres", "SELECT 1"); err == nil {
				t.Errorf("after %s the server answers %s", name, out)
			}
			end(t) // once more does nothing
			s.Restart(t)
			if got := s.Exec(t, "postgres", "SELECT sum(a) FROM t"); got != "3" {
				t.Errorf("after %s the sum is %s", name, got)
			}
		}
		s.Restart(t) // also while it runs
		if s.DSN("postgres") != dsn {
			t.Errorf("the address changed from %s to %s", dsn, s.DSN("postgres"))
		}
	})
	if dir == "" {
		t.Skip("no server")
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the files of the server are left: %v", err)
	}
}

func TestBinariesMustBeComplete(t *testing.T) {
	empty, half, full := t.TempDir(), t.TempDir(), t.TempDir()
	for dir, names := range map[string][]string{half: {"initdb"}, full: {"initdb", "postgres", "psql"}} {
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(dir, executable(name)), nil, 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got, err := firstComplete([]string{empty, half, full}); err != nil || got != full {
		t.Errorf("found %q, %v; want %q", got, err, full)
	}
	if _, err := firstComplete([]string{empty, half}); err == nil || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("the error does not say what to install: %v", err)
	}
}

// fakeTB records how a test was ended.
type fakeTB struct {
	testing.TB
	skipped, failed bool
}

func (f *fakeTB) Helper()               {}
func (f *fakeTB) Skipf(string, ...any)  { f.skipped = true; runtime.Goexit() }
func (f *fakeTB) Fatalf(string, ...any) { f.failed = true; runtime.Goexit() }

func TestMissingServersSkipOrFail(t *testing.T) {
	for env, wantFailed := range map[string]bool{"": false, "1": true} {
		t.Setenv(requireEnv, env)
		var f fakeTB
		var wg sync.WaitGroup
		wg.Go(func() { missing(&f, errNotInstalled) })
		wg.Wait()
		if f.failed != wantFailed || f.skipped == wantFailed {
			t.Errorf("%s=%q: failed %t, skipped %t", requireEnv, env, f.failed, f.skipped)
		}
	}
}
