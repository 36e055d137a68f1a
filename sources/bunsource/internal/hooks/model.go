package hooks

import (
	"database/sql"
	"reflect"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/sources/bunsource/internal/keyproof"
	"github.com/binderyhq/bindery/sources/internal/sqltext"
)

// modelKey finds the generated keys of an INSERT in its model, where Bun puts them.
// It is for drivers that do not show the rows.
type modelKey struct {
	field *schema.Field
	value reflect.Value // the struct, or the slice
}

// modelKeyOf returns the key of a model that is inserted into the table. It returns
// nil if a part of the key is set already: then a key in the model need not be the
// database's answer.
func modelKeyOf(model bun.Model, table sqltext.Table) *modelKey {
	tm, ok := model.(bun.TableModel)
	if !ok || len(tm.Table().PKs) != 1 || !strings.EqualFold(tm.Table().Name, table.Name) {
		return nil
	}
	m := &modelKey{field: tm.Table().PKs[0], value: reflect.ValueOf(tm.Value())}
	if m.value.Kind() != reflect.Pointer || m.value.IsNil() {
		return nil
	}
	m.value = m.value.Elem()
	for i := range m.len() {
		if el := m.at(i); !el.IsValid() || !m.field.HasZeroValue(el) {
			return nil
		}
	}
	return m
}

func (m *modelKey) len() int {
	switch m.value.Kind() {
	case reflect.Slice:
		return m.value.Len()
	case reflect.Struct:
		return 1
	default:
		return 0
	}
}

// at returns a struct, or the zero Value for a nil pointer.
func (m *modelKey) at(i int) reflect.Value {
	v := m.value
	if v.Kind() == reflect.Slice {
		v = v.Index(i)
	}
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	return v
}

// settle takes over the keys, if each row that changed has left one.
func (m *modelKey) settle(e *keyproof.Effect, res sql.Result) {
	if res == nil || m.len() == 0 || m.len() > keyproof.MaxKeys {
		return
	}
	if n, err := res.RowsAffected(); err != nil || int(n) != m.len() {
		return
	}
	for i := range m.len() {
		if el := m.at(i); !el.IsValid() || m.field.HasZeroValue(el) {
			return
		}
	}
	e.SetKeys(m.keys)
}

func (m *modelKey) keys(s *driver.Schema) ([]driver.Key, bool) {
	if len(s.Key) != 1 || s.Key[0] != m.field.Name {
		return nil, false
	}
	keys := make([]driver.Key, m.len())
	for i := range keys {
		key, err := s.MakeKey(m.field.Value(m.at(i)).Interface())
		if err != nil {
			return nil, false
		}
		keys[i] = key
	}
	return keys, true
}
