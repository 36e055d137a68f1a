// Package fanoutbench measures transports beside what one would write without
// Bindery: plain melody, a bare hub of event streams, a handler that queries
// the database. It holds benchmarks alone:
//
//	go test -run '^$' -bench . -benchtime 50x ./transports/fanoutbench
package fanoutbench

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain is also the entry of the process that plays the clients, so that
// their work does not count as the server's.
func TestMain(m *testing.M) {
	if spec := os.Getenv(clientsEnv); spec != "" {
		if err := playClients(spec, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "fanoutbench: clients:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}
