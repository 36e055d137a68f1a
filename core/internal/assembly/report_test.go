package assembly_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/internal/assembly"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/live"
)

type source struct {
	name   string
	covers func(driver.Table) bool
}

func (s source) Name() string               { return s.name }
func (s source) Covers(t driver.Table) bool { return s.covers(t) }

func bound(name string, s rowset.Spec, tables ...string) assembly.Binding {
	b := assembly.Binding{Member: rowset.NewMember(name, nil, nil, &s, nil)}
	for _, t := range tables {
		b.Watched = append(b.Watched, driver.Table{Name: t})
	}
	return b
}

// TestLog holds that one line says what was started, and which source sees what.
func TestLog(t *testing.T) {
	r := assembly.Report{
		Bindings: []assembly.Binding{bound("items", rowset.Spec{}, "items"), bound("shelf", rowset.Spec{Family: true}, "items", "shelves"), bound("followed", rowset.Spec{})},
		Sources: []assembly.Source{
			source{"hooks", func(driver.Table) bool { return true }},
			source{"poll", func(t driver.Table) bool { return t.Name == "items" }},
			source{"other", func(driver.Table) bool { return false }},
		},
		Transports: []string{"rest", "sse"}, Authorizer: true,
	}
	for i := range 22 {
		r.Plugins = append(r.Plugins, fmt.Sprintf("p%d", i))
	}
	var out bytes.Buffer
	r.Log(slog.New(slog.NewTextHandler(&out, nil)))
	line := out.String()
	for _, want := range []string{
		`msg="core: started" id=core-started bindings="items, followed" families=shelf sources="hooks: every table; poll: items; other: no table" transports="rest, sse"`,
		`p19 and 2 more" authorizer=true`,
	} {
		if !strings.Contains(line, want) {
			t.Errorf("%s does not say %s", line, want)
		}
	}
	if strings.Count(line, "\n") != 1 {
		t.Errorf("it is not one line: %s", line)
	}
}

// TestWarn holds that bindings which nobody watches are named, and those that everybody
// may write to where there is no authorizer.
func TestWarn(t *testing.T) {
	r := assembly.Report{
		Bindings: []assembly.Binding{bound("seen", rowset.Spec{}, "items"), bound("unseen", rowset.Spec{Rules: live.WriteRules{Writable: true}}, "shelves")},
		Sources:  []assembly.Source{source{"poll", func(t driver.Table) bool { return t.Name == "items" }}},
	}
	for _, authorizer := range []bool{false, true} {
		r.Authorizer = authorizer
		var out bytes.Buffer
		r.Warn(slog.New(slog.NewTextHandler(&out, nil)))
		text := out.String()
		if !strings.Contains(text, "id=core-unwatched binding=unseen table=shelves") || strings.Contains(text, "binding=seen") {
			t.Errorf("authorizer %v: %s", authorizer, text)
		}
		if got := strings.Contains(text, "id=core-unguarded binding=unseen"); got == authorizer {
			t.Errorf("authorizer %v: %s", authorizer, text)
		}
	}
}
