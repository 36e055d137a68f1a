package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core/client"
	"github.com/binderyhq/bindery/core/wire"
	"github.com/binderyhq/bindery/transports/clienttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shown is a client that reports what it shows to the suite.
type shown struct {
	rows *client.Rows[json.RawMessage]
	all  sync.WaitGroup
}

func (s *shown) Close() error {
	err := s.rows.Close()
	s.all.Wait()
	return err
}

func open(_ context.Context, f clienttest.Follow, show func(clienttest.State)) (clienttest.Client, error) {
	params := url.Values{}
	for name, value := range f.Params {
		params.Set(name, value)
	}
	rows, err := client.Open[json.RawMessage](f.Base+"events", f.Binding, client.Config{
		Params: params, Key: f.Key, MinWait: 5 * time.Millisecond, MaxWait: 50 * time.Millisecond,
	})
	if err != nil {
		return nil, err
	}
	s := &shown{rows: rows}
	s.all.Go(func() {
		for state := range rows.States(context.Background()) {
			if errors.Is(state.Err, client.ErrClosed) {
				return
			}
			out := clienttest.State{Status: clienttest.Status(state.Status), Version: state.Version, Rows: slices.Collect(state.JSON())}
			var p *wire.Problem
			if errors.As(state.Err, &p) && state.Status == client.Closed {
				out.Problem = p.Status
			}
			show(out)
		}
	})
	return s, nil
}

// TestConformance holds the client to the protocol.
func TestConformance(t *testing.T) {
	clienttest.Run(t, clienttest.Harness{Transports: []clienttest.Transport{clienttest.SSE}, Open: open})
}
