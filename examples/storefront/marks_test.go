package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/binderyhq/bindery/sources/sourcetest/natstest"
	"github.com/binderyhq/bindery/sources/sourcetest/pgtest"
)

// rename writes, and returns the mark of the answer.
func (r *running) rename(id int, name string) (mark string) {
	r.t.Helper()
	code, header, body := r.do("PATCH", fmt.Sprint("api/products/", id), http.Header{"Content-Type": {"application/json"}}, fmt.Sprintf(`{"name":%q}`, name))
	if mark = header.Get("Bindery-Mark"); code != http.StatusOK || mark == "" {
		r.t.Fatalf("PATCH: %d %s, mark %q", code, body, mark)
	}
	return mark
}

// shows expects that whoever asks with the mark sees the name, at once.
func (r *running) shows(mark, name string) {
	r.t.Helper()
	for _, path := range []string{"api/products", "api/everything", "api/products?limit=1000", "api/shelf?venue=store"} {
		begun := time.Now()
		code, header, body := r.do("GET", path, http.Header{"Bindery-Mark": {mark}})
		if code != http.StatusOK || header.Get("Bindery-Mark") != mark {
			r.t.Errorf("GET %s: %d %s, mark %q, after %v", path, code, body, header.Get("Bindery-Mark"), time.Since(begun))
		}
		if strings.HasSuffix(path, "products") && !strings.Contains(string(body), name) {
			r.t.Errorf("GET %s does not show %q", path, name)
		}
	}
}

// refuses expects that the mark is told to be foreign.
func (r *running) refuses(mark string) {
	r.t.Helper()
	code, _, body := r.do("GET", "api/products?mark="+mark, nil)
	var p struct{ Type string }
	if err := json.Unmarshal(body, &p); err != nil || code != http.StatusBadRequest || !strings.HasSuffix(p.Type, ":foreign-mark") {
		r.t.Errorf("%d %s, want a foreign mark", code, body)
	}
}

// TestMarks: the mark of a write answers, over REST and on a socket, whether a binding
// has the write; also when somebody else has written meanwhile.
func TestMarks(t *testing.T) {
	databases(t, func(t *testing.T, dsn string, outside *sql.DB) {
		r := open(t, dsn, 100)
		c, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(r.url, "http")+"ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		defer func() { _ = c.Close() }()
		_ = c.SetReadDeadline(time.Now().Add(60 * time.Second))
		send := func(m map[string]any) {
			t.Helper()
			if err := c.WriteJSON(m); err != nil {
				t.Fatal(err)
			}
		}
		send(map[string]any{"event": "everything"})
		send(map[string]any{"event": "shelf", "params": map[string]any{"venue": "online"}})
		// Row 2 is in the store, so the shelf online does not change.
		for i := range 5 {
			own, others := fmt.Sprintf("own %d", i), fmt.Sprintf("others %d", i)
			if _, err := outside.ExecContext(t.Context(), "UPDATE products SET name = $1 WHERE id = 3", others); err != nil {
				t.Fatal(err)
			}
			mark := r.rename(1, own)
			r.shows(mark, own)
			r.shows(mark, others)
			send(map[string]any{"event": "everything", "mark": mark})
			send(map[string]any{"event": "shelf", "params": map[string]any{"venue": "online"}, "mark": mark})
			var seen string
			for answers := 0; answers < 2; {
				var m struct {
					Event, Action, Mark, Version string
					Params                       map[string]string
					Payload                      json.RawMessage
				}
				if err := c.ReadJSON(&m); err != nil {
					t.Fatal(err)
				}
				switch {
				case m.Action == "error":
					t.Fatalf("%+v: %s", m, m.Payload)
				case m.Action != "mark":
					seen += string(m.Payload)
					continue
				case m.Mark != mark || m.Version == "":
					t.Errorf("answer %+v", m)
				case m.Event == "everything" && (!strings.Contains(seen, own) || !strings.Contains(seen, others)):
					t.Errorf("the mark is answered before the writes that it covers")
				case m.Event == "shelf" && m.Params["venue"] != "online":
					t.Errorf("answer %+v", m)
				}
				answers++
			}
		}
	})
}

// TestMarksAfterARestart: a mark outlives the process where the log of the database
// backs it, and nowhere else.
func TestMarksAfterARestart(t *testing.T) {
	databases(t, func(t *testing.T, dsn string, _ *sql.DB) {
		r := open(t, dsn, 100)
		mark := r.rename(1, "before")
		r.stop()
		r = open(t, dsn, 100)
		if strings.HasPrefix(dsn, "sqlite:") {
			r.refuses(mark)
			// What is counted at an interval has reached a mark at the next count.
			header := http.Header{"Bindery-Mark": {r.rename(2, "counted")}, "Prefer": {"wait=20"}}
			if code, _, body := r.do("GET", "api/venues", header); code != http.StatusOK {
				t.Errorf("venues: %d %s", code, body)
			}
		} else {
			r.shows(mark, "before")
		}
		elsewhere := open(t, "", 10)
		elsewhere.refuses(mark)
		r.refuses(elsewhere.rename(1, "elsewhere"))
	})
}

// TestMarksCrossNodes: what is written on one node is read on another with its mark,
// over one Postgres, and over one SQLite file with NATS.
func TestMarksCrossNodes(t *testing.T) {
	for name, with := range map[string]func(t *testing.T) settings{
		"postgres": func(t *testing.T) settings { return settings{dsn: pgtest.Shared(t).CreateDatabase(t)} },
		"nats": func(t *testing.T) settings {
			return settings{dsn: "sqlite:" + filepath.Join(t.TempDir(), "shop.db"), nats: natstest.Start(t).URL()}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := with(t)
			s.addr, s.rows, s.adminToken = "127.0.0.1:0", 100, adminToken
			nodes := []*running{openWith(t, s), openWith(t, s)}
			for i := range 20 {
				writer, reader := nodes[i%2], nodes[1-i%2]
				text := fmt.Sprintf("written %d", i)
				mark := writer.rename(1, text)
				reader.shows(mark, text)
				writer.shows(mark, text)
			}
		})
	}
}
