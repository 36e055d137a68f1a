package socketio_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/binderyhq/bindery/core/wire/wiretest"
	"github.com/binderyhq/bindery/transports/socketio"
)

// balancer sends each request to the next server in turn, whoever asks.
func balancer(t *testing.T, servers ...*shop) string {
	t.Helper()
	var turn atomic.Uint64
	proxy := &httputil.ReverseProxy{
		ErrorLog: log.New(io.Discard, "", 0), // servers that are down are a part of the test
		Rewrite: func(r *httputil.ProxyRequest) {
			to := servers[turn.Add(1)%uint64(len(servers))]
			r.SetURL(&url.URL{Scheme: "http", Host: to.addr})
		},
	}
	front := httptest.NewServer(proxy)
	t.Cleanup(func() {
		front.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return front.URL
}

// Behind a balancer that is not sticky clients on WebSocket go on, from the version
// that they have, at whichever server they come to; those that poll get nowhere.
func TestBalancerThatIsNotSticky(t *testing.T) {
	one, other := newShop(t, socketio.Config{WebSocketOnly: true}), newShop(t, socketio.Config{})
	other.table = one.table // the same database
	one.open()
	other.open()
	defer one.close()
	defer other.close()
	front := balancer(t, one, other)
	p := startNode(t)
	defer p.end()

	p.do("open", map[string]any{"id": 1, "url": front, "transports": []string{polling}, "join": []string{"products"}})
	p.next("connect_error")
	p.do("close", map[string]any{"id": 1})

	p.do("open", map[string]any{"id": 2, "url": front, "transports": []string{websocket}, "join": []string{"products"}, "resume": true})
	p.next("connect", "connect_error", "disconnect") // the last words of the first client may come late
	cl := &wiretest.Client{}
	p.follow(one, cl)
	for i := range 3 {
		down, up := one, other
		if one.sio.Status().Open == 0 {
			down, up = other, one
		}
		down.close()
		p.next("disconnect")
		p.next("connect", "connect_error")
		if m := p.message("products"); string(m.Payload) != `"ok"` || m.Version != cl.Version {
			t.Errorf("at the other server: %+v", m)
		}
		down.open()
		rows := items(i+1, i+2, "written at restart")
		one.put(rows...)
		other.put(rows...)
		p.follow(up, cl)
	}
}
