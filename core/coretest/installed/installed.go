// Package installed finds the programs that tests need. Where one is missing a
// test is skipped and says what to install; where BINDERY_REQUIRE_SERVERS is 1,
// as in CI, it fails.
package installed

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// RequireEnv names the variable that turns skipping into failing.
const RequireEnv = "BINDERY_REQUIRE_SERVERS"

// Program returns the path of the first of the names that is installed, or
// ends the test. install says how to install it, for example "apt-get install
// nginx-light".
func Program(t testing.TB, install string, names ...string) string {
	t.Helper()
	for _, name := range names {
		// Debian keeps servers where only root's PATH has them.
		for _, candidate := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
			if path, err := exec.LookPath(candidate); err == nil {
				return path
			}
		}
	}
	Missing(t, fmt.Sprintf("no %s: install it (%s)", names[0], install))
	return ""
}

// Missing ends a test that needs something which is not there. what says so, and
// how to get it.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv(RequireEnv) == "1" {
		t.Fatal(what)
	}
	t.Skip(what)
}
