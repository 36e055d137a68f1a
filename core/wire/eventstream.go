package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"time"
)

// StreamEvent is one event of an event stream (HTML standard, section 9.2).
type StreamEvent struct {
	// Name is the event's "event" field, "" for none. Data are its "data" lines, joined by
	// line feeds. They are valid until the next call of Next.
	Name string
	Data []byte
	// ID is the last event ID; an event without one keeps the previous.
	ID string
}

// EventReader reads an event stream. It is for one goroutine.
type EventReader struct {
	r   *bufio.Reader
	max int

	begun bool
	id    string
	retry time.Duration
	data  []byte
	line  []byte
	cr    bool // the last line ended with CR: an LF that follows belongs to it
}

// ErrEventTooLong means that an event exceeds the reader's bound.
var ErrEventTooLong = errors.New("wire: an event of the stream is too long")

// DefaultEventBytes is the default bound of one event, in bytes. A row that exceeds the
// limit of a message is still sent whole, so the bound is well above [DefaultBytes].
const DefaultEventBytes = 64 << 20

// NewEventReader returns a reader of the stream. max bounds one event, in bytes; 0
// means [DefaultEventBytes].
func NewEventReader(r io.Reader, max int) *EventReader {
	if max <= 0 {
		max = DefaultEventBytes
	}
	return &EventReader{r: bufio.NewReaderSize(r, 16<<10), max: max}
}

// Retry returns the reconnection wait that the server last sent, 0 for none.
func (e *EventReader) Retry() time.Duration { return e.retry }

// Next returns the next event with data. onComment, when not nil, is called for comment
// lines, which servers send as heartbeats. It returns io.EOF at the end of the stream, even
// within an event, which is then dropped; [ErrEventTooLong]; or the reader's error.
func (e *EventReader) Next(onComment func()) (StreamEvent, error) {
	var ev StreamEvent
	e.data = e.data[:0]
	hasData := false
	for size := 0; ; {
		line, err := e.readLine(e.max - size)
		if err != nil {
			return StreamEvent{}, err
		}
		if !e.begun {
			e.begun = true
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		}
		if len(line) == 0 {
			if hasData {
				ev.Data, ev.ID = e.data, e.id
				return ev, nil
			}
			ev, size = StreamEvent{}, 0
			continue
		}
		field, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimPrefix(value, []byte{' '})
		switch string(field) {
		case "":
			if onComment != nil {
				onComment()
			}
		case "event":
			ev.Name = string(value)
		case "data":
			if hasData {
				e.data = append(e.data, '\n')
			}
			e.data, hasData = append(e.data, value...), true
		case "id":
			if bytes.IndexByte(value, 0) < 0 {
				e.id = string(value)
			}
		case "retry":
			if ms, err := strconv.ParseUint(string(value), 10, 31); err == nil {
				e.retry = time.Duration(ms) * time.Millisecond
			}
		}
		if len(field) > 0 {
			size += len(line)
		}
	}
}

// readLine returns the next line without its end: CR, LF or both. It is valid until the
// next call.
func (e *EventReader) readLine(max int) ([]byte, error) {
	e.line = e.line[:0]
	for {
		if _, err := e.r.Peek(1); err != nil {
			return nil, err
		}
		buf, _ := e.r.Peek(e.r.Buffered())
		if e.cr {
			e.cr = false
			if buf[0] == '\n' {
				_, _ = e.r.Discard(1)
				continue
			}
		}
		n := bytes.IndexAny(buf, "\r\n")
		if n < 0 {
			n = len(buf)
		}
		if len(e.line)+n > max {
			return nil, ErrEventTooLong
		}
		e.line = append(e.line, buf[:n]...)
		if n < len(buf) {
			e.cr = buf[n] == '\r'
			_, _ = e.r.Discard(n + 1)
			return e.line, nil
		}
		_, _ = e.r.Discard(n)
	}
}
