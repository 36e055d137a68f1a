package warmstart_test

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/coretest"
	"github.com/binderyhq/bindery/plugins/warmstart"
	"github.com/binderyhq/bindery/sources/followsource"
	"github.com/binderyhq/bindery/transports/sse"
)

// TestFollowersAreNotKept: their rows are another node's, which they are loaded from.
// That is no error.
func TestFollowersAreNotKept(t *testing.T) {
	tab := coretest.NewTable[thing]("things", "id")
	tab.Put(thing{1, "a"})
	e := echo.New()
	origin := core.NewRegistry()
	_ = origin.Add(core.Bind("things", tab))
	_ = origin.Watch(&coretest.Source{})
	_ = origin.Serve(sse.New(e.Group("/events")))
	if err := origin.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(e)
	defer server.Close()
	defer func() { _ = origin.Shutdown(context.Background()) }()

	dir := t.TempDir()
	reg := core.NewRegistry()
	b := followsource.Bind[thing](followsource.New(server.URL+"/events"), "things")
	_ = reg.Add(b)
	_ = reg.Use(warmstart.New(dir, "origin"))
	if err := reg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-b.Loaded()
	if err := reg.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("files: %v", got)
	}
}
