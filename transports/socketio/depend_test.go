package socketio_test

import (
	"os/exec"
	"strings"
	"testing"
)

// dependencies returns the packages that a package is linked with.
func dependencies(t *testing.T, pkg string) map[string]bool {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", pkg).Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", pkg, err)
	}
	deps := make(map[string]bool)
	for _, dep := range strings.Fields(string(out)) {
		deps[dep] = true
	}
	return deps
}

// Programs that do not use the transport are linked with nothing of it, and it
// brings no module that websocket does not.
func TestDependencies(t *testing.T) {
	const module = "github.com/binderyhq/bindery/"
	websocket := dependencies(t, module+"transports/websocket")
	for _, pkg := range []string{"transports/websocket", "transports/rest", "transports/sse", "core", "examples/quickstart"} {
		for dep := range dependencies(t, module+pkg) {
			if strings.HasPrefix(dep, module+"transports/socketio") {
				t.Errorf("%s is linked with %s", pkg, dep)
			}
		}
	}
	for dep := range dependencies(t, module+"transports/socketio") {
		host, _, _ := strings.Cut(dep, "/")
		if strings.Contains(host, ".") && !strings.HasPrefix(dep, module+"transports/socketio") && !websocket[dep] {
			t.Errorf("it is linked with %s, and websocket is not", dep)
		}
	}
}
