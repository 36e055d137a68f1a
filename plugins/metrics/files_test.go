package metrics

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/binderyhq/bindery/core/status"
)

// described returns the names of all metrics, with those of the series of
// histograms, and the labels of each.
func described(t *testing.T) map[string][]string {
	t.Helper()
	descs := make(chan *prometheus.Desc, 1000)
	newObserver(Config{}.WithDefaults()).Describe(descs)
	newStatusCollector(func() status.Registry { return status.Registry{} }).Describe(descs)
	newProgramCollector(nil).Describe(descs)
	close(descs)
	parts := regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)
	names := map[string][]string{}
	for d := range descs {
		m := parts.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("the description %s tells no name", d)
		}
		labels := append(strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' }), "instance", "job")
		names[m[1]] = labels
		if strings.HasSuffix(m[1], "_seconds") {
			names[m[1]+"_bucket"], names[m[1]+"_sum"], names[m[1]+"_count"] = append(labels, "le"), labels, labels
		}
	}
	return names
}

var (
	metricName = regexp.MustCompile(`\bbindery_\w+`)
	matchers   = regexp.MustCompile(`(bindery_\w+)\{([^}]*)\}`)
	matcher    = regexp.MustCompile(`(\w+)(?:=~|!~|!=|=)"`)
	grouping   = regexp.MustCompile(`by \(([^)]*)\)`)
	ranged     = regexp.MustCompile(`\[([^\]]*)\]`)
)

// checkExpr finds names and labels that the plugin does not have, and slips of
// syntax.
func checkExpr(t *testing.T, where, expr string, known map[string][]string) {
	t.Helper()
	if _, err := metricsql.Parse(strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*").Replace(expr)); err != nil {
		t.Errorf("%s: %s: %v", where, expr, err)
	}
	used := metricName.FindAllString(expr, -1)
	if len(used) == 0 {
		t.Errorf("%s: %s: names no metric", where, expr)
	}
	has := map[string]bool{}
	for _, name := range used {
		labels, ok := known[name]
		if !ok {
			t.Errorf("%s: %s: there is no metric %s", where, expr, name)
		}
		for _, l := range labels {
			has[l] = true
		}
	}
	var labels []string
	for _, m := range matchers.FindAllStringSubmatch(expr, -1) {
		for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
			labels = append(labels, l[1])
		}
	}
	for _, m := range grouping.FindAllStringSubmatch(expr, -1) {
		for l := range strings.SplitSeq(m[1], ",") {
			labels = append(labels, strings.TrimSpace(l))
		}
	}
	for _, l := range labels {
		if !has[l] {
			t.Errorf("%s: %s: there is no label %q", where, expr, l)
		}
	}
	for _, m := range ranged.FindAllStringSubmatch(expr, -1) {
		if _, err := model.ParseDuration(m[1]); err != nil && m[1] != "$__rate_interval" {
			t.Errorf("%s: %s: %v", where, expr, err)
		}
	}
	for _, pair := range []string{"()", "[]", "{}"} {
		if strings.Count(expr, pair[:1]) != strings.Count(expr, pair[1:]) {
			t.Errorf("%s: %s: %s do not match", where, expr, pair)
		}
	}
}

// TestAlerts reads the alert rules as Prometheus does, strictly.
func TestAlerts(t *testing.T) {
	file, err := os.Open("alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	dec := yaml.NewDecoder(file)
	dec.KnownFields(true)
	if err := dec.Decode(&rules); err != nil {
		t.Fatal(err)
	}
	known := described(t)
	seen := map[string]bool{}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || seen[r.Alert] {
				t.Errorf("the alert %q has no name of its own", r.Alert)
			}
			seen[r.Alert] = true
			if r.For != "" {
				if d, err := model.ParseDuration(r.For); err != nil || time.Duration(d) <= 0 {
					t.Errorf("%s: for: %q: %v", r.Alert, r.For, err)
				}
			}
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s: no severity, summary or description", r.Alert)
			}
			checkExpr(t, r.Alert, r.Expr, known)
		}
	}
	guide, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range seen {
		if !strings.Contains(string(guide), name) {
			t.Errorf("docs/operations.md does not say what to do about %s", name)
		}
	}
	if len(seen) == 0 {
		t.Error("there are no alerts")
	}
}

// TestDashboard reads the dashboard.
func TestDashboard(t *testing.T) {
	raw, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Title         string
		SchemaVersion int
		Panels        []struct {
			ID          int
			Type, Title string
			GridPos     struct{ X, Y, W, H int }
			Targets     []struct{ RefID, Expr string }
		}
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	known := described(t)
	ids := map[int]bool{}
	cells := map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("%s: the id %d is used twice", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, taken := cells[[2]int{x, y}]; taken || x >= 24 {
					t.Fatalf("%s lies over %q or beyond the edge", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			checkExpr(t, p.Title, target.Expr, known)
		}
	}
	if len(ids) < 10 {
		t.Errorf("there are %d panels", len(ids))
	}
}

// TestDocs finds each metric in the table of docs/metrics.md, and no other.
func TestDocs(t *testing.T) {
	raw, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, name := range metricName.FindAllString(string(raw), -1) {
		told[name] = true
	}
	known := described(t)
	for name := range told {
		if _, ok := known[name]; !ok {
			t.Errorf("docs/metrics.md tells of %s, which there is not", name)
		}
	}
	for name := range known {
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if strings.HasSuffix(name, "_seconds"+suffix) {
				told[name] = true
			}
		}
		if !told[name] {
			t.Errorf("docs/metrics.md does not tell of %s", name)
		}
	}
}
