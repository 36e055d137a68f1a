package ndjson

import (
	"bufio"
	"bytes"
	"encoding/json"

	"github.com/binderyhq/bindery/core/live"
)

// memoKey is where an event keeps its lines.
type memoKey struct{}

// writeBatch writes the lines of an event, the version at the end. Errors stay
// in buf.
func writeBatch(buf *bufio.Writer, v *live.View, e *live.Event) {
	if e.Kind == live.Synced {
		// Row by row: a whole table of lines need not be in memory for each
		// client that begins.
		_, _ = buf.WriteString(`{"op":"sync"}` + "\n")
		for r := range e.Snapshot.Rows() {
			_, _ = buf.Write(appendPut(buf.AvailableBuffer(), r))
		}
		_, _ = buf.Write(appendVersion(buf.AvailableBuffer(), e))
		return
	}
	// A change is encoded once, for everybody.
	_, _ = buf.Write(live.Memo(e.Cache(), memoKey{}, func(c *live.Charge) []byte {
		lines := changeLines(v, e)
		c.Add(cap(lines))
		return lines
	}))
}

func changeLines(v *live.View, e *live.Event) []byte {
	var b []byte
	for _, r := range e.Deleted {
		b = append(append(append(b, `{"op":"delete","key":`...), oneLine(v.KeyJSON(r))...), "}\n"...)
	}
	for _, r := range e.Created {
		b = appendPut(b, r)
	}
	for _, r := range e.Updated {
		b = appendPut(b, r)
	}
	return appendVersion(b, e)
}

func appendPut(b []byte, r live.Row) []byte {
	return append(append(append(b, `{"op":"put","row":`...), oneLine(r.JSON())...), "}\n"...)
}

func appendVersion(b []byte, e *live.Event) []byte {
	return append(append(append(b, `{"op":"version","version":"`...), e.Version.Token...), "\"}\n"...)
}

// oneLine returns the JSON without line breaks, which a model's own encoding
// may contain. The row's bytes are shared, so they are copied and not changed.
func oneLine(row []byte) []byte {
	if !bytes.ContainsAny(row, "\r\n") {
		return row
	}
	var b bytes.Buffer
	if json.Compact(&b, row) != nil {
		return []byte("null") // not JSON; core does not let it come to that
	}
	return b.Bytes()
}
