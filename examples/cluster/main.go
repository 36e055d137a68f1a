// Command cluster runs a shop on several nodes, in one command: a NATS server in its
// own process, storefronts on one database that tell each other of their writes,
// followers without a database, and a proxy in front of all. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// settings are what the flags say.
type settings struct {
	addr, dsn        string
	nodes, followers int
	rows             int
	storefront       string // the binary, "" to build it
}

func main() {
	var s settings
	flag.StringVar(&s.addr, "addr", "127.0.0.1:8080", "the address of the proxy; port 0 picks a free one")
	flag.StringVar(&s.dsn, "db", "", "the database that the nodes share: sqlite:PATH or postgres://…; empty for a new SQLite file")
	flag.IntVar(&s.nodes, "nodes", 2, "how many storefronts read and write the database")
	flag.IntVar(&s.followers, "followers", 0, "how many storefronts follow the first one, without a database")
	flag.IntVar(&s.rows, "rows", 1000, "how many products to fill an empty table with")
	flag.StringVar(&s.storefront, "storefront", "", "the storefront's binary; empty to build it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s, os.Stdout, func(string) {}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run runs the cluster until ctx is done, and then ends it. It says on out what runs
// where. serving is called once, with the proxy's address, when all nodes are ready.
func run(ctx context.Context, s settings, out io.Writer, serving func(url string)) (err error) {
	if s.nodes < 1 || s.followers < 0 {
		return errors.New("cluster: want at least one node, and no negative number of followers")
	}
	dir, err := os.MkdirTemp("", "cluster-")
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if s.storefront == "" {
		if s.storefront, err = build(ctx, dir); err != nil {
			return err
		}
	}
	if s.dsn == "" {
		s.dsn = "sqlite:" + filepath.Join(dir, "shop.db")
	}
	broker, err := startNATS()
	if err != nil {
		return err
	}
	defer func() {
		broker.Shutdown()
		broker.WaitForShutdown()
	}()
	say := func(what, url string) { fmt.Fprintf(out, "cluster: %s at %s\n", what, url) }
	say("nats", broker.ClientURL())

	// Nodes end before the broker does, and after the proxy.
	living, kill := context.WithCancelCause(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer func() {
		kill(nil)
		running.Wait()
	}()
	p := newProxy()
	begin := func(name string, args ...string) (*node, error) {
		n := &node{name: name, binary: s.storefront, args: args, log: os.Stderr, backend: p.add(name), ready: make(chan struct{})}
		running.Go(func() {
			if err := n.run(living); err != nil {
				kill(err)
			}
		})
		select {
		case <-n.ready:
			say(name, n.backend.url())
			return n, nil
		case <-living.Done():
			return nil, context.Cause(living)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	var first *node
	for i := range s.nodes {
		n, err := begin("node "+strconv.Itoa(i+1), "-db", s.dsn, "-nats", broker.ClientURL(), "-rows", strconv.Itoa(s.rows))
		if err != nil {
			return ended(ctx, err)
		}
		if first == nil {
			first = n
		}
	}
	for i := range s.followers {
		if _, err := begin("follower "+strconv.Itoa(i+1), "-follow", first.backend.url()); err != nil {
			return ended(ctx, err)
		}
	}
	if s.followers > 0 {
		p.writes(s.nodes)
	}
	return serve(ctx, s.addr, p, func(url string) {
		say("the shop", url)
		serving(url)
	})
}

// ended tells an end that was asked for from a failure.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("cluster: %w", err)
}

// serve serves the proxy until ctx is done.
func serve(ctx context.Context, addr string, p *proxy, serving func(url string)) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	checking, stop := context.WithCancel(ctx)
	checked := make(chan struct{})
	go func() {
		defer close(checked)
		p.check(checking)
	}()
	defer func() {
		stop()
		<-checked
		p.transport.CloseIdleConnections()
	}()
	front := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	served := make(chan error, 1)
	go func() { served <- front.Serve(listener) }()
	serving("http://" + listener.Addr().String() + "/")
	select {
	case err := <-served:
		return fmt.Errorf("cluster: serving: %w", err)
	case <-ctx.Done():
	}
	// Streams have no end: they are cut, and their clients come back to whoever
	// serves next.
	err = front.Close()
	<-served
	return err
}

// build builds the storefront, as it is in this module.
func build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "storefront")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/binderyhq/bindery/examples/storefront").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("cluster: building the storefront: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return binary, nil
}

// startNATS starts a broker in this process. The nodes' messages need no JetStream.
func startNATS() (*server.Server, error) {
	broker, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
	if err != nil {
		return nil, fmt.Errorf("cluster: nats: %w", err)
	}
	broker.Start()
	if !broker.ReadyForConnections(10 * time.Second) {
		broker.Shutdown()
		return nil, errors.New("cluster: nats: it does not start")
	}
	return broker, nil
}
