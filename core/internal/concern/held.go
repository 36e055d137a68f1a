package concern

import (
	"reflect"

	"github.com/binderyhq/bindery/core/internal/rowset"
)

// heldRow is a row that bindings hold. Bindings that come to hold the same row
// share it.
type heldRow struct {
	rowset.Fetched
	holders int // how many bindings hold it
	// earlier is the row of the same key that other bindings hold still: they have
	// not been published yet, or are in trouble. Most of the time there is none.
	earlier *heldRow
}

// find returns the row, or the earlier one, that is the same; nil when there is none.
func (h *heldRow) find(row any) *heldRow {
	for one := h; one != nil; one = one.earlier {
		if one.Row == row {
			return one
		}
	}
	for one := h; one != nil; one = one.earlier { // read by two statements
		if reflect.DeepEqual(one.Row, row) {
			return one
		}
	}
	return nil
}

// without takes one out of the row and the earlier ones, and returns the first that is
// left, nil for none.
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
