package csvfile

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"github.com/binderyhq/bindery/core/driver"
)

// MaxSize is how large a file may be, in bytes.
const MaxSize = 64 << 20

// Item is a row of the file.
type Item struct {
	SKU   string `json:"sku"`
	Name  string `json:"name"`
	Cents int64  `json:"cents"`
	Stock int64  `json:"stock"`
}

// Table is a CSV file of items, told apart by their SKU. Its methods may be
// called from any goroutine.
type Table struct {
	*driver.Description[Item] // the schema, and the values of a row's columns
	path                      string
}

var _ driver.Loader[Item] = (*Table)(nil)

// Open returns the table in the file. It does not read it yet.
func Open(path string) *Table {
	return &Table{Description: driver.Describe[Item](driver.Table{Name: path}, "sku"), path: path}
}

// Load implements [driver.Loader]: it reads the file, and leaves out what it was
// not asked for.
func (t *Table) Load(_ context.Context, keys []driver.Key) ([]*Item, error) {
	content, err := t.read()
	if err != nil {
		return nil, err
	}
	items, err := parse(content)
	if err != nil {
		return nil, fmt.Errorf("csvfile: reading %q: %w", t.path, err)
	}
	if keys == nil {
		return items, nil
	}
	return slices.DeleteFunc(items, func(i *Item) bool { return !slices.Contains(keys, driver.KeyOf(i.SKU)) }), nil
}

// read returns the content of the file as it is at this moment.
func (t *Table) read() (content []byte, err error) {
	f, err := os.Open(t.path)
	if err != nil {
		return nil, fmt.Errorf("csvfile: reading the table: %w", err)
	}
	defer f.Close()
	content, err = io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("csvfile: reading %q: %w", t.path, err)
	}
	if len(content) > MaxSize {
		return nil, fmt.Errorf("csvfile: reading %q: it is larger than %d bytes", t.path, MaxSize)
	}
	return content, nil
}

// parse returns the items. The error names the line.
func parse(content []byte) ([]*Item, error) {
	r := csv.NewReader(bytes.NewReader(content))
	header, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("its first line names no columns: %w", err)
	}
	var position [4]int
	for i, name := range []string{"sku", "name", "cents", "stock"} {
		if position[i] = slices.Index(header, name); position[i] < 0 {
			return nil, fmt.Errorf("its first line does not name the column %q", name)
		}
	}
	var items []*Item
	seen := map[string]bool{}
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return items, nil
		}
		if err != nil {
			return nil, err // names the line
		}
		line, _ := r.FieldPos(0)
		item := &Item{SKU: record[position[0]], Name: record[position[1]]}
		item.Cents, err = strconv.ParseInt(record[position[2]], 10, 64)
		if err == nil {
			item.Stock, err = strconv.ParseInt(record[position[3]], 10, 64)
		}
		if err == nil && seen[item.SKU] {
			err = fmt.Errorf("there is a sku %q already", item.SKU)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		seen[item.SKU] = true
		items = append(items, item)
	}
}
