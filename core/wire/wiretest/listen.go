package wiretest

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// Listen listens at the address, at which a server of the test listened before.
// Somebody's connection may have been given the port meanwhile, since ports of tests
// are the system's choice; Listen waits until it is free.
func Listen(t TB, addr string) net.Listener {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		l, err := net.Listen("tcp", addr)
		if err == nil {
			return l
		}
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			t.Fatalf("%v", err)
			return nil
		}
	}
}
