package fanout

import (
	"slices"
	"testing"

	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
)

func table(schema, name string, key ...string) driver.Schema {
	return driver.Schema{Table: driver.Table{Schema: schema, Name: name}, Key: key}
}

func attach(h *Hub, schemas ...driver.Schema) (*coretest.Sink, *Attachment) {
	sink := &coretest.Sink{Schemas: schemas}
	a := NewAttachment(sink)
	h.Attach(a)
	return sink, a
}

// A sink that came after the announcement hears of the commit, one that went is
// told that its announcement is over, and nobody is told twice.
func TestSinksComeAndGo(t *testing.T) {
	h := NewHub("")
	first, a := attach(h, table("", "t", "id"))
	second, _ := attach(h, table("", "t", "id"))
	changes := []driver.Change{{Table: driver.Table{Name: "t"}, Keys: []driver.Key{driver.KeyOf(1), driver.KeyOf(2)}}}
	ann := h.AnnounceCommit(h.Tables(), changes)
	h.Detach(a)
	third, _ := attach(h, table("", "t", "id"))
	if waits := h.Confirm(t.Context(), ann, changes); len(waits) != 3 {
		t.Errorf("%d receipts, want 3", len(waits))
	}
	for i, s := range []*coretest.Sink{first, second, third} {
		if r := s.Record(); r.Open != 0 || len(r.Changes) != 1 || len(r.Changes[0].Keys) != 2 {
			t.Errorf("sink %d: %d announcements are open, it heard %v", i, r.Open, r.Changes)
		}
	}
	ann = h.Announce(changes)
	h.Confirm(t.Context(), ann, nil)
	if r := third.Record(); r.Open != 0 || len(r.Changes) != 1 {
		t.Errorf("nothing came of it, and %d announcements are open, %v heard", r.Open, r.Changes)
	}
}

// Each sink owns what it is given.
func TestSinksShareNoSlices(t *testing.T) {
	h := NewHub("")
	first, _ := attach(h)
	second, _ := attach(h)
	changes := []driver.Change{{Table: driver.Table{Name: "t"}, Keys: []driver.Key{driver.KeyOf(1)}}, {Table: driver.Table{Name: "whole"}}}
	h.Confirm(t.Context(), nil, changes)
	first.Record().Changes[0].Keys[0] = driver.KeyOf(9)
	if k := second.Record().Changes[0].Keys[0]; k != driver.KeyOf(1) || changes[0].Keys[0] != driver.KeyOf(1) {
		t.Errorf("the other sink has %v, the source %v", k, changes[0].Keys[0])
	}
	if second.Record().Changes[1].Keys != nil {
		t.Error("a whole table has keys")
	}
}

func TestMatchingNames(t *testing.T) {
	h := NewHub("")
	attach(h, table("", "Items", "id"), table("shop", "items", "id"), table("store", "items", "id"), table("", "other", "id"))
	for _, c := range []struct {
		schema, name string
		want         int
	}{{"", "items", 3}, {"SHOP", "items", 2}, {"none", "ITEMS", 1}, {"", "other", 1}, {"x", "missing", 0}} {
		if got := h.Tables().Match(c.schema, c.name); len(got) != c.want {
			t.Errorf("%s.%s means %d tables, want %d", c.schema, c.name, len(got), c.want)
		}
	}
}

// A table that two registries bind under different keys has no key that both
// would understand.
func TestTablesOfTwoRegistries(t *testing.T) {
	h := NewHub("")
	attach(h, table("", "same", "id"), table("", "odd", "id"))
	attach(h, table("", "same", "id"), table("", "odd", "code"), driver.Schema{Table: driver.Table{Database: "another", Name: "t"}})
	var got []string
	for _, s := range h.Tables().Schemas() {
		got = append(got, s.Table.Name+" "+slices.Concat(s.Key, []string{""})[0])
	}
	if want := []string{"odd ", "same id"}; !slices.Equal(got, want) {
		t.Errorf("bound are %q, want %q", got, want)
	}
}

// The name is fixed once somebody relies on it.
func TestNamingTheDatabase(t *testing.T) {
	h := NewHub("")
	if !h.SetDatabase("a") || h.SetDatabase("b") || h.UseDatabase() != "a" || !h.SetDatabase("a") {
		t.Error("a database has two names")
	}
	h = NewHub("")
	if h.UseDatabase() != "" || h.SetDatabase("late") {
		t.Error("a name in use was changed")
	}
}
