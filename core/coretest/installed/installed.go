// Package installed finds the programs that tests need. Where one is missing a
// test is skipped and says what to install; where BINDERY_REQUIRE_SERVERS is 1,
// as in CI, it fails.
package installed

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// NodePackages returns the directory of npm's packages: that in BINDERY_NODE_MODULES, or
// else the global one. It ends the test if one of the packages is not there. install
// names them with their versions, for example "ws@8".
func NodePackages(t testing.TB, install string, packages ...string) string {
	t.Helper()
	dir := filepath.Join(os.Getenv("BINDERY_NODE_MODULES"), "node_modules")
	if os.Getenv("BINDERY_NODE_MODULES") == "" {
		npm := Program(t, "apt-get install nodejs npm", "npm")
		root, err := exec.CommandContext(t.Context(), npm, "root", "--global").Output()
		if err != nil {
			t.Fatalf("npm root --global: %v", err)
		}
		dir = strings.TrimSpace(string(root))
	}
	for _, name := range packages {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			Missing(t, fmt.Sprintf("no npm package %s in %s: install it (npm install --prefix DIR %s, and set BINDERY_NODE_MODULES=DIR)", name, dir, install))
		}
	}
	return dir
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
