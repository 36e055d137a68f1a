package transporttest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
)

var full = Abilities{Streams: true, Resumes: true, Deltas: true, Pages: true, Families: true, Marks: true}

// TestSound: transports that keep their promises pass, whatever they can do.
func TestSound(t *testing.T) {
	for name, can := range map[string]Abilities{
		"everything": full,
		"marks":      {Resumes: true, Marks: true},
		"no deltas":  {Streams: true, Resumes: true},
		"families":   {Resumes: true, Families: true},
		"no resume":  {Streams: true, Pages: true},
		"no streams": {Resumes: true, Pages: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			Run(t, func() (Harness, error) { return newMemory(can, faults{}).harness(), nil })
		})
	}
}

// TestBroken: each fault is found, by the case that is there for it.
func TestBroken(t *testing.T) {
	for name, c := range map[string]struct {
		found  string // name of the case
		faults faults
	}{
		"loses a batch": {"state then changes", faults{batch: func(n int, b []Message) []Message {
			if n == 3 {
				return nil
			}
			return b
		}}},
		"answers marks too early": {"mark of a write", faults{marksAtOnce: true}},
		"answers what is no mark": {"what is no mark", faults{takesAnyMark: true}},
		"repeats a batch": {"state then changes", faults{batch: func(n int, b []Message) []Message {
			if n == 3 {
				return append(slices.Clone(b), b...)
			}
			return b
		}}},
		"ends batches early": {"state then changes", faults{batch: func(_ int, b []Message) []Message {
			for i := range b {
				b[i].More = false
			}
			return b
		}}},
		"joins batches": {"state then changes", faults{batch: func(n int, b []Message) []Message {
			b[len(b)-1].More = n == 4
			return b
		}}},
		"names no version": {"nothing at first", faults{batch: func(_ int, b []Message) []Message {
			b[len(b)-1].Version = ""
			return b
		}}},
		"names a version of its own": {"nothing at first", faults{batch: func(n int, b []Message) []Message {
			b[len(b)-1].Version = strings.Repeat("x", n)
			return b
		}}},
		"shows other rows": {"nothing at first", faults{batch: func(_ int, b []Message) []Message {
			for i, m := range b {
				for j, row := range m.Rows {
					b[i].Rows[j] = bytes.Replace(row, []byte("first"), []byte("fixed"), 1)
				}
			}
			return b
		}}},
		"shows deleted rows": {"rows that leave", faults{batch: func(_ int, b []Message) []Message {
			for i, m := range b {
				if m.Action == Delete {
					b[i].Rows[0] = json.RawMessage(strings.Replace(string(m.Rows[0]), "}", `,"name":"secret"}`, 1))
				}
			}
			return b
		}}},
		"updates what is not there": {"rows that leave", faults{batch: func(_ int, b []Message) []Message {
			for i, m := range b {
				if m.Action == Create {
					b[i].Action = Update
				}
			}
			return b
		}}},
		"begins with a change": {"nothing at first", faults{batch: func(_ int, b []Message) []Message {
			for i := range b {
				b[i].Action = Put
			}
			return b
		}}},
		"says that every version is current": {"resume from the log", faults{resume: func(v *live.View, version string) string {
			if version != "" {
				return v.Version().Token
			}
			return ""
		}}},
		"sends everything again": {"resume at the current version", faults{resume: func(*live.View, string) string { return "" }}},
		"repeats rows between pages": {"pages", faults{page: func(rows []json.RawMessage, page, size int) []json.RawMessage {
			if page == 2 {
				rows = append(rows[:1:1], rows...)
			}
			return cutPage(rows, page, size)
		}}},
		"orders pages otherwise": {"pages", faults{page: func(rows []json.RawMessage, page, size int) []json.RawMessage {
			slices.Reverse(rows)
			return cutPage(rows, page, size)
		}}},
		"keeps everything for slow clients": {"a client that does not read", faults{keepsQueue: true}},
		"lets slow clients hold up writers": {"a client that does not read", faults{blocksWriters: true}},
		"keeps who vanished":                {"clients that vanish", faults{keepsVanished: true}},
		"serves what does not exist": {"an unknown binding", faults{lookup: func(reg *core.Registry, name string) (*live.View, bool) {
			if v, ok := reg.Lookup(name); ok {
				return v, ok
			}
			return reg.Lookup(items)
		}}},
		"looks bindings up once": {"a binding that is added later", faults{lookup: func(reg *core.Registry, name string) (*live.View, bool) {
			v, ok := reg.Lookup(name)
			return v, ok && name != "late"
		}}},
		"shows nothing as a state":   {"a binding that has not loaded yet", faults{beforeLoad: true}},
		"does not tell of a removal": {"a binding that is removed", faults{silentRemoval: true}},
		"asks nobody": {"who is not known", faults{open: func(_ context.Context, reg *core.Registry, q Request) (*core.Grant, error) {
			return reg.Open(WithPrincipal(context.Background(), "root"), q.Binding, argsOf(q))
		}}},
		"forgets who asks": {"who may see what", faults{open: func(_ context.Context, reg *core.Registry, q Request) (*core.Grant, error) {
			return reg.Open(WithPrincipal(context.Background(), "root"), q.Binding, argsOf(q))
		}}},
		"forgets parameters": {"members of a family", faults{open: func(ctx context.Context, reg *core.Registry, q Request) (*core.Grant, error) {
			if q.Params != nil {
				q.Params = ofOwner(owners[0])
			}
			return reg.Open(ctx, q.Binding, argsOf(q))
		}}},
		"ignores parameters": {"arguments that are wrong", faults{open: func(ctx context.Context, reg *core.Registry, q Request) (*core.Grant, error) {
			delete(q.Params, "colour")
			return reg.Open(ctx, q.Binding, argsOf(q))
		}}},
		"is not told of withdrawn rights": {"rights that are withdrawn", faults{subscribe: unguarded}},
		"is not told of changed rights":   {"rights that change", faults{subscribe: unguarded}},
		"does not tell of a refusal":      {"rights that are withdrawn", faults{deniesNobody: true}},
		"tells why an authorizer fails":   {"who is refused", faults{tellsWhy: true}},
		"tells why at a failure":          {"an authorizer that fails", faults{tellsWhy: true}},
		"takes everybody's versions": {"versions of others", faults{resume: func(v *live.View, version string) string {
			if version != "" {
				return v.Version().Token
			}
			return ""
		}}},
		"counts hidden rows":             {"two worlds", faults{countsAll: true}},
		"stays open":                     {"shutdown ends connections", faults{staysOpen: true}},
		"waits until the deadline":       {"shutdown ends connections", faults{hangs: true}},
		"ends in the middle of a batch":  {"shutdown ends connections", faults{halfAtTheEnd: true}},
		"serves after the shutdown":      {"shutdown ends connections", faults{servesLate: true}},
		"modifies the bytes of rows":     {"rows that leave", faults{scribbles: scribbleRow}},
		"modifies the bytes of the body": {"state then changes", faults{scribbles: func(v *live.View) { v.Snapshot().Body()[0] = '{' }}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFound(t, c.found, timeoutOf(c.faults), func() (Harness, error) { return newMemory(full, c.faults).harness(), nil })
		})
	}
}

// TestSpelledOtherwise: a transport may encode rows again, as long as they are the same
// JSON.
func TestSpelledOtherwise(t *testing.T) {
	t.Parallel()
	Run(t, func() (Harness, error) {
		return newMemory(full, faults{
			batch: func(_ int, b []Message) []Message {
				for i := range b {
					b[i].Rows = spelledOtherwise(b[i].Rows)
				}
				return b
			},
			page: func(rows []json.RawMessage, page, size int) []json.RawMessage {
				return spelledOtherwise(cutPage(rows, page, size))
			},
		}).harness(), nil
	})
}

// spelledOtherwise encodes rows with members in another order, characters escaped and
// numbers with a fraction.
func spelledOtherwise(rows []json.RawMessage) (out []json.RawMessage) {
	for _, row := range rows {
		var members map[string]json.RawMessage
		if json.Unmarshal(row, &members) != nil {
			return rows
		}
		var b bytes.Buffer
		for _, name := range slices.Backward(slices.Sorted(maps.Keys(members))) {
			text := string(members[name])
			if name == "id" {
				text += ".0"
			}
			fmt.Fprintf(&b, ",\n %q : %s", name, strings.ReplaceAll(text, "row", `\u0072ow`))
		}
		out = append(out, json.RawMessage("{"+strings.TrimPrefix(b.String(), ",")+"}"))
	}
	return out
}

func TestSameJSON(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{`{"a":1,"b":[true,null,"x"]}`, ` { "b" : [ true , null , "\u0078" ] , "a" : 1.0e0 } `, true},
		{`9007199254740993`, `9007199254740992`, false},
		{`9007199254740993`, `9007199254740993.0`, true},
		{`{"a":1}`, `{"a":"1"}`, false},
		{`{"a":null}`, `{}`, false},
		{`[1,2]`, `[2,1]`, false},
		{`1`, `1 2`, false},
		{`1`, ``, false},
		{`false`, `null`, false},
	} {
		if got := sameJSON(c.a, c.b); got != c.same {
			t.Errorf("%s and %s: %t", c.a, c.b, got)
		}
	}
}

// TestEndsAreNamed: whoever wrote the harness is told what ended otherwise, and how it
// should have.
func TestEndsAreNamed(t *testing.T) {
	t.Parallel()
	i := slices.IndexFunc(cases, func(c rule) bool { return c.name == "shutdown ends connections" })
	err := cases[i].check(func() (Harness, error) { return newMemory(full, faults{cutsOff: io.ErrUnexpectedEOF}).harness(), nil }, CaseTimeout)
	for _, want := range []string{`the connection of "items" was cut off`, `"unexpected EOF" (*errors.errorString)`, "an end in good order is io.EOF"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the cause is lost: %v", err)
	}
}

// unguarded begins a subscription that no authorizer ends.
func unguarded(g *core.Grant) *live.Subscription {
	return g.View().Subscribe(live.SubscribeOptions{})
}

// scribbleRow changes a row that has been there.
func scribbleRow(v *live.View) {
	for r := range v.Snapshot().Rows() {
		r.JSON()[1] = ' '
	}
}

// TestAbilities: what is declared and not done is found, and so is what is done
// and not declared.
func TestAbilities(t *testing.T) {
	for name, c := range map[string]struct {
		found  string
		change func(*Abilities)
	}{
		"streams": {"clients that vanish", func(a *Abilities) { a.Streams = false }},
		"resumes": {"resume at the current version", func(a *Abilities) { a.Resumes = false }},
		"deltas":  {"resume from the log", func(a *Abilities) { a.Deltas = false }},
		"pages":   {"pages", func(a *Abilities) { a.Pages = false }},
	} {
		less := full
		c.change(&less)
		for way, m := range map[string]struct{ does, declares Abilities }{
			"declared": {does: less, declares: full},
			"done":     {does: full, declares: less},
		} {
			t.Run(name+" only "+way, func(t *testing.T) {
				t.Parallel()
				wantFound(t, c.found, timeoutOf(faults{keepsVanished: name == "streams"}), func() (Harness, error) {
					made := newMemory(m.does, faults{})
					made.declares = m.declares
					return made.harness(), nil
				})
			})
		}
	}
}

// timeoutOf returns how long a case is given: little where it fails by waiting
// in vain.
func timeoutOf(f faults) time.Duration {
	if f.blocksWriters || f.keepsVanished || f.silentRemoval || f.staysOpen || f.hangs || f.batch != nil || f.subscribe != nil || f.deniesNobody {
		return time.Second
	}
	return CaseTimeout
}

// wantFound runs the case alone and expects it to fail. On a busy machine a case may not
// come as far as the fault within a short timeout, and is given a longer one.
func wantFound(t *testing.T, name string, timeout time.Duration, newHarness Maker) {
	t.Helper()
	i := slices.IndexFunc(cases, func(c rule) bool { return c.name == name })
	if i < 0 {
		t.Fatalf("there is no case %q", name)
	}
	for ; ; timeout = min(4*timeout, CaseTimeout) {
		err := cases[i].check(newHarness, timeout)
		hangs := err != nil && strings.Contains(err.Error(), "hangs:")
		switch {
		case err == nil:
			t.Fatalf("the case %q has not found it", name)
		case hangs && timeout == CaseTimeout:
			t.Fatalf("found by the watchdog alone: %v", err)
		case !hangs:
			t.Logf("found: %v", err)
			return
		}
	}
}

// TestCheck is the other door.
func TestCheck(t *testing.T) {
	broken := func() (Harness, error) { return newMemory(full, faults{servesLate: true}).harness(), nil }
	err := checkWithin(broken, CaseTimeout)
	if err == nil || !strings.Contains(err.Error(), "shutdown ends connections: ") {
		t.Errorf("checking a broken transport: %v", err)
	}
}
