package clienttest

import (
	"encoding/json"
	"maps"
	"slices"
)

// row is a row of a binding, and message a message of the protocol.
type (
	row     map[string]any
	message map[string]any
)

// version is the server's state at one moment.
type version struct {
	token string
	rows  []row // in order
}

const lastModified = "2026-11-25T12:00:00.123456Z"

// of returns a message with the token of the version.
func (v version) of(action string, payload any) message {
	return message{"event": binding, "action": action, "payload": payload, "version": v.token, "last_modified": lastModified}
}

// sync returns the pages of a sync, each of size rows.
func (v version) sync(size int, order ...string) []message {
	var out []message
	for i := 0; ; i += size {
		end := min(i+size, len(v.rows))
		m := v.of("sync", slices.Clone(append([]row{}, v.rows[i:end]...)))
		m["page"] = len(out) + 1
		if len(out) == 0 && len(order) > 0 {
			m["order"] = order
		}
		out = append(out, m)
		if end == len(v.rows) {
			break
		}
	}
	for _, m := range out {
		m["pages"] = len(out)
	}
	return together(out)
}

// ok returns the message that confirms the version as current.
func (v version) ok() []message { return []message{v.of("sync", "ok")} }

// from returns the batch that leads from version w to this one, by the column id.
func (v version) from(w version) []message {
	before, after := byID(w.rows), byID(v.rows)
	var creates, updates, deletes []row
	for _, r := range v.rows {
		old, known := before[text(r["id"])]
		switch {
		case !known:
			creates = append(creates, r)
		case text(old) != text(r):
			updates = append(updates, r)
		}
	}
	for _, r := range w.rows {
		if _, kept := after[text(r["id"])]; !kept {
			deletes = append(deletes, row{"id": r["id"]})
		}
	}
	var out []message
	for _, part := range []struct {
		action string
		rows   []row
	}{{"delete", deletes}, {"create", creates}, {"update", updates}} {
		if len(part.rows) > 0 {
			out = append(out, v.of(part.action, part.rows))
		}
	}
	return together(out)
}

// together makes the messages one batch: all but the last have more set.
func together(list []message) []message {
	for i, m := range list {
		delete(m, "more")
		if i < len(list)-1 {
			m["more"] = true
		}
	}
	return list
}

// as returns copies of the messages with these fields set.
func as(list []message, fields message) []message {
	out := make([]message, len(list))
	for i, m := range list {
		out[i] = maps.Clone(m)
		maps.Copy(out[i], fields)
	}
	return out
}

func byID(rows []row) map[string]row {
	out := make(map[string]row, len(rows))
	for _, r := range rows {
		out[text(r["id"])] = r
	}
	return out
}

// text returns a value as JSON. The members of maps are sorted.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // the suite's own values always marshal
	}
	return string(b)
}

// named returns rows with ids and names, in order.
func named(names ...string) []row {
	var out []row
	for i, name := range names {
		if name != "" {
			out = append(out, row{"id": i + 1, "name": name})
		}
	}
	return out
}
