package pgtest

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// requireEnv names the variable that turns skipping into failing.
const requireEnv = "BINDERY_REQUIRE_SERVERS"

var errNotInstalled = errors.New(`found no initdb, postgres and psql in PATH, ` +
	`in "pg_config --bindir" or in /usr/lib/postgresql/*/bin: install them ("apt-get install postgresql")`)

// findBinaries returns the directory that holds initdb, postgres and psql.
func findBinaries() (string, error) {
	return firstComplete(candidates())
}

func candidates() []string {
	var dirs []string
	if p, err := exec.LookPath("initdb"); err == nil {
		dirs = append(dirs, filepath.Dir(p))
		if p, err := filepath.EvalSymlinks(p); err == nil {
			dirs = append(dirs, filepath.Dir(p))
		}
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	// Debian keeps one directory per major version: the newest first.
	installed, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is well-formed
	version := func(dir string) float64 {
		v, _ := strconv.ParseFloat(filepath.Base(filepath.Dir(dir)), 64)
		return v
	}
	slices.SortFunc(installed, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
	return append(dirs, installed...)
}

func firstComplete(dirs []string) (string, error) {
	for _, dir := range dirs {
		complete := true
		for _, name := range []string{"initdb", "postgres", "psql"} {
			info, err := os.Stat(filepath.Join(dir, executable(name)))
			complete = complete && err == nil && info.Mode().IsRegular()
		}
		if complete {
			return dir, nil
		}
	}
	return "", errNotInstalled
}

func executable(name string) string {
	if runtime.GOOS == "windows" {
		return name + ".exe"
	}
	return name
}

// missing ends a test for want of a server.
func missing(t testing.TB, cause error) {
	t.Helper()
	if os.Getenv(requireEnv) == "1" {
		t.Fatalf("pgtest: no Postgres, although %s=1: %v", requireEnv, cause)
	}
	t.Skipf("pgtest: no Postgres: %v", cause)
}
