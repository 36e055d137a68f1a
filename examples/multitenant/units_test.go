package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core"
)

func TestPasswords(t *testing.T) {
	a, err := hashPassword("secret", 2)
	if err != nil {
		t.Fatal(err)
	}
	b, err := hashPassword("secret", 2)
	if err != nil {
		t.Fatal(err)
	}
	if a == b || !isPassword(a, "secret") || !isPassword(b, "secret") {
		t.Errorf("hashes of one password: %q, %q", a, b)
	}
	parts := strings.Split(a, "$")
	with := func(i int, s string) string {
		p := append([]string(nil), parts...)
		p[i] = s
		return strings.Join(p, "$")
	}
	for hash, password := range map[string]string{
		a: "Secret", b: "", "": "secret", "$$$": "secret", with(0, "md5"): "secret", with(1, "0"): "secret", with(1, "3"): "secret",
		with(1, "99999999999"): "secret", with(2, "!"): "secret", with(3, ""): "secret", with(3, "AAAA"): "secret", a + "$": "secret",
	} {
		if isPassword(hash, password) {
			t.Errorf("%q is taken for the password of %q", password, hash)
		}
	}
	full := make(hashing, 1)
	full <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if ok, err := full.check(ctx, a, "secret"); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("a turn that never came: %v, %v", ok, err)
	}
}

func TestSessions(t *testing.T) {
	now := time.Unix(1e9, 0)
	s := newSessions(func() time.Time { return now })
	is := func(token, want string) {
		t.Helper()
		if got, ok := s.person(token); got != want || ok != (want != "") {
			t.Errorf("got %q, %v; want %q", got, ok, want)
		}
	}
	ada, bea := s.begin("ada"), s.begin("bea")
	is(ada, "ada")
	is(bea, "bea")
	is("", "")
	s.end(ada)
	s.end(ada)
	is(ada, "")
	now = now.Add(sessionLife - 1)
	tom := s.begin("tom")
	is(bea, "bea")
	now = now.Add(1)
	is(bea, "")
	is(tom, "tom")
	s.begin("ada")
	if len(s.all) != 2 || s.order.Len() != 2 {
		t.Errorf("%d sessions are held, %d in order", len(s.all), s.order.Len())
	}
	for i := range maxSessions {
		s.begin(fmt.Sprint(i))
	}
	is(tom, "")
	if len(s.all) != maxSessions || s.order.Len() != maxSessions {
		t.Errorf("%d sessions are held", len(s.all))
	}
}

// TestBeforeLoading: as long as it is not known who may do what, there is no
// decision, rather than a wrong one.
func TestBeforeLoading(t *testing.T) {
	db, closeDatabase, err := openDatabase(t.Context(), settings{work: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := closeDatabase(); err != nil {
			t.Error(err)
		}
	}()
	a := newApp(db)
	auth := &authorizer{a.people, a.sessions}
	ctx := withSession(t.Context(), a.sessions.begin("ada"))
	if d, err := auth.Authorize(ctx, core.Access{Binding: "tasks"}); err == nil {
		t.Errorf("decided %+v", d)
	}
	if err := a.registry.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
