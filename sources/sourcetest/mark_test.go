package sourcetest

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

// looking is a memory whose source can be asked. It reports each commit before its
// writer goes on, so whatever was committed has been reported while it watches.
type looking struct {
	*memory
	hasty    bool // says that it has looked although it has not
	gullible bool // takes every part for its own
}

func (l *looking) Source() driver.Source { return l }

func (l *looking) Look(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sink == nil && !l.hasty {
		return errors.New("not watching")
	}
	return nil
}

func (*looking) MarkKind() string { return "memory" }

const looksLike = 0x4d61726b

func (l *looking) Mark(context.Context) ([]byte, error) {
	return binary.BigEndian.AppendUint32(nil, looksLike), nil
}

func (l *looking) Reach(ctx context.Context, part []byte) error {
	if !l.gullible && (len(part) != 4 || binary.BigEndian.Uint32(part) != looksLike) {
		return driver.ErrForeign
	}
	return l.Look(ctx)
}

var ofMarks = []string{"look", "mark", "foreign mark", "look without a link"}

func TestMarksOfACorrectSource(t *testing.T) {
	if err := check(func() (Harness, error) { return &looking{memory: newMemory(0, everything)}, nil }, ofMarks...); err != nil {
		t.Error(err)
	}
}

func TestMarksOfBrokenSources(t *testing.T) {
	impatient := everything
	impatient.Within = 200 * time.Millisecond
	for _, c := range []struct {
		name   string
		make   func() *looking
		fails  string
		saying string
	}{
		{"does not look", func() *looking { return &looking{memory: newMemory(silentOutside, impatient)} }, "look", "not everything was reported"},
		{"does not reach", func() *looking { return &looking{memory: newMemory(silentDelete, impatient)} }, "mark", "not everything was reported"},
		{"takes anything", func() *looking { return &looking{memory: newMemory(0, impatient), gullible: true} }, "foreign mark", "driver.ErrForeign"},
		{"looks without a link", func() *looking { return &looking{memory: newMemory(neverHeals, impatient), hasty: true} }, "look without a link", "without a link"},
	} {
		synctest.Test(t, func(t *testing.T) {
			err := check(func() (Harness, error) { return c.make(), nil }, c.fails)
			if err == nil || !strings.Contains(err.Error(), c.saying) {
				t.Errorf("%s: %v", c.name, err)
			}
		})
	}
}
