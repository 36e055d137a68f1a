package pgsource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// The waits between two checks whether a commit is visible yet. Usually it is at the
// first check.
const (
	firstLook = 500 * time.Microsecond
	lastLook  = 100 * time.Millisecond
)

// nudgeQuery writes a record that nobody reads, and flushes the log up to it.
const nudgeQuery = "SELECT pg_logical_emit_message(true, 'bindery', '')"

// askVisible reports commits as soon as they are visible.
func (se *session) askVisible(ctx context.Context) error {
	wait := firstLook
	timer := time.NewTimer(lastLook)
	timer.Stop()
	defer timer.Stop()
	// Without it, only the next commit would show that an idle connection is broken.
	idle := time.NewTicker(se.src.cfg.ReceiveTimeout)
	defer idle.Stop()
	looking := time.NewTicker(se.src.cfg.SchemaInterval)
	defer looking.Stop()
	for {
		heartbeat, asked := false, false
		select {
		case <-ctx.Done():
			return nil
		case <-se.stream.wake:
			wait = firstLook
		case <-timer.C:
			wait = min(2*wait, lastLook)
		case <-idle.C:
			heartbeat = true
		case <-looking.C:
			if err := se.ask(ctx, se.lookAtShapes); err != nil {
				return err
			}
		case <-se.stream.looks.Asked():
			asked = true
		}
		select { // one look answers both
		case <-se.stream.looks.Asked():
			asked = true
		default:
		}
		commits, nudge := se.stream.waiting()
		if nudge {
			err := se.ask(ctx, func(ctx context.Context) error { return exec(ctx, se.asking, nudgeQuery) })
			var refused *pgconn.PgError
			if err != nil && (se.asking.IsClosed() || !errors.As(err, &refused)) {
				return fmt.Errorf("having the log flushed: %w", err)
			}
		}
		if commits == 0 && !heartbeat && !asked {
			continue
		}
		look := se.stream.looks.Begin()
		var s snapshot
		err := se.ask(ctx, func(ctx context.Context) (err error) {
			if !asked {
				s, err = querySnapshot(ctx, se.asking)
				return err
			}
			var position uint64
			if s, position, err = querySnapshotAt(ctx, se.asking); err == nil {
				se.stream.written.Store(position)
			}
			return err
		})
		if err != nil {
			return err
		}
		left := se.stream.reportEnded(&s)
		if asked {
			se.stream.looks.Done(look)
		}
		if left > 0 {
			timer.Reset(wait)
		}
	}
}

func (se *session) ask(ctx context.Context, question func(context.Context) error) error {
	return ask(ctx, se.src.cfg.ReceiveTimeout, question)
}

// ask bounds a question to the server.
func ask(ctx context.Context, patience time.Duration, question func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no answer within %v", patience))
	defer cancel()
	err := question(ctx)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
