package request

import (
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/binderyhq/bindery/core/driver"
)

var listParams = []string{ParamAfter, ParamLimit, ParamOffset, ParamSince, ParamWait}

func TestParseList(t *testing.T) {
	for query, want := range map[string]string{ // the parameter that is wrong, "" for none
		"":                               "",
		"limit=1":                        "",
		"limit=50":                       "",
		"limit=51":                       "limit",
		"limit=0":                        "limit",
		"limit=+1":                       "limit",
		"limit=":                         "limit",
		"limit=x&offset=x":               "limit", // the first by name
		"offset=99999999999999999999999": "",
		"offset=-1":                      "offset",
		"after=":                         "",
		"after=!":                        "after",
		"after=&offset=1":                "offset",
		"since=":                         "since",
		"since=a&limit=1":                "since",
		"since=a&wait=20":                "",
		"since=a&wait=-1":                "wait",
		"wait=20":                        "wait",
		"limit=1&limit=2":                "limit",
	} {
		values, _, p := Parameters(query, listParams)
		if p == nil {
			_, p = ParseList(values, Limits{Default: 10, Max: 50})
		}
		got := ""
		if p != nil {
			got = p.Errors[0].Field
		}
		if got != want {
			t.Errorf("%s: %q is wrong, want %q", query, got, want)
		}
	}
	q, p := ParseList(map[string]string{"limit": "7", "offset": "3"}, Limits{Default: 10, Max: 50})
	if p != nil || !q.Paged || q.Limit != 7 || q.Offset != 3 {
		t.Errorf("%+v, %v", q, p)
	}
	q, p = ParseList(map[string]string{"since": "a", "wait": "99999999999999999999"}, Limits{Default: 10, Max: 50})
	if p != nil || !q.Changes || q.Wait != maxWaitSeconds*time.Second {
		t.Errorf("%+v, %v", q, p)
	}
}

func TestNoParameters(t *testing.T) {
	if p := NoParameters(nil); p != nil {
		t.Error(p)
	}
	if p := NoParameters(map[string]string{"b": "", "a": ""}); p == nil || p.Errors[0].Field != "a" {
		t.Errorf("%v", p)
	}
}

// Whatever a query says, the page is within its bounds, and the arguments are all the
// other parameters.
func FuzzParameters(f *testing.F) {
	for _, seed := range []string{"limit=1&offset=2", "a=1&a=2", "after=YQ", "since=a&wait=3", "%zz", "limit=;", "&=&"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		values, args, p := Parameters(raw, listParams)
		parsed, err := url.ParseQuery(raw)
		if (err != nil) && p == nil {
			t.Fatalf("%q is read", raw)
		}
		if p != nil {
			return
		}
		for name := range parsed {
			_, own := values[name]
			_, arg := args[name]
			if own == arg || own != slices.Contains(listParams, name) {
				t.Fatalf("%q: %q is a parameter %v, an argument %v", raw, name, own, arg)
			}
		}
		q, p := ParseList(values, Limits{Default: 10, Max: 50})
		if p == nil && (q.Limit < 1 || q.Limit > 50 || q.Offset < 0 || q.Offset > maxOffset || q.Wait < 0) {
			t.Fatalf("%q: %+v", raw, q)
		}
	})
}

func TestKey(t *testing.T) {
	r := httptest.NewRequest("GET", "/b/a%2Cb", nil)
	if got := Name(r, "a%2Cb"); got != "a,b" {
		t.Errorf("the name is %q", got)
	}
	if got := Name(httptest.NewRequest("GET", "/b/100%25", nil), "100%"); got != "100%" {
		t.Errorf("the name is %q", got)
	}
	if _, ok := Key(r, driver.Schema{}, "a/b"); ok {
		t.Error("a path goes on after the key")
	}
}

func TestMark(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	if _, given := Mark(r.Header, nil); given {
		t.Error("a mark of nobody")
	}
	if mark, given := Mark(r.Header, map[string]string{ParamMark: "p"}); mark != "p" || !given {
		t.Errorf("%q", mark)
	}
	r.Header.Set(HeaderMark, "h")
	if mark, _ := Mark(r.Header, map[string]string{ParamMark: "p"}); mark != "h" {
		t.Errorf("%q", mark)
	}
	r.Header.Add(HeaderMark, "i")
	if mark, given := Mark(r.Header, nil); mark != "" || !given {
		t.Errorf("%q", mark)
	}
}
