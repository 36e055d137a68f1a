package request

import (
	"testing"
	"time"
)

func TestPreferredWait(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"":                              0,
		"wait=5":                        5 * time.Second,
		`wait="5"`:                      5 * time.Second,
		"a, b=c, WAIT=7; x=y":           7 * time.Second,
		"wait=99999999999":              1<<63 - 1,
		"wait=999999999999999999999999": 1<<63 - 1,
		"wait=1.5":                      0,
		"wait=":                         0,
		"waits=5":                       0,
	} {
		if got, _ := PreferredWait([]string{header}); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}
