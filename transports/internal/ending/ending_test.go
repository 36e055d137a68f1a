package ending_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/transports/internal/ending"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEachServerEndsItsOwn(t *testing.T) {
	var servers ending.Servers
	seen := make(chan interface{ Done() <-chan struct{} }, 1)
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- servers.Of(r) })
	a, b := httptest.NewServer(handler), httptest.NewServer(handler)
	defer a.Close()
	defer b.Close()
	get := func(s *httptest.Server) interface{ Done() <-chan struct{} } {
		resp, err := s.Client().Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return <-seen
	}
	ofA, again, ofB := get(a), get(a), get(b)
	if ofA != again {
		t.Error("one server has two contexts")
	}
	if err := a.Config.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-ofA.Done()
	select {
	case <-ofB.Done():
		t.Error("the other server's is done too")
	default:
	}
}

func TestUnknownServerNeverEnds(t *testing.T) {
	var servers ending.Servers
	if servers.Of(httptest.NewRequest(http.MethodGet, "/", nil)).Done() != nil {
		t.Error("done can be")
	}
}
