package clienttest_test

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/binderyhq/bindery/transports/clienttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(patient{m}) }

// patient waits for the clients that are too late by design.
type patient struct{ *testing.M }

func (p patient) Run() int {
	code := p.M.Run()
	lingerers.Wait()
	return code
}

var spoken = []clienttest.Transport{clienttest.SSE, clienttest.Poll}

func TestReferenceClientPasses(t *testing.T) {
	clienttest.Run(t, clienttest.Harness{Transports: spoken, Open: open(none)})
}

// TestDefectsAreFound gives the suite clients that do one thing wrong each.
func TestDefectsAreFound(t *testing.T) {
	for bad, want := range map[defect]string{
		eager:       "sync in pages",
		forgetful:   "resume: ok",
		keeper:      "lag",
		unsorted:    "order: creates and updates",
		merger:      "columns that come and go",
		blind:       "messages of another member",
		believer:    "nonsense: ok for a version that is not held",
		stubborn:    "refused: 404",
		impatient:   "not loaded yet",
		neverStale:  "the server is away",
		lingering:   "leaving",
		halfHearted: "cut in the middle of a batch",
	} {
		t.Run(string(bad), func(t *testing.T) {
			t.Parallel()
			h := clienttest.Harness{Transports: []clienttest.Transport{clienttest.SSE}, Open: open(bad), Timeout: time.Second}
			err := clienttest.CheckCase(t.Context(), h, want)
			if err == nil || !strings.Contains(err.Error(), "sse: "+want+": ") {
				t.Errorf("the case %q says %v", want, err)
			}
		})
	}
}

func TestHarnessIsChecked(t *testing.T) {
	for want, h := range map[string]clienttest.Harness{
		"needs Open":                     {Transports: spoken},
		"at least one of Transports":     {Open: open(none)},
		`names "sinc", which is no case`: {Transports: spoken, Open: open(none), Lacks: map[string]string{"sinc": "typo"}},
	} {
		if err := clienttest.Check(t.Context(), h); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Check: %v, want %s", err, want)
		}
	}
}

func TestCasesSayTheirRule(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range clienttest.Cases() {
		if c.Rule == "" || seen[c.Name] {
			t.Errorf("case %q: rule %q, or twice", c.Name, c.Rule)
		}
		seen[c.Name] = true
	}
}
