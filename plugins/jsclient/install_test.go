package jsclient_test

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core/coretest/installed"
	"github.com/binderyhq/bindery/plugins/jsclient"
)

// TestInstall installs the package in the three ways that the guide names, and
// uses each. No registry is asked for anything.
func TestInstall(t *testing.T) {
	node := nodeBin(t)
	npm, err := exec.LookPath("npm")
	if err != nil {
		installed.Missing(t, "no npm: install it (apt-get install npm)")
	}
	folder, err := filepath.Abs("npm")
	if err != nil {
		t.Fatal(err)
	}
	run := func(t *testing.T, dir, name string, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = dir
		cmd.WaitDelay = 5 * time.Second
		cmd.Env = append(os.Environ(), "NODE_OPTIONS=", "npm_config_registry=http://127.0.0.1:1/", "npm_config_cache="+filepath.Join(dir, "cache"),
			"npm_config_update_notifier=false", "npm_config_fetch_retries=0", "npm_config_audit=false", "npm_config_fund=false")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	e := echo.New()
	if err := use(t, jsclient.New(e.Group("/bindery"))); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)

	for _, way := range []struct {
		name string
		spec func(t *testing.T, dir string) string
	}{
		{"folder", func(*testing.T, string) string { return folder }},
		{"packed", func(t *testing.T, dir string) string {
			out := run(t, dir, npm, "pack", "--silent", folder)
			return filepath.Join(dir, filepath.Base(out))
		}},
		{"url", func(*testing.T, string) string { return server.URL + "/bindery/bindery.tgz" }},
	} {
		t.Run(way.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"private":true,"type":"module"}`), 0o600); err != nil {
				t.Fatal(err)
			}
			run(t, dir, npm, "install", "--silent", way.spec(t, dir))
			got := run(t, dir, node, "--input-type=module", "-e", `
				import { connect, BinderyError } from "@binderyhq/client";
				import { createRequire } from "node:module";
				const { version } = createRequire(import.meta.url)("@binderyhq/client/package.json");
				const client = connect("http://shop.example/");
				console.log(client.status, version, new BinderyError({ title: "x" }).name);`)
			if got != "idle 0.1.0 BinderyError" {
				t.Errorf("the installed package says %q", got)
			}
			if _, err := os.Stat(filepath.Join(dir, "node_modules/@binderyhq/client/test")); err == nil && way.name != "folder" {
				t.Error("the package has tests in it")
			}
		})
	}
}
