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

// fail notes that the binding cannot show a row; key "" stands for rows without a key. If
// the binding leaves out such rows, fail removes the row instead.
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

// giveNameless makes the bindings fail that rows without a key concern.
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

// readers returns the bindings that the statement's rows are for, those too that have failed
// already.
func (s *delivery) readers(r plannedRead) []*rowset.Member {
	if v := r.only(); v != nil {
		return []*rowset.Member{v}
	}
	views := r.full
	if r.keyed {
		views = views[:len(views):len(views)]
		for v := range r.pool.InMemory {
			if !s.isLeftOut(v) && !s.isFrozen(v) {
				views = append(views, v)
			}
		}
		for _, v := range r.starts {
			if !s.isLeftOut(v) && !slices.Contains(views, v) {
				views = append(views, v)
			}
		}
	}
	return views
}

// giveUnreadable makes the bindings fail that unreadable rows concern: those that show such
// a row, and those that should. Go cannot see the rows, so it asks the database.
func (s *delivery) giveUnreadable(ctx context.Context, r plannedRead, unreadable map[driver.Key]error) error {
	if len(unreadable) == 0 {
		return nil
	}
	if v := r.only(); v != nil && (r.asked != nil || !r.plain) {
		for k, err := range unreadable {
			s.fail(v, k, err) // the database has selected them for it
		}
		return nil
	}
	// open are the bindings that the database must be asked about.
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
		case left && limited: // are they among its first rows?
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

// ask asks the database whether unreadable rows meet the bindings' filters, by reading them
// with the filters: if that fails, they do. It halves a failing group of bindings until
// each culprit is alone.
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
	case err == nil: // no row meets a filter, or the rows are readable again
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

// askOne is ask for one binding with its own query.
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

// blameRows makes the binding fail because of the rows that the error names, or of all
// unreadable rows if it names none.
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

// unreadable returns the keys whose rows cannot be read. there reports whether the database
// answers: if not, the rows are not to blame.
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

// loadOf returns a function that tries to read rows with the pool's loader.
func loadOf(p *concern.Pool) badrows.Load {
	return func(ctx context.Context, keys []driver.Key) error {
		_, err := p.Loader.Load(ctx, keys)
		return err
	}
}

// answers reports whether the database answers reads of a few rows that bindings show,
// other than those of the keys to avoid and the known unreadable ones. known is false if
// there are no such rows.
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

// knownBad returns the keys of rows that put members in trouble or are left out.
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
