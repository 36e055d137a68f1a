// Command bindery shows the bindings of a running program, and acts on them, over the
// program's admin API.
//
//	bindery [flags] list
//	bindery [flags] bump|clear|sync|verify NAME|'*' [parameter=value …]
//	bindery [flags] explain NAME KEY [parameter=value …]
//
// It exits with 0 on success, 1 on failure, 2 if it was called wrongly, and 3 if the
// answer is no: verify found rows that differ, or the row that explain asks about is
// not in the binding.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitNo     = 3
)

const usage = `usage: bindery [flags] list
       bindery [flags] bump|clear|sync|verify NAME|'*' [parameter=value …]
       bindery [flags] explain NAME KEY [parameter=value …]

Exit codes: 0 done, 1 failed, 2 called wrongly, 3 rows differ (verify) or the row is not in (explain).

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program: it returns the exit code.
func run(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) int {
	cmd, err := parse(args, env, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "bindery: %v\n", err)
		return exitUsage
	}
	ctx, cancel := context.WithTimeout(ctx, cmd.timeout)
	defer cancel()
	code, err := cmd.do(ctx, stdout)
	if err != nil {
		fmt.Fprintf(stderr, "bindery: %v\n", err)
	}
	return code
}

// command is one invocation: the operation, its target and how to print it.
type command struct {
	api     api
	verb    string
	name    string
	key     string
	params  []string // name=value
	json    bool
	timeout time.Duration
}

var operations = []string{"bump", "clear", "sync", "verify"}

// parse reads the arguments. Flags may stand anywhere.
func parse(args []string, env func(string) string, stderr io.Writer) (command, error) {
	var c command
	flags := flag.NewFlagSet("bindery", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	address := flags.String("url", "", "the admin's `address`, with ?token=… or without; default $BINDERY_ADMIN_URL, then http://127.0.0.1:8080/admin")
	token := flags.String("token", "", "the admin's `token`; default $BINDERY_ADMIN_TOKEN, which other users of the machine do not see")
	flags.BoolVar(&c.json, "json", false, "print the answer as JSON")
	flags.DurationVar(&c.timeout, "timeout", 2*time.Minute, "give up after this time")
	var words []string
	for {
		if err := flags.Parse(args); err != nil {
			return c, err
		}
		if args = flags.Args(); len(args) == 0 {
			break
		}
		words, args = append(words, args[0]), args[1:]
	}
	var err error
	if c.api, err = newAPI(first(*address, env("BINDERY_ADMIN_URL"), "http://127.0.0.1:8080/admin"), first(*token, env("BINDERY_ADMIN_TOKEN"))); err != nil {
		return c, err
	}
	if len(words) == 0 {
		return c, errors.New("say what to do: list, bump, clear, sync, verify or explain (-h tells more)")
	}
	c.verb, words = words[0], words[1:]
	need := 1
	switch {
	case c.verb == "list":
		need = 0
	case c.verb == "explain":
		need = 2
	case !slices.Contains(operations, c.verb):
		return c, fmt.Errorf("%q is unknown; there are: list, bump, clear, sync, verify, explain", c.verb)
	}
	if len(words) < need {
		return c, fmt.Errorf("%s needs %s", c.verb, map[int]string{1: "a binding's name, or '*' for all", 2: "a binding's name and a row's key"}[need])
	}
	if need > 0 {
		c.name = words[0]
	}
	if need > 1 {
		c.key = words[1]
	}
	for _, w := range words[need:] {
		if name, _, ok := strings.Cut(w, "="); !ok || name == "" || need == 0 {
			return c, fmt.Errorf("unexpected argument %q", w)
		}
		c.params = append(c.params, w)
	}
	return c, nil
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
