package pgsource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// receiveLog receives the log.
func (se *session) receiveLog(ctx context.Context) error {
	g := gatherer{routes: &se.stream.routes, maxKeys: se.src.cfg.MaxKeys, ask: se.stream.ask}
	for {
		_ = se.log.Conn().SetReadDeadline(time.Now().Add(se.src.cfg.ReceiveTimeout))
		if ctx.Err() != nil {
			return nil // even if another deadline has replaced the one that ends the session
		}
		msg, err := se.log.ReceiveMessage(context.Background())
		switch {
		case err != nil && ctx.Err() != nil:
			return nil
		case pgconn.Timeout(err):
			return fmt.Errorf("the server has been silent for %v", se.src.cfg.ReceiveTimeout)
		case err != nil:
			return err
		}
		switch m := msg.(type) {
		case *pgproto3.CopyData:
			if err := se.takeLog(&g, m.Data); err != nil {
				return err
			}
		case *pgproto3.ErrorResponse:
			return pgconn.ErrorResponseToPgError(m)
		case *pgproto3.CopyDone, *pgproto3.CommandComplete:
			return errors.New("the server has ended the stream")
		}
	}
}

func (se *session) takeLog(g *gatherer, data []byte) error {
	if len(data) == 0 {
		return errors.New("an empty message")
	}
	switch data[0] {
	case pglogrepl.PrimaryKeepaliveMessageByteID:
		m, err := pglogrepl.ParsePrimaryKeepaliveMessage(data[1:])
		if err != nil {
			return err
		}
		if m.ReplyRequested {
			signal(se.stream.pings)
		}
		return se.stream.receive(nil, uint64(m.ServerWALEnd))
	case pglogrepl.XLogDataByteID:
		m, err := pglogrepl.ParseXLogData(data[1:])
		if err != nil {
			return err
		}
		c, end, err := g.take(m.WALData)
		if err != nil || c == nil {
			return err
		}
		return se.stream.receive(c, end)
	}
	return nil
}

// writeStatus tells the server how far the log was received, so that it may
// discard that part, and asks it to answer. If the session ends, received but
// unreported commits are lost: the registry then reads everything again anyway.
func (se *session) writeStatus(ctx context.Context) error {
	ticker := time.NewTicker(se.src.cfg.ReceiveTimeout / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-se.stream.pings:
		}
		received := pglogrepl.LSN(se.stream.position())
		_ = se.log.Conn().SetWriteDeadline(time.Now().Add(se.src.cfg.ReceiveTimeout))
		err := pglogrepl.SendStandbyStatusUpdate(ctx, se.log, pglogrepl.StandbyStatusUpdate{
			WALWritePosition: received, // and flushed, and applied
			ReplyRequested:   true,
		})
		if err != nil {
			return fmt.Errorf("telling the server how far the log was received: %w", err)
		}
	}
}
