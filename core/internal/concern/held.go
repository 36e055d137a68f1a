package concern

import (
	"reflect"

	"github.com/binderyhq/bindery/core/internal/rowset"
)

// heldRow is a row that bindings hold. Bindings that hold an equal row share it.
type heldRow struct {
	rowset.Fetched
	holders int // how many bindings hold it
	// earlier is an older row with the same key, which other bindings still hold: they
	// are not published yet, or are in trouble. Mostly it is nil.
	earlier *heldRow
}

// find returns the equal row among this one and the earlier ones, nil if there is none.
func (h *heldRow) find(row any) *heldRow {
	for one := h; one != nil; one = one.earlier {
		if one.Row == row {
			return one
		}
	}
	for one := h; one != nil; one = one.earlier { // two statements have read it
		if reflect.DeepEqual(one.Row, row) {
			return one
		}
	}
	return nil
}

// without removes one from the chain of the row and the earlier ones, and returns the first
// that is left, nil if none is.
func (h *heldRow) without(one *heldRow) *heldRow {
	if h == one {
		return h.earlier
	}
	for before := h; before.earlier != nil; before = before.earlier {
		if before.earlier == one {
			before.earlier = one.earlier
			break
		}
	}
	return h
}
