package csvfile

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestConformance holds the source to what all sources promise.
func TestConformance(t *testing.T) {
	sourcetest.Run(t, func() (sourcetest.Harness, error) { return newHarness(t.TempDir()) })
}

// harness watches a symbolic link to the file. The link can be broken while the
// file is still there to be written.
type harness struct {
	file, link string
	table      *Table
	source     *Source
	writing    sync.Mutex // whoever writes the file reads it first
}

func newHarness(dir string) (*harness, error) {
	h := &harness{file: filepath.Join(dir, "items.csv"), link: filepath.Join(dir, "link.csv")}
	h.table = Open(h.link)
	h.source = Watch(h.table, 5*time.Millisecond)
	var items []*Item
	for i := range sourcetest.InitialRows {
		items = append(items, &Item{SKU: strconv.Itoa(i + 1)})
	}
	if err := h.save(items); err != nil {
		return nil, err
	}
	return h, h.Restore(context.Background())
}

func (h *harness) Source() driver.Source { return h.source }
func (h *harness) Close() error          { return nil }

func (h *harness) Schemas() []driver.Schema {
	s, _ := h.table.Schema()
	return []driver.Schema{s}
}

func (h *harness) Abilities() sourcetest.Abilities {
	return sourcetest.Abilities{KeyChanges: true, OtherProcesses: true}
}

func (h *harness) Read(ctx context.Context) (sourcetest.Rows, error) {
	items, err := Open(h.file).Load(ctx, nil)
	rows := map[driver.Key]string{}
	for _, i := range items {
		rows[driver.KeyOf(i.SKU)] = fmt.Sprint(i.Stock)
	}
	return sourcetest.Rows{h.source.tableName(): rows}, err
}

func (h *harness) Write(ctx context.Context, writes ...sourcetest.Write) error {
	h.writing.Lock()
	defer h.writing.Unlock()
	items, err := Open(h.file).Load(ctx, nil)
	if err != nil {
		return err
	}
	for _, w := range writes {
		var kept []*Item
		for _, i := range items {
			switch sku := strconv.Itoa(w.ID); {
			case i.SKU != sku:
			case w.Kind == sourcetest.Delete:
				continue
			case w.Kind == sourcetest.Update:
				i.Stock = int64(w.Value)
			case w.Kind == sourcetest.Rekey:
				i.SKU = strconv.Itoa(w.To)
			}
			kept = append(kept, i)
		}
		if w.Kind == sourcetest.Insert {
			kept = append(kept, &Item{SKU: strconv.Itoa(w.ID), Stock: int64(w.Value)})
		}
		items = kept
	}
	return h.save(items)
}

// WriteOutside is no different: the source watches the file and not who writes.
func (h *harness) WriteOutside(ctx context.Context, writes ...sourcetest.Write) error {
	return h.Write(ctx, writes...)
}

func (h *harness) Break(context.Context) error   { return os.Remove(h.link) }
func (h *harness) Restore(context.Context) error { return os.Symlink(h.file, h.link) }

func (h *harness) save(items []*Item) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	records := [][]string{{"name", "sku", "cents", "stock"}}
	for _, i := range items {
		records = append(records, []string{i.Name, i.SKU, strconv.FormatInt(i.Cents, 10), strconv.FormatInt(i.Stock, 10)})
	}
	if err := w.WriteAll(records); err != nil {
		return err
	}
	if err := os.WriteFile(h.file+".new", b.Bytes(), 0o600); err != nil {
		return err
	}
	return os.Rename(h.file+".new", h.file)
}
