package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/plugins/admin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type item struct {
	ID    int    `json:"id"`
	Venue string `json:"venue"`
	Live  bool   `json:"live"`
}

// program is a running program with an admin.
func program(t *testing.T) (address string, table *coretest.Table[item]) {
	t.Helper()
	table = coretest.NewTable[item]("items", "id")
	table.Put(item{1, "store", true}, item{2, "online", true}, item{3, "store", false})
	e := echo.New()
	reg := core.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}.NewRegistry()
	_ = reg.Add(core.Bind("items", table, core.Where(filter.Eq("live", true))),
		core.BindFamily("shelf", table, core.Where(filter.Eq("venue", filter.Param("venue")))))
	_ = reg.Watch(&coretest.Source{})
	_ = reg.Use(admin.New(e.Group("/admin"), admin.Config{Token: "secret"}))
	if err := reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(e)
	t.Cleanup(func() {
		srv.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		if err := reg.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	view, _ := reg.Lookup("items")
	<-view.Loaded()
	return srv.URL + "/admin", table
}

// TestCommand tries every verb: what it prints, and how it exits.
func TestCommand(t *testing.T) {
	address, table := program(t)
	env := map[string]string{"BINDERY_ADMIN_URL": address, "BINDERY_ADMIN_TOKEN": "secret"}
	try := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		var out, errs bytes.Buffer
		if code := run(t.Context(), args, func(name string) string { return env[name] }, &out, &errs); code != want {
			t.Errorf("%q exits with %d, want %d: %s%s", args, code, want, out.String(), errs.String())
		}
		return out.String(), errs.String()
	}
	has := func(text string, parts ...string) {
		t.Helper()
		for _, p := range parts {
			if !strings.Contains(strings.Join(strings.Fields(text), " "), p) {
				t.Errorf("no %q in:\n%s", p, text)
			}
		}
	}
	out, _ := try(exitOK, "list")
	has(out, "BINDING TABLE STATE ROWS", "items items live 2", "coretest yes")
	lines := strings.Split(out, "\n")
	if strings.Index(lines[0], "STATE") != strings.Index(lines[1], "live") {
		t.Errorf("the columns are not aligned:\n%s", out)
	}
	out, _ = try(exitOK, "list", "-json")
	var st map[string]any
	if err := json.Unmarshal([]byte(out), &st); err != nil || st["bindings"] == nil {
		t.Errorf("list -json: %v", err)
	}
	for _, verb := range []string{"bump", "sync", "clear", "verify"} {
		out, _ = try(exitOK, verb, "items")
		has(out, "items 2 ")
		try(exitOK, verb, "*")
		out, _ = try(exitOK, verb, "shelf", "venue=store")
		has(out, "shelf?venue=store 2 ")
	}
	out, _ = try(exitOK, "explain", "items", "1")
	has(out, "is in the binding", "live = true yes true")
	out, _ = try(exitNo, "explain", "items", "3")
	has(out, "is not in the binding", "live = true no false")
	out, _ = try(exitNo, "-json", "explain", "items", "3")
	has(out, `"in": false`)
	try(exitOK, "explain", "shelf", "3", "venue=store")
	table.Put(item{9, "store", true})
	out, _ = try(exitNo, "verify", "items")
	has(out, "MISSING EXTRA CHANGED", " 1 0 0 9")

	for _, c := range []struct {
		code int
		args []string
		says string
	}{
		{exitUsage, nil, "say what to do"},
		{exitUsage, []string{"explode", "items"}, "there are: list"},
		{exitUsage, []string{"bump"}, "needs a binding's name"},
		{exitUsage, []string{"explain", "items"}, "a row's key"},
		{exitUsage, []string{"bump", "items", "venue"}, `"venue"`},
		{exitUsage, []string{"list", "items"}, `"items"`},
		{exitUsage, []string{"-nothing"}, "-nothing"},
		{exitUsage, []string{"-url", "localhost", "list"}, "http://host:port/admin"},
		{exitOK, []string{"-h"}, "Exit codes"},
		{exitFailed, []string{"bump", "nothing"}, "there are: items, shelf"},
		{exitFailed, []string{"bump", "shelf", "shop=1"}, "venue"},
		{exitFailed, []string{"explain", "items", "x"}, "key"},
		{exitFailed, []string{"-token", "wrong", "list"}, "BINDERY_ADMIN_TOKEN"},
		{exitFailed, []string{"-url", address + "/elsewhere", "list"}, "no page"},
		{exitFailed, []string{"-url", "http://127.0.0.1:1/admin", "list"}, "127.0.0.1:1"},
	} {
		_, errs := try(c.code, c.args...)
		has(errs, c.says)
	}
	env["BINDERY_ADMIN_TOKEN"] = ""
	try(exitOK, "-url", address+"/?token=secret", "list") // as it is printed at start
	try(exitFailed, "list")
}
