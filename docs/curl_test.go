package docs

import (
	"bufio"
	"context"
	"fmt"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/coretest/installed"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/transports/rest"
	"github.com/binderyhq/bindery/transports/sse"
)

// runnable is a block of commands, behind a comment with a part of what they print.
var runnable = regexp.MustCompile("(?m)^<!-- run: (.*) -->\n```sh\n((?s:.*?))^```$")

// shop serves what the storefront does, as far as docs/curl.md asks for it.
func shop(t *testing.T) (url string, change func(name string)) {
	t.Helper()
	table, source := coretest.NewTable[Product]("products", "id"), &coretest.Source{}
	for id := range 5 {
		table.Put(Product{id + 1, "Kind of Blue", 12.5})
	}
	e, reg := echo.New(), core.NewRegistry()
	reg.Add(core.Bind[Product]("products", table, core.Writable()), core.Bind[Product]("cheapest", table, core.OrderBy("price"), core.Limit(2)))
	reg.Watch(source)
	reg.Serve(rest.New(e.Group("/api")), sse.New(e.Group("/events")))
	if err := reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(e)
	t.Cleanup(func() {
		_ = reg.Shutdown(context.Background())
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL, func(name string) {
		t.Helper()
		table.Put(Product{3, name, 1})
		if err := source.Report(t.Context(), driver.Change{Table: table.Name()}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCurl runs the commands of docs/curl.md.
func TestCurl(t *testing.T) {
	installed.Program(t, "apt-get install curl", "curl")
	url, _ := shop(t)
	commands := 0
	for _, m := range runnable.FindAllStringSubmatch(string(read(t, "docs/curl.md")), -1) {
		commands++
		want, script := m[1], strings.ReplaceAll(m[2], "http://127.0.0.1:8080", url)
		const second = " -m 1 " // after which curl ends a stream; a busy machine needs longer to begin it
		for seconds := 1; ; seconds = min(4*seconds, 60) {
			out, _ := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(script, second, fmt.Sprintf(" -m %d ", seconds))).CombinedOutput() // -m is an error
			if strings.Contains(string(out), want) {
				break
			}
			if seconds == 60 || !strings.Contains(script, second) {
				t.Errorf("%s\ndoes not print %q, but\n%s", m[2], want, out)
				break
			}
		}
	}
	if commands < 8 {
		t.Errorf("only %d commands were found", commands)
	}
}

// TestFollow runs the whole client of docs/curl.md.
func TestFollow(t *testing.T) {
	installed.Program(t, "apt-get install curl", "curl")
	url, change := shop(t)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", filepath.Join(root, "examples", "curl", "follow.sh"), url+"/api", "products")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = cmd.Wait()
	}()
	lines := bufio.NewScanner(out)
	for _, name := range []string{"", "first", "second", "third"} {
		if name != "" {
			change(name) // whether it waits or asks later
		}
		if !lines.Scan() {
			t.Fatalf("it has ended: %v", lines.Err())
		}
		if !strings.Contains(lines.Text(), name) || name != "" && !strings.Contains(lines.Text(), `"action":"update"`) {
			t.Errorf("%q: %s", name, lines.Text())
		}
	}
}
