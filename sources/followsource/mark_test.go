package followsource_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/sources/followsource"
)

// TestMarks: who has written at the origin, and shows its mark to a follower, or to a
// follower of that, is answered with the write in it.
func TestMarks(t *testing.T) {
	origin, table, source := newShop(t, nil)
	follow := func(of *node) (*node, *core.Binding[shelved]) {
		reg, all := quiet(), followsource.Bind[shelved](followsource.New(of.events(), quick), "all")
		_ = reg.Add(all)
		return serve(t, reg, ""), all
	}
	middle, mid := follow(origin)
	last, leaf := follow(middle)
	<-mid.Loaded()
	<-leaf.Loaded()
	var writers sync.WaitGroup
	for writer := range 4 {
		writers.Go(func() {
			for i := range 15 {
				id := 100 + 100*writer + i
				_ = source.Report(t.Context(), table.Put(shelved{id, "store", id}))
				mark, err := origin.reg.Mark(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				n := []*node{middle, last}[i%2]
				res, body := get(t, n, "/api/all", "Bindery-Mark", mark)
				if res.StatusCode != http.StatusOK || !strings.Contains(body, fmt.Sprintf(`{"id":%d,`, id)) || res.Header.Get("Bindery-Mark") != mark {
					t.Errorf("%d, with the write: %v", res.StatusCode, strings.Contains(body, fmt.Sprintf(`{"id":%d,`, id)))
				}
			}
		})
	}
	writers.Wait()

	own, err := last.reg.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mark, err := origin.reg.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{own: "foreign-mark", "no mark": "malformed-mark"} {
		if res, body := get(t, last, "/api/all", "Bindery-Mark", text); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", want, res.StatusCode, body)
		}
	}
	// A stream that begins with a mark, and what HEAD says of one.
	res, err := http.Head(last.events() + "/all")
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("HEAD: %v, %v", res, err)
	}
	// Half of the writes were asked for in the middle only.
	at, _ := origin.reg.Lookup("all")
	reaches(t, last.reg, leaf.View, at.Version().Token)
	before := leaf.Version()
	origin.stop()
	if res, body := get(t, last, "/api/all", "Bindery-Mark", mark+"", "Prefer", "wait=1"); res.StatusCode == http.StatusOK {
		t.Errorf("while the origin is away: %d %.100s", res.StatusCode, body)
	}
	if leaf.Version() != before {
		t.Errorf("from %v to %v", before, leaf.Version())
	}
	http.DefaultClient.CloseIdleConnections()
	last.stop()
	middle.stop()
}

// TestMarksAfterAnotherOrigin: a mark that was reached is not answered for good when another
// node answers at the origin's address, whose rows are older, nor down the tree.
func TestMarksAfterAnotherOrigin(t *testing.T) {
	origin, table, source := newShop(t, nil)
	other, _, _ := newShop(t, nil)
	follow := func(of *node) (*node, *core.Binding[shelved]) {
		reg, all := quiet(), followsource.Bind[shelved](followsource.New(of.events(), quick), "all")
		_ = reg.Add(all)
		return serve(t, reg, ""), all
	}
	middle, mid := follow(origin)
	last, leaf := follow(middle)
	<-mid.Loaded()
	<-leaf.Loaded()
	_ = source.Report(t.Context(), table.Put(shelved{100, "store", 100}))
	mark, err := origin.reg.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is remembered
		for _, n := range []*node{middle, last} {
			if res, body := get(t, n, "/api/all", "Bindery-Mark", mark); res.StatusCode != http.StatusOK || !strings.Contains(body, `{"id":100,`) {
				t.Fatalf("%d %s", res.StatusCode, body)
			}
		}
	}
	address := origin.addr
	origin.stop()
	older, _ := other.reg.Lookup("all")
	again := listen(t, other.reg, other.http.Config.Handler, address)
	reaches(t, last.reg, leaf.View, older.Version().Token)
	for _, n := range []*node{middle, last} {
		if res, body := get(t, n, "/api/all", "Bindery-Mark", mark); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, "foreign-mark") {
			t.Errorf("with the mark of a node that is gone: %d %s", res.StatusCode, body)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	last.stop()
	middle.stop()
	other.stop()
	again.http.CloseClientConnections()
	again.http.Close()
}
