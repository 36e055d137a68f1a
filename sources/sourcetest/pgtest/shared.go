package pgtest

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// shared is the server that the tests of a package share.
var shared struct {
	sync.Mutex
	owned  bool // Main will stop it
	server *Server
	err    error // why it did not start, so that only the first test waits for it
}

// Main prepares a package's tests for [Shared]. The result's Run runs the tests,
// then stops the shared server if one of them started it, and returns the exit
// code. It is what goleak.VerifyTestMain takes in place of the *testing.M.
func Main(m *testing.M) interface{ Run() int } { return runner{m} }

type runner struct{ m *testing.M }

func (r runner) Run() int {
	shared.Lock()
	shared.owned = true
	shared.Unlock()
	code := r.m.Run()
	if err := stopShared(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest: stopping the shared server:", err)
		code = max(code, 1)
	}
	return code
}

func stopShared() error {
	shared.Lock()
	defer shared.Unlock()
	s := shared.server
	shared.server, shared.err, shared.owned = nil, nil, false
	if s == nil {
		return nil
	}
	return s.close()
}

// Shared returns the server that the tests of the package share, and starts it
// if no test has asked for it before. It must not be stopped. Shared skips the
// test when Postgres is not installed, see the package comment, and fails it
// when the server does not start, or if TestMain does not use [Main].
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.owned {
		t.Fatal("pgtest: Shared needs a TestMain that runs the tests with pgtest.Main")
	}
	if shared.server == nil {
		s, err := newServer()
		if err != nil {
			missing(t, err)
		}
		shared.server, shared.err = s, s.create()
	}
	if shared.err != nil {
		t.Fatalf("pgtest: starting the shared server: %v", shared.err)
	}
	return shared.server
}
