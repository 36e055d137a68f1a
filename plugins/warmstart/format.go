package warmstart

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/live"
)

// A snapshot file, numbers in little-endian order:
//
//	magic      8 bytes
//	version    uint32, of the format
//	flags      uint32
//	database   32 bytes, SHA-256 of what the user calls it
//	declared   16 bytes, live.Saved.Declared
//	modified   int64 seconds and uint32 nanoseconds since 1970
//	token      uint16 length, bytes
//	name       uint16 length, bytes, of the binding
//	rows       uint64 number
//	sizes      uint64 each of all keys, places, rows' JSON, models
//	log        uint64 size of the log; not in version 1
//	lengths    uint32 each of every key, then place, JSON, model
//	order      uint32 each, positions of the rows in the binding's order
//	blobs      all keys, then places, JSON, models
//	log        how the rows became what they are, see log.go; not in version 1
//	checksum   16 bytes, XXH3-128 of all before
//
// Order keys, models and order are present if the flags say so. A reader finds rows by
// adding up lengths, and the rows are slices of the file.
const (
	magic         = "BNDSNAP\n"
	formatVersion = 2
	oldestVersion = 1 // that can be read
	checksumSize  = 16
	fixedSize     = 8 + 4 + 4 + 32 + 16 + 8 + 4
)

const (
	flagNumbered uint32 = 1 << iota
	flagValues
	flagOrdered // places and order are present
	flagModels
	flagsKnown = flagNumbered | flagValues | flagOrdered | flagModels
)

// maxText bounds the token and the name.
const maxText = 1024

// Reasons not to use a file.
var (
	errFormat   = errors.New("it is no snapshot of this format")
	errDamaged  = errors.New("it is damaged or truncated")
	errDatabase = errors.New("it is of another database")
	errBinding  = errors.New("it is of another binding")
	errTooLarge = errors.New("it is larger than MaxBytes allows")
)

// databaseID identifies a database in files. It is a hash, because the name may hold a
// password.
type databaseID [sha256.Size]byte

func idOf(database string) databaseID { return sha256.Sum256([]byte(database)) }

// header is the beginning of a file.
type header struct {
	version  uint32
	flags    uint32
	database databaseID
	name     string
	saved    live.Saved // without rows
	rest     int        // where the number of rows stands
}

// readHeader reads the beginning of a file.
func readHeader(b []byte) (h header, err error) {
	if len(b) < fixedSize || string(b[:8]) != magic {
		return h, errFormat
	}
	if h.version = binary.LittleEndian.Uint32(b[8:]); h.version < oldestVersion || h.version > formatVersion {
		return h, fmt.Errorf("%w: version %d, want %d to %d", errFormat, h.version, oldestVersion, formatVersion)
	}
	h.flags = binary.LittleEndian.Uint32(b[12:])
	copy(h.database[:], b[16:])
	copy(h.saved.Declared[:], b[48:])
	seconds, nanos := int64(binary.LittleEndian.Uint64(b[64:])), binary.LittleEndian.Uint32(b[72:])
	if h.flags&^flagsKnown != 0 || nanos >= 1e9 {
		return h, errDamaged
	}
	h.saved.Modified = time.Unix(seconds, int64(nanos)).UTC()
	h.saved.Numbered, h.saved.Values = h.flags&flagNumbered != 0, h.flags&flagValues != 0
	h.rest = fixedSize
	for _, text := range []*string{&h.saved.Token, &h.name} {
		if len(b)-h.rest < 2 {
			return h, errDamaged
		}
		n := int(binary.LittleEndian.Uint16(b[h.rest:]))
		if h.rest += 2; n > maxText || len(b)-h.rest < n {
			return h, errDamaged
		}
		*text = string(b[h.rest : h.rest+n])
		h.rest += n
	}
	return h, nil
}

// decode reads the file of a binding. The rows are slices of it.
func decode(b []byte, database databaseID, name string) (live.Saved, error) {
	h, err := readHeader(b)
	if err != nil {
		return live.Saved{}, err
	}
	body := len(b) - checksumSize
	if body < h.rest {
		return live.Saved{}, errDamaged
	}
	sum := xxh3.Hash128(b[:body]).Bytes()
	switch {
	case string(sum[:]) != string(b[body:]):
		return live.Saved{}, errDamaged
	case h.database != database:
		return live.Saved{}, errDatabase
	case h.name != name:
		return live.Saved{}, fmt.Errorf("%w: %q", errBinding, h.name)
	}
	err = h.readRows(b[:body])
	return h.saved, err
}

// parts is the number of parts of a row.
const parts = 4 // key, place, JSON, model

// readRows reads the part after the header. The checksum was right, but readRows does
// not rely on it: it never allocates more than the length of the file justifies.
func (h *header) readRows(b []byte) error {
	b = b[h.rest:]
	sizesEnd := 8 + 8*parts
	if h.version > 1 {
		sizesEnd += 8
	}
	if len(b) < sizesEnd {
		return errDamaged
	}
	rows := binary.LittleEndian.Uint64(b)
	if rows > uint64(len(b))/8 || rows > math.MaxUint32 { // each has at least two lengths
		return errDamaged
	}
	n := int(rows)
	var sizes [parts]uint64
	for i := range sizes {
		sizes[i] = binary.LittleEndian.Uint64(b[8+8*i:])
		if sizes[i] > uint64(len(b)) {
			return errDamaged
		}
	}
	log := uint64(0)
	if h.version > 1 {
		if log = binary.LittleEndian.Uint64(b[8+8*parts:]); log > uint64(len(b)) {
			return errDamaged
		}
	}
	b = b[sizesEnd:]
	there := [parts]bool{true, h.flags&flagOrdered != 0, true, h.flags&flagModels != 0}
	want := log
	for i := range there {
		if there[i] {
			want += 4*rows + sizes[i]
		} else if sizes[i] != 0 {
			return errDamaged
		}
	}
	if h.flags&flagOrdered != 0 {
		want += 4 * rows
	}
	if want != uint64(len(b)) {
		return errDamaged
	}
	var lengths, blobs [parts][]byte
	for i := range there {
		if there[i] {
			lengths[i], b = b[:4*n], b[4*n:]
		}
	}
	if h.flags&flagOrdered != 0 {
		h.saved.Order = make([]uint32, n)
		for i := range h.saved.Order {
			h.saved.Order[i] = binary.LittleEndian.Uint32(b[4*i:])
		}
		b = b[4*n:]
	}
	for i := range there {
		blobs[i], b = b[:sizes[i]:sizes[i]], b[sizes[i]:]
	}
	if log > 0 {
		// A copy: the log lives longer than the rows, and must not keep all of them.
		var err error
		if h.saved.Log, err = readLog(bytes.Clone(b)); err != nil {
			return err
		}
	}
	return h.split(n, lengths, blobs)
}

// split makes the rows.
func (h *header) split(n int, lengths, blobs [parts][]byte) error {
	keys, places := string(blobs[0]), string(blobs[1])
	h.saved.Rows = make([]live.SavedRow, n)
	var at [parts]int
	next := func(part, row int) (from, to int, ok bool) {
		from = at[part]
		size := binary.LittleEndian.Uint32(lengths[part][4*row:])
		if uint64(size) > uint64(len(blobs[part])-from) {
			return 0, 0, false
		}
		at[part] = from + int(size)
		return from, at[part], true
	}
	for i := range h.saved.Rows {
		row := &h.saved.Rows[i]
		from, to, ok := next(0, i)
		if !ok {
			return errDamaged
		}
		row.Key = driver.Key(keys[from:to])
		if lengths[1] != nil {
			if from, to, ok = next(1, i); !ok {
				return errDamaged
			}
			row.OrderKey = places[from:to]
		}
		if from, to, ok = next(2, i); !ok {
			return errDamaged
		}
		row.JSON = blobs[2][from:to:to]
		if lengths[3] != nil {
			if from, to, ok = next(3, i); !ok {
				return errDamaged
			}
			row.Model = blobs[3][from:to:to]
		}
	}
	for i := range at {
		if at[i] != len(blobs[i]) {
			return errDamaged
		}
	}
	return nil
}

// file is a snapshot that is about to be written.
type file struct {
	database databaseID
	name     string
	saved    live.Saved
	flags    uint32
	sizes    [parts]uint64
	log      []byte
}

func newFile(database databaseID, name string, s live.Saved) *file {
	f := &file{database: database, name: name, saved: s}
	set := func(when bool, flag uint32) {
		if when {
			f.flags |= flag
		}
	}
	set(s.Numbered, flagNumbered)
	set(s.Values, flagValues)
	set(s.Order != nil, flagOrdered)
	for i := range s.Rows {
		row := &s.Rows[i]
		set(row.Model != nil, flagModels)
		f.sizes[0] += uint64(len(row.Key))
		if s.Order != nil {
			f.sizes[1] += uint64(len(row.OrderKey))
		}
		f.sizes[2] += uint64(len(row.JSON))
		f.sizes[3] += uint64(len(row.Model))
	}
	if len(s.Log.Events) > 0 {
		f.log = appendLog(nil, &s.Log)
	}
	return f
}

// size returns the length of the file in bytes.
func (f *file) size() int64 {
	n := uint64(fixedSize + 2 + len(f.saved.Token) + 2 + len(f.name) + 8 + 8*parts + 8 + len(f.log) + checksumSize)
	perRow := uint64(8)
	if f.flags&flagOrdered != 0 {
		perRow += 8
	}
	if f.flags&flagModels != 0 {
		perRow += 4
	}
	for _, size := range f.sizes {
		n += size
	}
	return int64(n + perRow*uint64(len(f.saved.Rows)))
}

// write writes the file piece by piece.
func (f *file) write(w io.Writer) error {
	sum := xxh3.New()
	out := writer{w: io.MultiWriter(w, sum)}
	out.bytes([]byte(magic))
	out.uint32(formatVersion)
	out.uint32(f.flags)
	out.bytes(f.database[:])
	out.bytes(f.saved.Declared[:])
	out.uint64(uint64(f.saved.Modified.Unix()))
	out.uint32(uint32(f.saved.Modified.Nanosecond()))
	for _, text := range []string{f.saved.Token, f.name} {
		out.buf = binary.LittleEndian.AppendUint16(out.buf, uint16(len(text)))
		out.text(text)
	}
	out.uint64(uint64(len(f.saved.Rows)))
	for _, size := range f.sizes {
		out.uint64(size)
	}
	out.uint64(uint64(len(f.log)))
	f.each(func(part int, row *live.SavedRow) {
		switch part {
		case 0:
			out.uint32(uint32(len(row.Key)))
		case 1:
			out.uint32(uint32(len(row.OrderKey)))
		case 2:
			out.uint32(uint32(len(row.JSON)))
		case 3:
			out.uint32(uint32(len(row.Model)))
		}
	})
	for _, at := range f.saved.Order {
		out.uint32(at)
	}
	f.each(func(part int, row *live.SavedRow) {
		switch part {
		case 0:
			out.text(string(row.Key))
		case 1:
			out.text(row.OrderKey)
		case 2:
			out.bytes(row.JSON)
		case 3:
			out.bytes(row.Model)
		}
	})
	out.bytes(f.log)
	out.flush()
	if out.err != nil {
		return out.err
	}
	digest := sum.Sum128().Bytes()
	_, err := w.Write(digest[:])
	return err
}

// each visits all rows once for each part that the file has.
func (f *file) each(visit func(part int, row *live.SavedRow)) {
	for part := range parts {
		if part == 1 && f.flags&flagOrdered == 0 || part == 3 && f.flags&flagModels == 0 {
			continue
		}
		for i := range f.saved.Rows {
			visit(part, &f.saved.Rows[i])
		}
	}
}

// writer gathers small writes; after an error it does nothing.
type writer struct {
	w   io.Writer
	buf []byte
	err error
}

// writeAt is the number of gathered bytes at which they are written.
const writeAt = 256 << 10

func (w *writer) bytes(b []byte)  { w.buf = append(w.buf, b...); w.full() }
func (w *writer) text(s string)   { w.buf = append(w.buf, s...); w.full() }
func (w *writer) uint32(v uint32) { w.buf = binary.LittleEndian.AppendUint32(w.buf, v); w.full() }
func (w *writer) uint64(v uint64) { w.buf = binary.LittleEndian.AppendUint64(w.buf, v) }

func (w *writer) full() {
	if len(w.buf) >= writeAt {
		w.flush()
	}
}

func (w *writer) flush() {
	if w.err == nil {
		_, w.err = w.w.Write(w.buf)
	}
	w.buf = w.buf[:0]
}
