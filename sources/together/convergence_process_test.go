package together_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// processEnv tells a copy of the test binary what to write: driver, data source
// name and seed, one a line.
const processEnv = "BINDERY_CONVERGENCE_PROCESS"

// TestConvergenceProcess is no test: it is the other process that writes, see
// [startProcess]. It writes until its standard input ends.
func TestConvergenceProcess(t *testing.T) {
	spec := strings.Split(os.Getenv(processEnv), "\n")
	if len(spec) != 3 {
		t.Skip("this is the other process of TestConvergence")
	}
	seed, err := strconv.ParseUint(spec[2], 10, 64)
	must(t, err)
	db := openPlain(t, spec[0], spec[1])
	var group writers
	group.add(db, true, seed)
	group.begin()
	fmt.Println("writing")
	_, _ = io.Copy(io.Discard, os.Stdin)
	group.end()
}

// process is another process that writes to the database.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

// startProcess returns when the process has begun to write.
func startProcess(t testing.TB, driverName, dsn string, seed uint64) *process {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self, "-test.run=^TestConvergenceProcess$", "-test.count=1")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s\n%s\n%d", processEnv, driverName, dsn, seed))
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	p := &process{cmd: cmd, stdin: stdin}
	first := make([]byte, 1)
	if _, err := stdout.Read(first); err != nil {
		p.kill()
		t.Errorf("the other process does not write: %v", err)
	}
	return p
}

// kill ends the process in the middle of whatever it does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	_ = p.cmd.Wait()         // it reports the kill
	_ = p.stdin.Close()
}
