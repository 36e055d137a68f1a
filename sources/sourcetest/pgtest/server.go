package pgtest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// startTimeout bounds a start, stopTimeout each of the ways to stop.
	startTimeout = 3 * time.Minute
	stopTimeout  = time.Minute
	pollInterval = 10 * time.Millisecond

	superuser = "postgres"
)

// Server is a running Postgres. Its methods may be called concurrently.
type Server struct {
	binaries string
	account  account
	dir      string // holds data, socket and log
	settings []string

	mu        sync.Mutex // guards what follows
	port      int
	process   *process // nil while the server does not run
	databases int      // how many were made
	free      []string // databases that are empty again

	copying sync.Once
	copies  string // the clause that has a new database copied file by file, or ""
}

// process is one run of the postmaster.
type process struct {
	cmd  *exec.Cmd
	gone chan struct{} // closed when the process has been waited for
}

// An Option changes how a server is set up.
type Option func(*Server)

// Setting sets a configuration parameter of the server, such as
// Setting("max_connections", "10"). It prevails over the settings that the
// package comment names.
func Setting(name, value string) Option {
	return func(s *Server) { s.settings = append(s.settings, "-c", name+"="+value) }
}

// Start starts a server for one test, and stops it and removes its files when
// the test has ended. It skips the test when Postgres is not installed, see
// the package comment, and fails it when the server does not start.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s, err := newServer(opts...)
	if err != nil {
		missing(t, err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	if err := s.create(); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return s
}

// newServer does no more than look for what it takes; its error says what is
// missing.
func newServer(opts ...Option) (*Server, error) {
	binaries, err := findBinaries()
	if err != nil {
		return nil, err
	}
	account, err := findAccount()
	if err != nil {
		return nil, err
	}
	s := &Server{binaries: binaries, account: account, settings: []string{
		"-c", "listen_addresses=127.0.0.1",
		"-c", "wal_level=logical",
		"-c", "fsync=off",
		"-c", "full_page_writes=off",
		"-c", "max_wal_senders=20",
		"-c", "max_replication_slots=20",
		"-c", "max_connections=200",
		"-c", "shared_buffers=32MB",
		"-c", "log_line_prefix=%m [%p] %d ",
	}}
	for _, opt := range opts {
		opt(s)
	}
	return s, nil
}

// create makes the server's files and starts it.
func (s *Server) create() error {
	// Not testing's directory: a socket's path has at most 107 bytes, and the
	// account must be able to reach it.
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	s.dir = dir
	if err := s.account.own(dir); err != nil {
		return fmt.Errorf("giving the directory away: %w", err)
	}
	initdb := s.command("initdb", "-D", s.data(), "-U", superuser, "-A", "trust",
		"-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("running initdb: %w\n%s", err, out)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.start()
}

func (s *Server) data() string    { return filepath.Join(s.dir, "data") }
func (s *Server) logFile() string { return filepath.Join(s.dir, "log") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.binaries, executable(name)), args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PGCONNECT_TIMEOUT=60", "PGOPTIONS=")
	s.account.prepare(cmd)
	return cmd
}

// start starts the postmaster and waits until it takes connections. A failed
// start is tried again until startTimeout: the port may have been taken since
// it was found free, and after a crash the last backends of the previous run
// must have gone. The caller holds s.mu.
func (s *Server) start() error {
	if s.process != nil {
		return errors.New("the server runs already")
	}
	deadline := time.Now().Add(startTimeout)
	findPort := s.port == 0 // later runs keep the port: clients know it
	for {
		if findPort {
			port, err := freePort()
			if err != nil {
				return fmt.Errorf("finding a free port: %w", err)
			}
			s.port = port
		}
		p, err := s.launch(deadline)
		if err == nil {
			s.process = p
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w\n%s", err, s.Log())
		}
		time.Sleep(10 * pollInterval)
	}
}

func (s *Server) launch(deadline time.Time) (*process, error) {
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	defer log.Close()
	args := append([]string{"-D", s.data(), "-p", strconv.Itoa(s.port), "-k", s.dir}, s.settings...)
	cmd := s.command("postgres", args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting postgres: %w", err)
	}
	p := &process{cmd: cmd, gone: make(chan struct{})}
	go func() {
		defer close(p.gone)
		_ = cmd.Wait() // that it ended is what counts, the log says why
	}()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for !s.ready(cmd.Process.Pid) {
		select {
		case <-p.gone:
			return nil, errors.New("postgres ended as it started")
		case <-tick.C:
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(errors.New("postgres was not ready in time"), p.stop())
		}
	}
	return p, nil
}

// ready reads the file in which a postmaster says how it is, as pg_ctl does.
func (s *Server) ready(pid int) bool {
	const statusLine = 7
	b, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return false
	}
	lines := strings.Split(string(b), "\n")
	return len(lines) > statusLine && lines[0] == strconv.Itoa(pid) && strings.TrimSpace(lines[statusLine]) == "ready"
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// stop ends the postmaster politely, then less so, and waits for its end.
func (p *process) stop() error {
	for _, sig := range []os.Signal{fastShutdown, immediateShutdown, os.Kill} {
		if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stopping postgres: %w", err)
		}
		select {
		case <-p.gone:
			return nil
		case <-time.After(stopTimeout):
		}
	}
	return errors.New("stopping postgres: it did not end")
}

func (s *Server) end(how func(*process) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	if err := how(s.process); err != nil {
		return err
	}
	s.process = nil
	return nil
}

func (s *Server) close() error {
	err := s.end((*process).stop)
	if s.dir == "" {
		return err
	}
	return errors.Join(err, removeAll(s.dir))
}

// removeAll tries for a while: after a kill, backends may still be writing.
func removeAll(dir string) error {
	deadline := time.Now().Add(stopTimeout)
	for {
		err := os.RemoveAll(dir)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(pollInterval)
	}
}

// Stop shuts the server down in order: open transactions are rolled back and
// connections closed. Nothing happens if it does not run. Stop returns when the
// server has ended.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.end((*process).stop); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
}

// Kill kills the server as a power cut would (SIGKILL), and returns when the
// process is gone. Connections break an instant later, when their backends
// notice. Nothing happens if it does not run.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	err := s.end(func(p *process) error {
		if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("killing postgres: %w", err)
		}
		select {
		case <-p.gone:
			return nil
		case <-time.After(stopTimeout):
			return errors.New("killing postgres: it did not end")
		}
	})
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
}

// Restart starts the server again, on the same port and with its data; it
// stops it first if it runs. It returns when the server takes connections.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.start(); err != nil {
		t.Fatalf("pgtest: restarting: %v", err)
	}
}

// Addr returns the server's address, host and port, for tests that put a proxy
// in between.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
}

// DSN returns the connection string of a database, as a URL. The user is a
// superuser; the database "postgres" is always there.
func (s *Server) DSN(database string) string {
	return "postgres://" + superuser + "@" + s.Addr() + "/" + database + "?sslmode=disable"
}

// CreateDatabase makes an empty database for one test and returns its
// connection string. When the test has ended its objects are dropped, and another
// test may get the database. The clauses are appended to the statement that makes
// it, such as "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'und'"; a database
// with clauses is dropped.
func (s *Server) CreateDatabase(t testing.TB, clauses ...string) string {
	t.Helper()
	var name string
	if len(clauses) == 0 {
		name = s.recycled()
	}
	if name == "" {
		name = s.newDatabase(t, clauses)
	}
	t.Cleanup(func() {
		if len(clauses) > 0 || !s.recycle(name) {
			s.drop(t, name)
		}
	})
	return s.DSN(name)
}

func (s *Server) newDatabase(t testing.TB, clauses []string) string {
	t.Helper()
	s.mu.Lock()
	s.databases++
	name := fmt.Sprintf("test%d", s.databases)
	s.mu.Unlock()
	s.copying.Do(func() {
		// Postgres 15 and later write every page of a new database to the log
		// otherwise, which takes three times as long. Without fsync, files are
		// cheap.
		if version, err := strconv.Atoi(s.Exec(t, "postgres", "SHOW server_version_num")); err == nil && version >= 150000 {
			s.copies = "STRATEGY=FILE_COPY "
		}
	})
	s.Exec(t, "postgres", "CREATE DATABASE "+name+" "+s.copies+strings.Join(clauses, " "))
	return name
}

// Exec runs statements in a database with psql, each on its own, and returns
// what they print: rows as lines, columns separated by |. It fails the test
// when a statement fails.
func (s *Server) Exec(t testing.TB, database string, statements ...string) string {
	t.Helper()
	out, err := s.psql(database, statements...)
	if err != nil {
		t.Fatalf("pgtest: %q: %v\n%s", statements, err, out)
	}
	return string(bytes.TrimSpace(out))
}

func (s *Server) psql(database string, statements ...string) ([]byte, error) {
	args := []string{"-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-d", s.DSN(database)}
	for _, stmt := range statements {
		args = append(args, "-c", stmt)
	}
	return s.command("psql", args...).CombinedOutput()
}

func (s *Server) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process != nil
}

// Log returns what the server has logged so far, at most the last 64 KiB.
func (s *Server) Log() string {
	const most = 64 << 10
	b, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-most):])
}
