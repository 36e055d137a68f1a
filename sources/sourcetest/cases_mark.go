package sourcetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/binderyhq/bindery/core/driver"
)

var markCases = []*testCase{
	{"look", "a source that can look has reported everything committed before the call when Look returns", caseLook},
	{"mark", "a source that makes marks has reported everything that one covers when Reach returns", caseMark},
	{"foreign mark", "a part that the source has not made is foreign, and never taken for reached", caseForeignMark},
	{"look without a link", "while its link is broken a source does not say that it has looked; afterwards it does", caseLookWithoutLink},
}

func init() { cases = append(cases, markCases...) }

// writesToFind are commits of all kinds that the source sees, each of which returns
// when it is made, not when it was reported.
func (p *probe) writesToFind() (all []func(context.Context, int) error) {
	own := func(writes func(i int) []Write) func(context.Context, int) error {
		return func(ctx context.Context, i int) error { return p.h.Write(ctx, writes(i)...) }
	}
	all = append(
		all,
		own(func(i int) []Write { return []Write{{Kind: Insert, ID: 300 + i, Value: 1}} }),
		own(func(i int) []Write {
			return []Write{{Kind: Update, ID: 1, Value: 300 + i}, {Kind: Update, ID: 3, Value: 300 + i}}
		}),
		own(func(i int) []Write { return []Write{{Kind: Delete, ID: 300 + i}} }),
	)
	if b, ok := p.h.(Bulker); ok && p.can.Bulk {
		all = append(all, func(ctx context.Context, i int) error { return b.Bulk(ctx, i+1) })
	}
	if o, ok := p.h.(Outsider); ok && p.can.OtherProcesses {
		all = append(all, func(ctx context.Context, i int) error {
			return o.WriteOutside(ctx, Write{Kind: Update, ID: 4, Value: 300 + i})
		})
	}
	return all
}

// found writes in all ways, and expects that everything has been reported whenever
// find returns.
func (p *probe) found(ctx context.Context, find func(context.Context) error) error {
	const rounds = 5
	for i := range rounds {
		for n, write := range p.writesToFind() {
			if err := write(ctx, i); err != nil {
				return fmt.Errorf("the harness cannot make write %d: %w", n+1, err)
			}
			if err := p.asks(ctx, find); err != nil {
				return fmt.Errorf("after write %d: %w", n+1, err)
			}
			if behind, err := p.sink.behind(); err != nil || behind != "" {
				return errors.Join(err, fmt.Errorf("after write %d not everything was reported: %s", n+1, behind))
			}
		}
	}
	return nil
}

// asks asks within the time that the source has, again where it is too soon.
func (p *probe) asks(ctx context.Context, question func(context.Context) error) error {
	var last error
	err := p.await(ctx, "the source does not answer", func() (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, p.within)
		defer cancel()
		last = question(ctx)
		switch {
		case errors.Is(last, errors.ErrUnsupported):
			return false, skipError{"the source has nothing to ask: " + last.Error()}
		case errors.Is(last, driver.ErrForeign):
			return false, last
		}
		return last == nil, nil
	})
	if skip := (skipError{}); err != nil && last != nil && !errors.Is(err, last) && !errors.As(err, &skip) {
		err = fmt.Errorf("%w: %w", err, last)
	}
	return err
}

func (p *probe) looker() (driver.Looker, error) {
	l, ok := p.source.(driver.Looker)
	if !ok {
		return nil, skipError{"the source is no Looker"}
	}
	return l, nil
}

func (p *probe) marker() (driver.Marker, error) {
	m, ok := p.source.(driver.Marker)
	if !ok {
		return nil, skipError{"the source is no Marker"}
	}
	return m, nil
}

func caseLook(ctx context.Context, p *probe) error {
	l, err := p.looker()
	if err != nil {
		return err
	}
	if _, err := p.startWatching(ctx); err != nil {
		return err
	}
	if err := p.found(ctx, l.Look); err != nil {
		return err
	}
	// Nobody waits for what is not committed.
	tx, err := p.begin(ctx, Write{Kind: Update, ID: 1, Value: 5})
	var skip skipError
	if errors.As(err, &skip) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := p.asks(ctx, l.Look); err != nil {
		return errors.Join(fmt.Errorf("while a transaction is open: %w", err), tx.Rollback())
	}
	return tx.Rollback()
}

func caseMark(ctx context.Context, p *probe) error {
	m, err := p.marker()
	if err != nil {
		return err
	}
	if _, err := p.startWatching(ctx); err != nil {
		return err
	}
	if m.MarkKind() == "" || len(m.MarkKind()) > 16 {
		return fmt.Errorf("the kind %q is not of 1 to 16 bytes", m.MarkKind())
	}
	var old []byte
	err = p.found(ctx, func(ctx context.Context) error {
		part, err := m.Mark(ctx)
		if err != nil {
			return err
		}
		if old == nil {
			old = part
		}
		return m.Reach(ctx, part)
	})
	if err != nil {
		return err
	}
	if err := p.asks(ctx, func(ctx context.Context) error { return m.Reach(ctx, old) }); err != nil {
		return fmt.Errorf("a mark that was reached is reached no longer: %w", err)
	}
	return nil
}

func caseForeignMark(ctx context.Context, p *probe) error {
	m, err := p.marker()
	if err != nil {
		return err
	}
	if _, err := p.startWatching(ctx); err != nil {
		return err
	}
	var made []byte
	err = p.asks(ctx, func(ctx context.Context) (err error) {
		made, err = m.Mark(ctx)
		return err
	})
	if err != nil || len(made) == 0 {
		return errors.Join(fmt.Errorf("no part: %x", made), err)
	}
	for _, part := range [][]byte{{}, {0}, []byte("not one of these"), made[:len(made)-1], append([]byte{made[0] ^ 1}, made[1:]...)} {
		ctx, cancel := context.WithTimeout(ctx, p.within)
		err := m.Reach(ctx, part)
		cancel()
		if !errors.Is(err, driver.ErrForeign) {
			return fmt.Errorf("part %x (%x was made): %w, want driver.ErrForeign", part, made, errOf(err))
		}
	}
	return nil
}

// errOf lets nil be told as an error.
func errOf(err error) error {
	if err == nil {
		return errors.New("reached")
	}
	return err
}

func caseLookWithoutLink(ctx context.Context, p *probe) error {
	b, ok := p.h.(Breaker)
	if !ok {
		return skipError{"the harness is no Breaker"}
	}
	l, err := p.looker()
	if err != nil {
		return err
	}
	if _, err := p.startWatching(ctx); err != nil {
		return err
	}
	if err := b.Break(ctx); err != nil {
		return fmt.Errorf("the harness cannot break the link: %w", err)
	}
	if err := p.h.Write(ctx, Write{Kind: Update, ID: 1, Value: 77}); err != nil {
		return fmt.Errorf("the harness cannot write: %w", err)
	}
	short, cancel := context.WithTimeout(ctx, p.within/20)
	defer cancel()
	if err := l.Look(short); err == nil {
		if behind, err := p.sink.behind(); err != nil || behind != "" {
			return errors.Join(err, fmt.Errorf("a look (Looker.Look) has succeeded without a link, and not everything was reported: %s", behind))
		}
	}
	if err := b.Restore(ctx); err != nil {
		return fmt.Errorf("the harness cannot restore the link: %w", err)
	}
	if err := p.asks(ctx, l.Look); err != nil {
		return err
	}
	if behind, err := p.sink.behind(); err != nil || behind != "" {
		return errors.Join(err, fmt.Errorf("after the link was restored and Look has returned not everything was reported: %s", behind))
	}
	return nil
}
