package wiretest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Message is a message as a client decodes it.
type Message struct {
	Event        string          `json:"event"`
	Params       json.RawMessage `json:"params"`
	Action       string          `json:"action"`
	Payload      json.RawMessage `json:"payload"`
	Page         int             `json:"page"`
	Pages        int             `json:"pages"`
	Order        []string        `json:"order"`
	Version      string          `json:"version"`
	LastModified string          `json:"last_modified"`
	More         bool            `json:"more"`
	Mark         string          `json:"mark"`
}

// Rows returns the payload's rows.
func (m Message) Rows() []map[string]any {
	var rows []map[string]any
	_ = json.Unmarshal(m.Payload, &rows) // "ok" and problems have none
	return rows
}

// Problem returns the type of an error's problem, "" of any other message.
func (m Message) Problem() string {
	var p struct{ Type string }
	_ = json.Unmarshal(m.Payload, &p)
	return p.Type
}

// Status returns the status of an error's problem, 0 of any other message.
func (m Message) Status() int {
	var p struct{ Status int }
	_ = json.Unmarshal(m.Payload, &p) // of other messages it is no problem
	return p.Status
}

// Client is what a client knows of one binding whose rows are [Item]s.
type Client struct {
	// Rows is what the client holds, by id.
	Rows map[int]Item
	// Version is the version of Rows, "" when it has none.
	Version string
	// Syncs and Changes count the batches that were applied.
	Syncs, Changes int

	pending []Message
}

// Lose forgets a batch that has not arrived in full, as after a lost
// connection.
func (c *Client) Lose() { c.pending = nil }

// Take takes the next message. The batch is applied with its last message. The
// error says how the message breaks the protocol.
func (c *Client) Take(m Message) error {
	if m.Version == "" || m.LastModified == "" {
		return fmt.Errorf("a message without version or last_modified: %+v", m)
	}
	if len(c.pending) > 0 {
		prev := c.pending[len(c.pending)-1]
		if prev.Version != m.Version {
			return fmt.Errorf("a batch leads to %s and to %s", prev.Version, m.Version)
		}
		if prev.Action == "sync" && (m.Action != "sync" || m.Page != prev.Page+1 || m.Pages != prev.Pages) {
			return fmt.Errorf("page %d of %d is followed by %s, page %d of %d", prev.Page, prev.Pages, m.Action, m.Page, m.Pages)
		}
	} else if m.Action == "sync" && string(m.Payload) != `"ok"` && m.Page != 1 {
		return fmt.Errorf("a sync begins with page %d", m.Page)
	}
	c.pending = append(c.pending, m)
	if m.More {
		return nil
	}
	batch := c.pending
	c.pending = nil
	return c.apply(batch)
}

func (c *Client) apply(batch []Message) error {
	first, last := batch[0], batch[len(batch)-1]
	rows := maps.Clone(c.Rows)
	switch {
	case string(first.Payload) == `"ok"`:
		if len(batch) > 1 || c.Version != first.Version {
			return fmt.Errorf("told that %s is current, having %s", first.Version, c.Version)
		}
		return nil
	case first.Action == "sync":
		if last.Page != last.Pages {
			return fmt.Errorf("a sync ends with page %d of %d", last.Page, last.Pages)
		}
		rows = map[int]Item{}
	case c.Version == "":
		return fmt.Errorf("a %s before any sync", first.Action)
	}
	seen := map[int]bool{}
	for _, m := range batch {
		var items []Item
		if err := json.Unmarshal(m.Payload, &items); err != nil {
			return fmt.Errorf("payload %s: %w", m.Payload, err)
		}
		if len(items) == 0 && m.Action != "sync" {
			return fmt.Errorf("an empty %s", m.Action)
		}
		for _, it := range items {
			if seen[it.ID] {
				return fmt.Errorf("key %d is twice in one batch", it.ID)
			}
			seen[it.ID] = true
			_, have := rows[it.ID]
			switch {
			case m.Action == "delete" && have:
				delete(rows, it.ID)
			case m.Action == "sync", m.Action == "create" && !have, m.Action == "update" && have:
				rows[it.ID] = it
			default:
				return fmt.Errorf("%s of key %d, which the client has: %t", m.Action, it.ID, have)
			}
		}
	}
	if first.Action == "sync" {
		c.Syncs++
	} else {
		c.Changes++
	}
	c.Rows, c.Version = rows, first.Version
	return nil
}

// Items returns the client's rows, by id.
func (c *Client) Items() []Item {
	var items []Item
	for _, id := range slices.Sorted(maps.Keys(c.Rows)) {
		items = append(items, c.Rows[id])
	}
	return items
}
