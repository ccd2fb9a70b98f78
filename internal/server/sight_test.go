package server

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/millrace/millrace/internal/metrics"
)

// What Prometheus adds to every series, and what a histogram has beside its labels.
var given = []string{"job", "instance", "le"}

// foreign are the measurements of the Go runtime and the process that may be used, and
// what Prometheus itself makes.
var foreign = []string{"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "go_goroutines", "go_memstats_heap_inuse_bytes", "up"}

// functions and keywords of PromQL that may stand where a name can.
var functions = []string{"sum", "min", "max", "rate", "increase", "histogram_quantile", "time", "predict_linear", "min_over_time", "max_over_time", "by", "and"}

// complain says what is wrong with an expression of PromQL as far as that can be said
// without its parser, which test/e2e asks as well.
func complain(expr string, known map[string]metrics.Metric) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if !balanced(expr) {
		say("brackets or quotes do not match")
	}
	labels := map[string]bool{}
	// The insides of {...} and the lists behind by are labels; durations and texts are
	// nothing to check.
	rest := regexp.MustCompile(`\{[^}]*\}`).ReplaceAllStringFunc(expr, func(m string) string {
		for _, l := range regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"`).FindAllStringSubmatch(m, -1) {
			labels[l[1]] = true
		}
		return ""
	})
	rest = regexp.MustCompile(`\[[^\]]*\]`).ReplaceAllString(rest, "")
	rest = regexp.MustCompile(`\bby\s*\(([^)]*)\)`).ReplaceAllStringFunc(rest, func(m string) string {
		for _, l := range regexp.MustCompile(`\w+`).FindAllString(m, -1)[1:] {
			labels[l] = true
		}
		return ""
	})
	var allowed []string
	names := 0
	for _, name := range regexp.MustCompile(`[a-zA-Z_:][\w:]*`).FindAllString(rest, -1) {
		if slices.Contains(functions, name) {
			continue
		}
		names++
		m, ok := known[name]
		switch {
		case ok && (m.Type == metrics.Counter) != counted(expr, name):
			say("%s is a %s: rate and increase are for counters, and only for them", name, m.Type)
		case !ok && !slices.Contains(foreign, name):
			say("there is no measurement %s", name)
		}
		allowed = append(allowed, m.Labels...)
	}
	if names == 0 {
		say("no measurement is named")
	}
	for l := range labels {
		if !slices.Contains(allowed, l) && !slices.Contains(given, l) {
			say("none of the measurements has a label %s", l)
		}
	}
	return wrong
}

// counted reports whether a name stands in rate or increase.
func counted(expr, name string) bool {
	return regexp.MustCompile(`(rate|increase)\(` + name + `\b`).MatchString(expr)
}

func balanced(expr string) bool {
	var open []rune
	quoted := false
	for _, r := range expr {
		switch {
		case r == '"':
			quoted = !quoted
		case quoted:
		case strings.ContainsRune("([{", r):
			open = append(open, r)
		case strings.ContainsRune(")]}", r):
			if len(open) == 0 || !slices.Contains([]string{"()", "[]", "{}"}, string(open[len(open)-1])+string(r)) {
				return false
			}
			open = open[:len(open)-1]
		}
	}
	return len(open) == 0 && !quoted
}

// measurements are all that a server has, with the series of histograms.
func measurements() map[string]metrics.Metric {
	s := &Server{metrics: metrics.New()}
	s.measure()
	known := map[string]metrics.Metric{}
	for _, m := range s.metrics.List() {
		if m.Type != metrics.Histogram {
			known[m.Name] = m
			continue
		}
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			known[m.Name+part] = metrics.Metric{Name: m.Name + part, Type: metrics.Counter, Labels: m.Labels}
		}
	}
	return known
}

// panels are the panels of the dashboard, as far as they matter here.
type panels []struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []struct{ Expr, LegendFormat string }
}

// Every measurement and every label on the dashboard is one that the server has; every
// panel says what it is for, and none covers another.
func TestTheDashboard(t *testing.T) {
	b, err := os.ReadFile("../../deploy/grafana/millrace.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Title, UID string
		Panels     panels
	}
	if err := json.Unmarshal(b, &d); err != nil || d.Title == "" || d.UID == "" {
		t.Fatalf("%q %v", d.Title, err)
	}
	known, used := measurements(), string(b)
	ids := map[int]bool{}
	for i, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("%s: its id is taken", p.Title)
		}
		ids[p.ID] = true
		if p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("%s: says nothing, or shows nothing", p.Title)
		}
		for _, o := range d.Panels[:i] {
			a, b := p.GridPos, o.GridPos
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H || a.X+a.W > 24 {
				t.Errorf("%s and %s lie on each other", p.Title, o.Title)
			}
		}
		for _, q := range p.Targets {
			for _, wrong := range complain(q.Expr, known) {
				t.Errorf("%s: %s: %s", p.Title, q.Expr, wrong)
			}
			for _, l := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(q.LegendFormat, -1) {
				if !strings.Contains(q.Expr, l[1]) {
					t.Errorf("%s: the legend has %s and the expression not", p.Title, l[1])
				}
			}
		}
	}
	for name, m := range known {
		base := strings.TrimSuffix(name, "_bucket")
		if !strings.HasSuffix(name, "_sum") && !strings.HasSuffix(name, "_count") && !strings.Contains(used, base) && !slices.Contains(notShown, base) {
			t.Errorf("%s, %q, is on no panel", name, m.Help)
		}
	}
}

// notShown are measurements that a dashboard has no use for.
var notShown = []string{
	"millrace_reload_failed",                     // an alert
	"millrace_certificate_expires_seconds",       // an alert
	"millrace_holds",                             // changes when somebody sets one: millrace hold list
	"millrace_data_keys_total",                   // one per stream and day
	"millrace_live_evicted_bytes_total",          // the fragments are shown
	"millrace_archived_fragments_consumed_total", // of use to those who know the quota of the original service
}

// The alerts use what there is, and the guide says what to do about each.
func TestTheAlerts(t *testing.T) {
	b, err := os.ReadFile("../../deploy/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("../../docs/guide/monitor.md")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.UnmarshalWithOptions(b, &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	known, seen := measurements(), map[string]bool{}
	for _, r := range file.Groups[0].Rules {
		if seen[r.Alert] || !strings.HasPrefix(r.Alert, "Millrace") {
			t.Errorf("%q is there twice, or is no name of ours", r.Alert)
		}
		seen[r.Alert] = true
		for _, wrong := range complain(r.Expr, known) {
			t.Errorf("%s: %s: %s", r.Alert, r.Expr, wrong)
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) || r.Annotations["summary"] == "" {
			t.Errorf("%s: %v %v", r.Alert, r.Labels, r.Annotations)
		}
		if !strings.Contains(string(guide), "\n| `"+r.Alert+"` |") {
			t.Errorf("docs/guide/monitor.md does not say what to do about %s", r.Alert)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(Millrace\\w+)`").FindAllStringSubmatch(string(guide), -1) {
		if !seen[m[1]] {
			t.Errorf("docs/guide/monitor.md explains %s, which is no alert", m[1])
		}
	}
}

// The checks find what they are for.
func TestWrongExpressionsAreFound(t *testing.T) {
	known := measurements()
	for expr, want := range map[string]string{
		`sum(rate(millrace_requests_total{status="500"}[5m]))`:                   "",
		`sum by (operation) (rate(millrace_request_seconds_bucket{le="1"}[5m]))`: "",
		`sum(rate(millrace_request_total[5m]))`:                                  "no measurement millrace_request_total",
		`sum by (code) (rate(millrace_requests_total[5m]))`:                      "has a label code",
		`millrace_put_sessions{operation="x"}`:                                   "label operation",
		`rate(millrace_put_sessions[5m])`:                                        "is a gauge",
		`sum(millrace_put_bytes_total)`:                                          "is a counter",
		`sum(rate(millrace_put_bytes_total[5m])`:                                 "do not match",
		`histogram_quantile(0.9, rate(millrace_archive_sync_seconds[5m]))`:       "no measurement millrace_archive_sync_seconds",
		`average(millrace_put_sessions)`:                                         "no measurement average",
		`1 > 0`:                                                                  "no measurement is named",
	} {
		wrong := strings.Join(complain(expr, known), "; ")
		if want == "" && wrong != "" || !strings.Contains(wrong, want) {
			t.Errorf("%s: %q, want %q", expr, wrong, want)
		}
	}
}
