package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// node is a storefront in a process of its own, which is started again when it ends.
type node struct {
	name, binary string
	args         []string
	log          io.Writer // its standard error
	backend      *backend
	ready        chan struct{} // closed when it first serves
	once         sync.Once
	at           string // its host and port, once it has served
}

// restartAfter is how long a node that has ended stays away.
const restartAfter = time.Second

// stopWithin is how long a node may take to end in order.
const stopWithin = 8 * time.Second

// run runs the node until ctx is done. It returns an error when the node has never
// served.
func (n *node) run(ctx context.Context) error {
	for {
		err := n.start(ctx)
		n.backend.gone()
		if ctx.Err() != nil {
			return nil
		}
		select {
		case <-n.ready:
		default:
			return fmt.Errorf("%s does not start: %w", n.name, err)
		}
		fmt.Fprintf(n.log, "cluster: %s has ended (%v); it is started again\n", n.name, err)
		select {
		case <-time.After(restartAfter):
		case <-ctx.Done():
			return nil
		}
	}
}

// start runs the process once.
func (n *node) start(ctx context.Context) error {
	addr := "127.0.0.1:0"
	if n.at != "" {
		addr = n.at // who follows it has been told that address
	}
	cmd := exec.CommandContext(ctx, n.binary, append([]string{"-addr", addr}, n.args...)...)
	cmd.Stderr = n.log
	cmd.Cancel = func() error {
		if cmd.Process.Signal(syscall.SIGTERM) != nil { // Windows has none
			return cmd.Process.Kill()
		}
		return nil
	}
	cmd.WaitDelay = stopWithin
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), "serving at "); ok {
			url = strings.TrimSpace(url)
			n.at = strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/")
			n.backend.serves(url)
			n.once.Do(func() { close(n.ready) })
		}
	}
	if err := cmd.Wait(); err != nil {
		return err
	}
	return errors.New("by itself")
}
