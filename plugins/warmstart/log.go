package warmstart

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// The log in a file, since version 2 of the format:
//
//	from       uint16 length, bytes: live.SavedLog.From
//	events     uint32 number, and for each
//	  token      uint16 length, bytes
//	  modified   int64 seconds and uint32 nanoseconds since 1970
//	  numbers    uint32 each of rows created, updated and deleted
//	  before     16 bytes for each updated row
//	  rows       key, place, JSON, model, each with a uint32 length; noModel instead of a
//	             length means that there is no model

// noModel is the length of a model that there is not.
const noModel = math.MaxUint32

// smallestEvent and smallestRow are the lengths without any content.
const (
	smallestEvent = 2 + 8 + 4 + 3*4
	smallestRow   = 4 * 4
)

func appendLog(b []byte, log *live.SavedLog) []byte {
	b = appendText(b, log.From)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(log.Events)))
	for i := range log.Events {
		e := &log.Events[i]
		b = appendText(b, e.Token)
		b = binary.LittleEndian.AppendUint64(b, uint64(e.Modified.Unix()))
		b = binary.LittleEndian.AppendUint32(b, uint32(e.Modified.Nanosecond()))
		all := [...][]live.SavedRow{e.Created, e.Updated, e.Deleted}
		for _, rows := range all {
			b = binary.LittleEndian.AppendUint32(b, uint32(len(rows)))
		}
		for _, sum := range e.Before {
			b = append(b, sum[:]...)
		}
		for _, rows := range all {
			for i := range rows {
				b = appendRow(b, &rows[i])
			}
		}
	}
	return b
}

func appendRow(b []byte, row *live.SavedRow) []byte {
	for _, text := range [...]string{string(row.Key), row.OrderKey} {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(text))), text...)
	}
	b = append(binary.LittleEndian.AppendUint32(b, uint32(len(row.JSON))), row.JSON...)
	if row.Model == nil {
		return binary.LittleEndian.AppendUint32(b, noModel)
	}
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(row.Model))), row.Model...)
}

func appendText(b []byte, text string) []byte {
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(text))), text...)
}

// reader takes values from the front of some bytes. After a failure it returns zeros.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.b) {
		r.b, r.failed = nil, true
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) uint32() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *reader) text() string {
	if b := r.bytes(2); b != nil {
		return string(r.bytes(int(binary.LittleEndian.Uint16(b))))
	}
	return ""
}

// sized returns as many bytes as the number before them says.
func (r *reader) sized() []byte {
	n := r.uint32()
	if uint64(n) > uint64(len(r.b)) {
		r.failed = true
		return nil
	}
	return r.bytes(int(n))
}

// number returns a number of things that take at least so many bytes each. More than there
// can be is a failure, so that nobody allocates for them.
func (r *reader) number(smallest int) int {
	n := r.uint32()
	if uint64(n)*uint64(smallest) > uint64(len(r.b)) {
		r.failed = true
		return 0
	}
	return int(n)
}

// readLog reads a log that takes all of b. The rows are slices of b.
func readLog(b []byte) (log live.SavedLog, err error) {
	r := &reader{b: b}
	log.From = r.text()
	if n := r.number(smallestEvent); n > 0 {
		log.Events = make([]live.SavedEvent, 0, n)
		for range n {
			log.Events = append(log.Events, r.event())
		}
	}
	if r.failed || len(r.b) > 0 {
		return live.SavedLog{}, errDamaged
	}
	return log, nil
}

func (r *reader) event() (e live.SavedEvent) {
	e.Token = r.text()
	seconds, nanos := int64(r.uint64()), r.uint32()
	r.failed = r.failed || nanos >= 1e9
	e.Modified = time.Unix(seconds, int64(nanos)).UTC()
	created, updated, deleted := r.number(smallestRow), r.number(smallestRow), r.number(smallestRow)
	for range updated {
		if sum := r.bytes(16); sum != nil {
			e.Before = append(e.Before, [16]byte(sum))
		}
	}
	e.Created, e.Updated, e.Deleted = r.rows(created), r.rows(updated), r.rows(deleted)
	return e
}

func (r *reader) rows(n int) (rows []live.SavedRow) {
	for range n {
		if r.failed {
			return nil
		}
		row := live.SavedRow{Key: driver.Key(r.sized()), OrderKey: string(r.sized()), JSON: r.sized()}
		if len(r.b) >= 4 && binary.LittleEndian.Uint32(r.b) == noModel {
			r.bytes(4)
		} else {
			row.Model = r.sized()
		}
		rows = append(rows, row)
	}
	return rows
}
