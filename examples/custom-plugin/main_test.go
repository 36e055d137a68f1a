package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/examples/custom-plugin/auditlog"
)

func TestMain(m *testing.M) {
	stopWithin = time.Minute
	goleak.VerifyTestMain(m)
}

// entries returns what the log has written.
func entries(t *testing.T, log *coretest.Output) (all []auditlog.Entry) {
	t.Helper()
	for line := range strings.Lines(log.String()) {
		var e auditlog.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, e)
	}
	return all
}

// TestRun writes as three people, in requests and in the program, and looks for them
// in the log.
func TestRun(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var log coretest.Output
	type open struct {
		url string
		db  *bun.DB
	}
	opened, ended := make(chan open, 1), make(chan error, 1)
	go func() {
		ended <- run(ctx, "127.0.0.1:0", &log, func(url string, db *bun.DB) { opened <- open{url, db} })
	}()
	var shop open
	select {
	case shop = <-opened:
	case err := <-ended:
		t.Fatalf("the program ended: %v", err)
	}
	client := &http.Client{Timeout: 60 * time.Second}
	defer client.CloseIdleConnections()
	request := func(user, method, path, body string, want int) {
		t.Helper()
		req, err := http.NewRequest(method, shop.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-User", user)
		req.Header.Set("Content-Type", "application/json")
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Fatalf("%s %s: %s %s", method, path, res.Status, answer)
		}
	}
	request("ann", "POST", "/api/notes", `{"text":"from ann"}`, http.StatusCreated)
	request("bob", "PATCH", "/api/notes/2", `{"text":"from bob"}`, http.StatusOK)
	request("ann", "DELETE", "/api/notes/2", "", http.StatusNoContent)
	err := shop.db.RunInTx(auditlog.WithUser(t.Context(), "nightly job"), nil, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewUpdate().Model((*Note)(nil)).Set("text = 'tidied'").Where("1 = 1").Exec(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shop.db.NewInsert().Model(&Note{Text: "from nobody"}).Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	var writers, versions [][]string
	created := ""
	for _, e := range entries(t, &log) {
		switch e.Kind {
		case "write":
			if e.Source != "bunsource" {
				continue // rest's own report, of what the hooks have told already
			}
			writers = append(writers, e.By)
		case "version":
			versions = append(versions, e.By)
			if len(e.Created) > 0 {
				created = string(e.Created[0])
			}
		}
	}
	want := [][]string{{"the program"}, {"ann"}, {"bob"}, {"ann"}, {"nightly job"}, {"?"}}
	if !slices.EqualFunc(writers, want, slices.Equal) {
		t.Errorf("writers %v, want %v", writers, want)
	}
	if !slices.EqualFunc(versions, want, slices.Equal) {
		t.Errorf("versions by %v, want %v", versions, want)
	}
	if created != `{"id":3,"text":"from nobody"}` {
		t.Errorf("the last note: %s", created)
	}
}
