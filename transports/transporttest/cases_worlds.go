package transporttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/binderyhq/bindery/core/live"
)

// worldCases compare two worlds that differ only in the rows of another tenant. A
// client that may not see these rows must not be able to tell the worlds apart.
var worldCases = []rule{{
	name:    "two worlds",
	rule:    "rows that a client may not see make no difference to any answer: to reads, changes, versions and writes, of rows that are elsewhere or nowhere",
	setup:   setup{rows: 30, families: true, writable: true, authorizer: usual()},
	other:   otherWorld,
	compare: compareWorlds,
}}

// otherWorld changes the rows that are not ann's: it removes some, changes some, and
// adds others.
func otherWorld(rows []item) (out []item) {
	for _, it := range rows {
		switch {
		case it.Owner == owners[0]:
		case it.ID%3 == 0:
			continue
		default:
			it.Name, it.Visible = "of another world", !it.Visible
		}
		out = append(out, it)
	}
	for id := 201; id < 220; id++ {
		out = append(out, item{ID: id, Name: "only here", Visible: true, Owner: owners[1]})
	}
	return out
}

func compareWorlds(ctx context.Context, one, other *rig) error {
	var transcripts [2][]string
	for i, r := range []*rig{one, other} {
		w := world{rig: r}
		if err := w.tell(ctx, i); err != nil {
			return fmt.Errorf("world %d: %w", i+1, err)
		}
		transcripts[i] = w.transcript
	}
	if len(transcripts[0]) != len(transcripts[1]) {
		return fmt.Errorf("one world says %d things, the other %d", len(transcripts[0]), len(transcripts[1]))
	}
	var errs []error
	for i, line := range transcripts[0] {
		if line != transcripts[1][i] {
			errs = append(errs, fmt.Errorf("one world says\n\t%s\nand the other\n\t%s", line, transcripts[1][i]))
		}
	}
	return errors.Join(errs...)
}

// world records everything that ann is told.
type world struct {
	*rig
	transcript []string
}

func (w *world) note(about string, args ...any) {
	w.transcript = append(w.transcript, about+": "+fmt.Sprint(args...))
}

// tell makes every request that ann can make.
func (w *world) tell(ctx context.Context, number int) error {
	var open []Client
	for _, q := range []Request{
		{Binding: items},
		{Binding: visible},
		{Binding: short},
		{Binding: "nothing"},
		{Binding: owned},
		{Binding: owned, Params: ofOwner(owners[0])},
		{Binding: owned, Params: ofOwner(owners[1])},
		{Binding: owned, Params: ofOwner("nobody")},
	} {
		q.Principal = "ann"
		about := fmt.Sprint(q.Binding, q.Params)
		client, version, err := w.first(ctx, about, q)
		if err != nil {
			return err
		}
		if client != nil {
			open = append(open, client)
		}
		// Versions: her own, one of somebody who sees more, and none at all.
		for _, v := range []string{version, w.token(items), "of nobody"} {
			q.Version = v
			again, _, err := w.first(ctx, about+" again", q)
			if err != nil {
				return err
			}
			if again != nil {
				again.Close()
			}
		}
		q.Version = ""
		for page := range 3 {
			p, err := w.Harness.(Asker).PageOf(ctx, q, page+1)
			w.note(about+" page", p.Pages, texts(p.Rows), kindOf(err))
		}
	}
	// Writes of others do not reach her, and later messages are the same in both
	// worlds.
	if err := w.othersWrite(ctx, number); err != nil {
		return err
	}
	if err := w.put(ctx, item{ID: 1, Name: "written", Visible: true, Owner: owners[0]}, item{ID: 7, Name: "written", Owner: owners[0]}); err != nil {
		return err
	}
	for i, client := range open {
		if i > 1 { // of the others, some have nothing to tell
			break
		}
		if _, err := w.batch(ctx, fmt.Sprint("stream ", i), client); err != nil {
			return err
		}
	}
	return w.tellWrites(ctx)
}

// othersWrite changes rows that are not ann's, differently in each world.
func (w *world) othersWrite(ctx context.Context, number int) error {
	bob := item{Name: w.name(), Visible: true, Owner: owners[1]}
	for i := range 3 + 2*number {
		bob.ID = 301 + i
		if err := w.put(ctx, bob); err != nil {
			return err
		}
	}
	return w.remove(ctx, 2+number*6)
}

// first connects and records the first batch, or the refusal.
func (w *world) first(ctx context.Context, about string, q Request) (c Client, version string, err error) {
	c, err = w.connectTo(ctx, q)
	if err != nil {
		if ctx.Err() != nil {
			return nil, "", err
		}
		w.note(about, kindOf(err))
		return nil, "", nil
	}
	version, err = w.batch(ctx, about, c)
	if err != nil && ctx.Err() == nil {
		w.note(about, kindOf(err))
		c.Close()
		return nil, "", nil
	}
	return c, version, err
}

// batch takes one batch and records it.
func (w *world) batch(ctx context.Context, about string, c Client) (version string, err error) {
	for {
		m, err := c.Next(ctx)
		if err != nil {
			return "", err
		}
		w.note(about, m.Action, texts(m.Rows), m.Version, m.More)
		if !m.More {
			return m.Version, nil
		}
	}
}

// kindOf returns the kind of a harness's error, without its text.
func kindOf(err error) string {
	var param *ParameterError
	for _, known := range []error{ErrRefused, ErrUnavailable, ErrForbidden, ErrUnauthenticated, ErrUnsupported, io.EOF} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	switch {
	case err == nil:
		return "fine"
	case errors.As(err, &param):
		return param.Error()
	}
	return "another error: " + err.Error()
}

func texts[T ~[]byte](rows []T) string {
	var b strings.Builder
	for _, row := range rows {
		b.Write(row)
	}
	return b.String()
}

// tellWrites makes valid and invalid writes, if the harness can write: to rows of her
// own, of others, and to missing rows. It leaves out the insert of a new row under a
// key that somebody else has, because the conflict cannot be hidden from her.
func (w *world) tellWrites(ctx context.Context) error {
	writer, ok := w.Harness.(Writer)
	if !ok {
		return nil
	}
	write := func(q WriteRequest) error {
		q.Principal = "ann"
		answer, err := writer.Write(ctx, q)
		if err != nil {
			return err
		}
		w.note(fmt.Sprintf("%s%v op %d of %q, %s, match %q", q.Binding, q.Params, q.Op, q.Key, q.Body, q.Match), answer)
		return nil
	}
	requests := []Request{{Binding: items}, {Binding: visible}, {Binding: owned, Params: ofOwner(owners[0])}, {Binding: owned, Params: ofOwner(owners[1])}}
	bodies := []string{
		`{"name":"w","visible":true,"owner":"` + owners[0] + `"}`, `{"name":"w","visible":true,"owner":"` + owners[1] + `"}`,
		`{"visible":false}`, `{"owner":"` + owners[1] + `"}`, `{"nothing":1}`, `{"name":7}`, `{`, `{"id":201}`,
	}
	for _, q := range requests {
		for _, key := range []string{"1", "5", "2", "3", "6", "9", "201", "305", "999", "x"} {
			for _, match := range []string{"", "*", `"of nobody"`} {
				for _, body := range bodies {
					for _, op := range []live.WriteOp{live.Replace, live.Merge} {
						if err := write(WriteRequest{Request: q, Op: op, Key: key, Body: body, Match: match}); err != nil {
							return err
						}
					}
				}
				if err := write(WriteRequest{Request: q, Op: live.Delete, Key: key, Match: match}); err != nil {
					return err
				}
			}
		}
		for _, id := range []int{3, 6, 201, 305, 999} { // of bob's, or nobody's
			if err := write(WriteRequest{Request: q, Op: live.Insert, Body: fmt.Sprintf(`{"id":%d,"name":"w","visible":true,"owner":"%s"}`, id, owners[1])}); err != nil {
				return err
			}
		}
		if err := write(WriteRequest{Request: q, Op: live.Insert, Body: `{"id":1000,"name":"w","visible":true,"owner":"` + owners[0] + `"}`}); err != nil {
			return err
		}
	}
	return nil
}
