package rest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/binderyhq/bindery/core"
	"github.com/binderyhq/bindery/core/live"
)

// TestShownDifferently: two bindings over one table show its rows each in its
// own way, in lists, rows, answers to writes and the messages of ?since=.
func TestShownDifferently(t *testing.T) {
	s := newShop(t, 2)
	s.Open("numbers", core.Columns("id"), core.Writable())
	s.Open("loud", core.Writable(), core.Serialize(func(p product) map[string]string {
		return map[string]string{"nr": fmt.Sprint(p.ID), "text": strings.ToUpper(p.Name)}
	}))

	list := s.Do("GET", "/api/numbers")
	if got := body(t, list); got != `[{"id":1},{"id":2}]`+"\n" {
		t.Errorf("numbers: %s", got)
	}
	loud := s.Do("GET", "/api/loud/1")
	if got := body(t, loud); got != `{"nr":"1","text":"PRODUCT 1"}`+"\n" {
		t.Errorf("loud: %s", got)
	}
	since := tagToken(t, s.Do("GET", "/api/loud").Header.Get("ETag"))

	// The one binding does not see the change, the other does.
	s.Put(product{ID: 1, Name: "renamed"})
	want(t, s.Do("GET", "/api/numbers", "If-None-Match", list.Header.Get("ETag")), 304)
	want(t, s.Do("GET", "/api/numbers/1", "If-None-Match", s.Do("GET", "/api/numbers/1").Header.Get("ETag")), 304)
	want(t, s.Do("GET", "/api/loud/1", "If-None-Match", loud.Header.Get("ETag")), 200)
	s.Delete(2)
	got := body(t, s.Do("GET", "/api/loud?since="+since))
	for _, part := range []string{`"payload":[{"nr":"1","text":"RENAMED"}]`, `"payload":[{"id":2}]`} {
		if !strings.Contains(got, part) {
			t.Errorf("messages %s, want %s", got, part)
		}
	}

	// Writes: what is not shown is no field; a serializer's binding takes the
	// model's fields and answers with its own.
	res := s.send("PATCH", "/api/numbers/1", `{"name":"x"}`)
	want(t, res, 422)
	if got := body(t, res); !strings.Contains(got, `{"field":"name","detail":"is no field of this binding"}`) {
		t.Errorf("a field that is not shown: %s", got)
	}
	res = s.send("POST", "/api/numbers", `{"id":9}`)
	want(t, res, 201)
	if got := body(t, res); got != `{"id":9}`+"\n" {
		t.Errorf("answered %s", got)
	}
	res = s.send("POST", "/api/loud", `{"id":7,"name":"new"}`)
	want(t, res, 201)
	if got := body(t, res); got != `{"nr":"7","text":"NEW"}`+"\n" || res.Header.Get("Location") != "/api/loud/7" {
		t.Errorf("answered %s at %s", got, res.Header.Get("Location"))
	}
	want(t, s.Do("GET", "/api/loud/7", "If-None-Match", res.Header.Get("ETag")), 304)
	want(t, s.send("PATCH", "/api/loud/7", `{"name":"newer"}`, "If-Match", res.Header.Get("ETag")), 200)
	want(t, s.send("PATCH", "/api/loud/7", `{"name":"newest"}`, "If-Match", res.Header.Get("ETag")), 412)
}

// TestRowThatCannotBeShown: a write to a row that the binding cannot show mends it, or says
// why it was not carried out. What went wrong inside is not for clients.
func TestRowThatCannotBeShown(t *testing.T) {
	s := newShop(t, 2)
	s.Open("brittle", core.Writable(), core.Serialize(func(p product) product {
		if p.Name == "bad" {
			panic("secret")
		}
		return p
	}))
	s.Put(product{ID: 1, Name: "bad"})
	for _, res := range []*http.Response{
		s.send("PATCH", "/api/brittle/1", `{}`),
		s.send("PATCH", "/api/brittle/2", `{"name":"bad"}`),
		s.send("POST", "/api/brittle", `{"id":9,"name":"bad"}`),
	} {
		want(t, res, 409)
		if got := body(t, res); !strings.Contains(got, `:unreadable-row"`) || !strings.Contains(got, "the row ") || strings.Contains(got, "secret") {
			t.Errorf("%s", got)
		}
	}
	want(t, s.send("PATCH", "/api/brittle/1", `{"name":"good"}`, "If-Match", `"abc"`), 412)
	want(t, s.send("PATCH", "/api/brittle/1", `{"name":"good"}`, "If-Match", "*"), 200)
	if got := body(t, s.Do("GET", "/api/brittle/1")); !strings.Contains(got, `"name":"good"`) {
		t.Errorf("after mending: %s", got)
	}
	s.Put(product{ID: 2, Name: "bad"})
	want(t, s.send("DELETE", "/api/brittle/2", ""), 204)
	want(t, s.Do("GET", "/api/brittle/9"), 404)
}

// tagToken returns the version token that an entity tag holds.
func tagToken(t *testing.T, tag string) string {
	t.Helper()
	token := strings.Trim(tag, `"`)
	if len(token) != live.TokenLength {
		t.Fatalf("tag %q", tag)
	}
	return token
}
