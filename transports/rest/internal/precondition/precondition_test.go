package precondition

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/binderyhq/bindery/transports/rest/internal/coding"
)

// tagged is content whose tags are the token and the coding's suffix.
type tagged string

func (c tagged) CodingOf(opaque string) (coding.Coding, bool) {
	suffix, ok := strings.CutPrefix(opaque, string(c))
	for in := range coding.Count {
		if ok && in.Suffix() == suffix {
			return in, true
		}
	}
	return coding.Identity, false
}

func TestTags(t *testing.T) {
	for line, want := range map[string][]Tag{
		``:                   nil,
		`"a"`:                {{"a", false}},
		`W/"a"`:              {{"a", true}},
		`w/"a"`:              nil, // the W is in upper case
		`"a","b" ,, W/"c" ,`: {{"a", false}, {"b", false}, {"c", true}},
		`"a" "b"`:            nil, // no comma after the tag
		`"a", b, "c"`:        {{"a", false}},
		`"a", "b`:            {{"a", false}},
		`"a b"`:              nil,
		`""`:                 {{"", false}},
		`"a,b"`:              {{"a,b", false}},
	} {
		if got := slices.Collect(Tags([]string{line})); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", line, got, want)
		}
	}
	if got := slices.Collect(Tags([]string{`"a", x`, `"b"`})); len(got) != 2 {
		t.Errorf("a malformed line hides the next: %v", got)
	}
	for tag := range Tags([]string{`"a", "b"`}) {
		if tag.Opaque != "a" {
			t.Error("the loop goes on after its end")
		}
		break
	}
}

// The order in which the preconditions count, and who wins where they disagree.
func TestJudge(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	date := now.Add(-time.Minute)
	for _, c := range []struct {
		name   string
		h      http.Header
		date   time.Time
		status Outcome
		in     coding.Coding
	}{
		{"nothing", http.Header{}, date, Proceed, coding.Identity},
		{"its tag", http.Header{"If-None-Match": {`"v"`}}, date, NotModified, coding.Identity},
		{"another tag, and a date", http.Header{"If-None-Match": {`"w"`}, "If-Modified-Since": {at(0)}}, date, Proceed, coding.Identity},
		{"a date", http.Header{"If-Modified-Since": {at(-time.Minute)}}, date, NotModified, coding.Identity},
		{"an older date", http.Header{"If-Modified-Since": {at(-time.Hour)}}, date, Proceed, coding.Identity},
		{"a date of the future", http.Header{"If-Modified-Since": {at(time.Second)}}, date, Proceed, coding.Identity},
		{"a date, but none is shown", http.Header{"If-Modified-Since": {at(0)}}, time.Time{}, Proceed, coding.Identity},
		{"unmodified since", http.Header{"If-Unmodified-Since": {at(0)}}, date, Proceed, coding.Identity},
		{"modified since", http.Header{"If-Unmodified-Since": {at(-time.Hour)}}, date, Failed, coding.Identity},
		{"unmodified since, but no date is shown", http.Header{"If-Unmodified-Since": {at(0)}}, time.Time{}, Failed, coding.Identity},
		{"If-Match counts, the date does not", http.Header{"If-Match": {`"v"`}, "If-Unmodified-Since": {at(-time.Hour)}}, date, Proceed, coding.Identity},
		{"If-Match before If-None-Match", http.Header{"If-Match": {`"w"`}, "If-None-Match": {`"v"`}}, date, Failed, coding.Identity},
		{"a weak If-Match", http.Header{"If-Match": {`W/"v"`}}, date, Failed, coding.Identity},
		{"the tag of a coding that is accepted", http.Header{"If-None-Match": {`"v-gzip"`}, "Accept-Encoding": {"br, gzip"}}, date, NotModified, coding.Gzip},
		{"the tag of a coding that is not", http.Header{"If-None-Match": {`"v-gzip"`}, "Accept-Encoding": {"br"}}, date, Proceed, coding.Brotli},
		{"any", http.Header{"If-None-Match": {"*"}, "Accept-Encoding": {"br"}}, date, NotModified, coding.Brotli},
	} {
		v := Judge(c.h, tagged("v"), c.date, now, true)
		if v.Outcome != c.status || v.Coding != c.in || v.Held != (c.status == NotModified && strings.Contains(strings.Join(c.h["If-None-Match"], ""), `"v`)) {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
	if v := Judge(http.Header{"If-None-Match": {`"v-gzip"`}, "Accept-Encoding": {"gzip"}}, tagged("v"), date, now, false); v.Outcome != Proceed || v.Coding != coding.Identity {
		t.Errorf("content that is never compressed: %+v", v)
	}
}

func TestMatches(t *testing.T) {
	for line, want := range map[string][2]bool{ // strongly, weakly
		`"v"`: {true, true}, `W/"v"`: {false, true}, `"v-br"`: {true, true}, `"w"`: {}, `*`: {true, true}, `"*"`: {}, `v`: {},
	} {
		lines := []string{line}
		if got := [2]bool{MatchesStrongly(lines, tagged("v")), MatchesWeakly(lines, tagged("v"))}; got != want {
			t.Errorf("%s: %v, want %v", line, got, want)
		}
	}
}

func FuzzIfNoneMatch(f *testing.F) {
	const token = "AAAAAAAAAAAAAAAAAAAAAA"
	for _, seed := range []string{`"` + token + `"`, `W/"a", "b"`, `*`, `"a`, `,,"a" ,`, `W/`, `"` + token + `-gzip"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		tags := 0
		for tag := range Tags([]string{line}) {
			if strings.ContainsAny(tag.Opaque, "\" \x00\n") || !strings.Contains(line, `"`+tag.Opaque+`"`) {
				t.Fatalf("tag %q in %q", tag.Opaque, line)
			}
			if tags++; tags > len(line) {
				t.Fatalf("no end of %q", line)
			}
		}
		v := Judge(http.Header{"If-None-Match": {line}}, tagged(token), time.Time{}, time.Now(), true)
		// Nothing is unchanged unless its tag was shown.
		if v.Outcome == NotModified && strings.Trim(line, " \t") != "*" && !strings.Contains(line, `"`+token) {
			t.Fatalf("%q matches", line)
		}
	})
}
