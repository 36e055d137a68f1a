package status

import (
	"encoding/json"

	"github.com/binderyhq/bindery/core/driver"
)

// Drift is the difference between a binding's rows and the database's.
type Drift struct {
	// Missing are the keys of rows that the binding should have held, Extra those of rows
	// that it should not have held, and Different those of rows that it held with other
	// content.
	Missing, Extra, Different []driver.Key
}

// Len returns the number of rows that differed.
func (d Drift) Len() int { return len(d.Missing) + len(d.Extra) + len(d.Different) }

// MarshalJSON encodes the keys as in the rows' URLs.
func (d Drift) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Missing   []string `json:"missing"`
		Extra     []string `json:"extra"`
		Different []string `json:"different"`
	}{textsOf(d.Missing), textsOf(d.Extra), textsOf(d.Different)})
}

// textsOf returns the keys as in the rows' URLs.
func textsOf(keys []driver.Key) []string {
	texts := make([]string, len(keys))
	for i, k := range keys {
		texts[i] = k.String()
	}
	return texts
}
