package driver_test

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/value"
)

// parcel has ids that are kept in bytes and shown as text.
type parcel struct {
	ID     uuid.UUID  `json:"id"`
	Parent *uuid.UUID `json:"parent"`
	Sum    [4]byte    `json:"sum"` // no text form of its own
}

func TestDescribeKnowsUUIDs(t *testing.T) {
	schema, err := driver.Describe[parcel](driver.Table{Name: "parcels"}, "id").Schema()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]value.Kind{"id": value.KindText, "parent": value.KindText, "sum": value.KindOpaque} {
		if c := schema.Columns[schema.Column(name)]; c.Kind != want || c.Nullable != (name != "id") {
			t.Errorf("column %q: %s, nullable %t", name, c.Kind, c.Nullable)
		}
	}
	id := uuid.MustParse("0a000000-0000-4000-8000-00000000000f")
	want := driver.KeyOf(id.String())
	for _, text := range []string{id.String(), "0A000000-0000-4000-8000-00000000000F", "{0a000000-0000-4000-8000-00000000000f}", "urn:uuid:0a000000-0000-4000-8000-00000000000f"} {
		if key, err := schema.ParseKey(text); err != nil || key != want {
			t.Errorf("%s: %v, %v", text, key, err)
		}
	}
	for _, v := range []any{id, &id, id.String(), "0A000000-0000-4000-8000-00000000000F"} {
		if key, err := schema.MakeKey(v); err != nil || key != want {
			t.Errorf("MakeKey(%T): %v, %v", v, key, err)
		}
	}
	if detail := schema.Columns[schema.Column("id")].Check(value.Text("garbage")); detail == "" {
		t.Error("a text that is no uuid is not refused")
	}
}

// TestUUIDsThroughRegistry: rows are found by uuids however they are spelled, in
// keys, filters and parameters.
func TestUUIDsThroughRegistry(t *testing.T) {
	table := coretest.NewTable[parcel]("parcels", "id")
	id, other := uuid.MustParse("0a000000-0000-4000-8000-00000000000f"), uuid.New()
	table.Put(parcel{ID: id}, parcel{ID: other, Parent: &id})
	parcels := core.Bind("parcels", table)
	parts := core.BindFamily("parts", table, core.Where(filter.Eq("parent", filter.Param("of"))))
	reg := core.NewRegistry()
	if err := reg.Add(parcels, parts); err != nil {
		t.Fatal(err)
	}
	if err := reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reg.Shutdown(context.Background()) }()
	if row, ok := parcels.Get(id); !ok || row.ID != id {
		t.Errorf("Get: %v, %t", row, ok)
	}
	if row, ok := parcels.Snapshot().Get(driver.KeyOf(id.String())); !ok || row.Key().String() != id.String() {
		t.Errorf("the key is %s", row.Key())
	}
	for _, of := range []any{id, "0A000000-0000-4000-8000-00000000000F"} {
		m, err := parts.Open(t.Context(), core.Args{"of": of})
		if err != nil {
			t.Fatal(err)
		}
		if m.ID() != "parts?of="+id.String() || m.Len() != 1 {
			t.Errorf("%v: %s has %d rows", of, m.ID(), m.Len())
		}
		m.Close()
	}
	if _, err := parts.Open(t.Context(), core.Args{"of": "garbage"}); err == nil {
		t.Error("a parameter that is no uuid was accepted")
	}
}
