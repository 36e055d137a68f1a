package feed

import (
	"context"
	"errors"
	"slices"

	"github.com/binderyhq/bindery/core/driver"
	"github.com/binderyhq/bindery/core/filter"
	"github.com/binderyhq/bindery/core/internal/backlog"
	"github.com/binderyhq/bindery/core/internal/badrows"
	"github.com/binderyhq/bindery/core/internal/concern"
	"github.com/binderyhq/bindery/core/internal/rowset"
	"github.com/binderyhq/bindery/core/value"
)

// fail notes that the binding cannot show a row. A binding that leaves such rows
// out goes on without it.
func (s *delivery) fail(v *rowset.Member, key driver.Key, err error) {
	into := &s.failed
	if v.Spec.Omit && key != "" {
		if s.later[v] == nil {
			s.stepOf(v).Remove(key)
		}
		into = &s.omitted
	}
	if *into == nil {
		*into = make(map[*rowset.Member]*backlog.RowFailures)
	}
	rows := (*into)[v]
	if rows == nil {
		rows = &backlog.RowFailures{}
		(*into)[v] = rows
	}
	rows.Add(key, err)
}

// giveNameless has those fail whom rows without a key concern.
func (s *delivery) giveNameless(r plannedRead, rows []rowset.Keyless) {
	for _, n := range rows {
		if v := r.only(); v != nil {
			s.fail(v, "", n.Err)
			continue
		}
		get := func(column int) value.Value { return r.pool.Loader.Value(n.Row, column) }
		for _, v := range s.readers(r) {
			holds := true
			if err := guardRow(func() { holds = v.Shape.Load().Meets(get) }); err != nil || holds {
				s.fail(v, "", n.Err)
			}
		}
	}
}

// readers returns the bindings that the statement's rows are for.
func (s *delivery) readers(r plannedRead) []*rowset.Member {
	if v := r.only(); v != nil {
		return []*rowset.Member{v}
	}
	views := r.full
	if r.keyed {
		views = views[:len(views):len(views)]
		for v := range r.pool.InMemory {
			if !s.skips(v) && !s.isFrozen(v) {
				views = append(views, v)
			}
		}
		for _, v := range r.starts {
			if !s.skips(v) && !slices.Contains(views, v) {
				views = append(views, v)
			}
		}
	}
	return views
}

// giveUnreadable has those fail whom rows that cannot be read concern: those that
// show them, and those that would. Go does not see the rows, so the database is
// asked for whom they are.
func (s *delivery) giveUnreadable(ctx context.Context, r plannedRead, unreadable map[driver.Key]error) error {
	if len(unreadable) == 0 {
		return nil
	}
	if v := r.only(); v != nil && (r.asked != nil || !r.plain) {
		for k, err := range unreadable {
			s.fail(v, k, err) // the database has chosen them for this one
		}
		return nil
	}
	// What remains to be asked, by binding.
	var open []*rowset.Member
	keys := make([]driver.Key, 0, len(unreadable))
	for k := range unreadable {
		keys = append(keys, k)
	}
	for _, v := range s.readers(r) {
		cur, left := v.Holding(), false
		limited := v.Spec.Limit > 0 && r.pool.Loader.CanQuery()
		for _, k := range keys {
			switch {
			case cur.Shown != nil && !cur.Get(k).IsZero(), v.Filter == nil && !limited, !r.pool.Loader.CanQuery():
				s.fail(v, k, unreadable[k])
			default:
				left = true
			}
		}
		switch {
		case left && limited: // is it among the first?
			q := driver.Query{Filter: v.Filter, Order: v.Shape.Load().OrderBy, Limit: v.Reach()}
			if err := s.askOne(ctx, r.pool, v, q, unreadable); err != nil {
				return err
			}
		case left:
			open = append(open, v)
		}
	}
	for len(open) > 0 {
		n := min(len(open), maxSharedFilters)
		if err := s.ask(ctx, r.pool, open[:n], keys, unreadable); err != nil {
			return err
		}
		open = open[n:]
	}
	return nil
}

// ask asks the database whether rows that cannot be read meet the filters of the
// bindings: if so, the question cannot be read either. It halves the bindings
// until those are alone that it is about.
func (s *delivery) ask(ctx context.Context, p *concern.Pool, views []*rowset.Member, keys []driver.Key, unreadable map[driver.Key]error) error {
	filters := make([]filter.Expr, len(views))
	for i, v := range views {
		filters[i] = v.Filter
	}
	q := driver.Query{Keys: keys, Filter: filters[0]}
	if len(filters) > 1 {
		q.Filter = filter.Or(filters...)
	}
	_, err := p.Loader.Query(ctx, q)
	switch {
	case err == nil: // none of them, or they have been mended and are reported anew
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case len(views) > 1:
		half := len(views) / 2
		return errors.Join(s.ask(ctx, p, views[:half], keys, unreadable), s.ask(ctx, p, views[half:], keys, unreadable))
	}
	s.blameRows(views[0], err, unreadable)
	return nil
}

// askOne is ask for a question about one binding.
func (s *delivery) askOne(ctx context.Context, p *concern.Pool, v *rowset.Member, q driver.Query, unreadable map[driver.Key]error) error {
	_, err := p.Loader.Query(ctx, q)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		s.blameRows(v, err, unreadable)
	}
	return nil
}

// blameRows has the binding fail because of the rows that the answer about it
// names, or of all that cannot be read where the loader cannot tell which.
func (s *delivery) blameRows(v *rowset.Member, answer error, unreadable map[driver.Key]error) {
	found := driver.RowErrors(answer)
	for _, e := range found {
		s.fail(v, e.Key, e.Err)
	}
	if found == nil {
		for k, err := range unreadable {
			s.fail(v, k, err)
		}
	}
}

// unreadable returns the keys whose rows cannot be read. It reports whether the
// database is there: if not, the rows are not to blame.
func (f *Feed) unreadable(ctx context.Context, r plannedRead) (found map[driver.Key]error, there bool) {
	var keys []driver.Key
	for _, k := range r.query.Keys {
		if _, known := r.unreadable[k]; !known {
			keys = append(keys, k)
		}
	}
	answers, known := f.answers(ctx, r.pool, keys, r.unreadable)
	if known && !answers {
		return nil, false
	}
	return badrows.Find(ctx, loadOf(r.pool), keys, answers)
}

// loadOf returns what tries to read rows of the pool.
func loadOf(p *concern.Pool) badrows.Load {
	return func(ctx context.Context, keys []driver.Key) error {
		_, err := p.Loader.Load(ctx, keys)
		return err
	}
}

// answers reports whether the database answers questions that have nothing to do
// with the keys: about rows that bindings show, and that could be read the last
// time. known is false when there are none.
func (f *Feed) answers(ctx context.Context, p *concern.Pool, avoid []driver.Key, unreadable map[driver.Key]error) (answers, known bool) {
	bad := f.knownBad()
	for _, k := range avoid {
		bad[k] = struct{}{}
	}
	for k := range unreadable {
		bad[k] = struct{}{}
	}
	var some []driver.Key
	for _, views := range []map[*rowset.Member]struct{}{p.InMemory, p.Asked} {
		for v := range views {
			for r := range v.Snapshot().Rows() {
				if len(some) == badrows.Probes {
					break
				}
				if _, out := bad[r.Key()]; !out {
					bad[r.Key()] = struct{}{}
					some = append(some, r.Key())
				}
			}
		}
	}
	return badrows.Answers(ctx, loadOf(p), some), len(some) > 0
}

// knownBad returns the keys of rows that members cannot show.
func (f *Feed) knownBad() map[driver.Key]struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	bad := make(map[driver.Key]struct{})
	add := func(rows *backlog.RowFailures) {
		if rows != nil {
			for k := range rows.Errs {
				bad[k] = struct{}{}
			}
		}
	}
	for _, t := range f.troubles.Waiting {
		add(t.Rows)
	}
	for _, o := range f.omissions {
		add(o.rows)
	}
	return bad
}
