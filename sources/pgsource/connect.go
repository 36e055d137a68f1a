package pgsource

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// farewell bounds the closing of a connection. A server that does not answer
// notices the end later by itself.
const farewell = 2 * time.Second

// sessionParams make values look the same whatever the role's settings are.
var sessionParams = map[string]string{
	"client_encoding":             "UTF8",
	"bytea_output":                "hex",
	"DateStyle":                   "ISO",
	"IntervalStyle":               "postgres",
	"TimeZone":                    "UTC",
	"extra_float_digits":          "3",
	"standard_conforming_strings": "on",
	// Each statement has one snapshot, and no serialization failures.
	"default_transaction_isolation": "read committed",
	// The source's own commits are flushed, but do not wait for standbys.
	"synchronous_commit": "local",
}

// connect opens a connection. With replication it takes replication commands.
func connect(ctx context.Context, dsn string, replication bool) (*pgconn.PgConn, error) {
	cfg, err := pgconn.ParseConfig(dsn) // its error does not show the password
	if err != nil {
		return nil, err
	}
	for name, v := range sessionParams {
		cfg.RuntimeParams[name] = v
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "bindery pgsource"
	}
	if replication {
		cfg.RuntimeParams["replication"] = "database"
		// Creating a slot waits for running transactions. StartTimeout bounds it, not
		// the role's own limits.
		cfg.RuntimeParams["lock_timeout"] = "0"
		cfg.RuntimeParams["statement_timeout"] = "0"
	}
	// When the connection is given up, pgx opens another one to cancel the running
	// statement: otherwise a slot under creation would outlive the source. That must
	// not take long if the server does not answer.
	var opened atomic.Bool
	dial := cfg.DialFunc
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if !opened.Load() {
			return dial(ctx, network, addr)
		}
		ctx, cancel := context.WithTimeout(ctx, farewell)
		defer cancel()
		conn, err := dial(ctx, network, addr)
		if err == nil {
			err = conn.SetDeadline(time.Now().Add(farewell))
		}
		return conn, err
	}
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	opened.Store(true)
	return conn, err
}

// closeConn closes a connection that nobody uses any more, and waits for its
// goroutines.
func closeConn(conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	_ = conn.Close(ctx) // it may be broken already
	select {
	case <-conn.CleanupDone():
		return
	case <-ctx.Done():
	}
	// It broke, and says its own farewell to a server that does not listen.
	_ = conn.Conn().Close()
	<-conn.CleanupDone()
}

// query runs one statement on the connection and returns its rows as texts.
// NULL is "".
func query(ctx context.Context, conn *pgconn.PgConn, sql string, args ...string) ([][]string, error) {
	params := make([][]byte, len(args))
	for i, a := range args {
		params[i] = []byte(a)
	}
	res := conn.ExecParams(ctx, sql, params, nil, nil, nil).Read()
	if res.Err != nil {
		return nil, res.Err
	}
	rows := make([][]string, len(res.Rows))
	for i, r := range res.Rows {
		for _, text := range r {
			rows[i] = append(rows[i], string(text))
		}
	}
	return rows, nil
}

// exec runs a statement that takes no parameters, such as ALTER PUBLICATION.
func exec(ctx context.Context, conn *pgconn.PgConn, sql string) error {
	_, err := conn.Exec(ctx, sql).ReadAll()
	return err
}

// querySnapshot asks which transactions are visible to a read that begins now.
func querySnapshot(ctx context.Context, conn *pgconn.PgConn) (snapshot, error) {
	rows, err := query(ctx, conn, snapshotQuery)
	if err != nil {
		return snapshot{}, fmt.Errorf("asking which transactions are visible: %w", err)
	}
	if len(rows) != 1 || len(rows[0]) != 1 {
		return snapshot{}, fmt.Errorf("asking which transactions are visible: %d rows", len(rows))
	}
	return parseSnapshot(rows[0][0])
}

// querySnapshotAt is querySnapshot with a position of the log that is taken after the
// snapshot, see [positionQuery].
func querySnapshotAt(ctx context.Context, conn *pgconn.PgConn) (snapshot, uint64, error) {
	rows, err := query(ctx, conn, snapshotQuery+", "+positionQuery)
	if err == nil && len(rows) != 1 {
		err = fmt.Errorf("%d rows", len(rows))
	}
	if err != nil {
		return snapshot{}, 0, fmt.Errorf("asking which transactions are visible: %w", err)
	}
	s, err := parseSnapshot(rows[0][0])
	if err != nil {
		return snapshot{}, 0, err
	}
	position, err := parsePosition(rows[0][1])
	return s, position, err
}

// queryRunning is querySnapshot for callers that wait for all running transactions. A
// snapshot does not list transactions that began after the last one that has ended,
// so queryRunning first ends a transaction of its own.
func queryRunning(ctx context.Context, conn *pgconn.PgConn) (snapshot, error) {
	if _, err := query(ctx, conn, "SELECT txid_current()"); err != nil {
		return snapshot{}, fmt.Errorf("asking for a transaction id: %w", err)
	}
	return querySnapshot(ctx, conn)
}
