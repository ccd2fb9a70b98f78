package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Prometheus itself reads the alerts and every expression of the dashboard.
func TestPrometheusReadsAlertsAndDashboard(t *testing.T) {
	run(t, environment(), "promtool", "check", "rules", filepath.Join("..", "..", "deploy", "prometheus", "alerts.yml"))
	run(t, environment(), "promtool", "test", "rules", filepath.Join("testdata", "alerts.yml")) // they fire, and say what is true
	b, err := os.ReadFile(filepath.Join("..", "..", "deploy", "grafana", "millrace.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(b, &dashboard); err != nil {
		t.Fatal(err)
	}
	rules := "groups:\n- name: dashboard\n  rules:\n"
	filled := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$instance", ".*")
	for i, p := range dashboard.Panels {
		for j, q := range p.Targets {
			rules += fmt.Sprintf("  - record: panel:%d:%d\n    expr: %q\n", i, j, filled.Replace(q.Expr))
		}
	}
	file := temporary(t, "rules.yml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, environment(), "promtool", "check", "rules", file)
}

// Prometheus reads what the server serves.
func TestPrometheusReadsTheMeasurements(t *testing.T) {
	s, watch := watched(t)
	s.create(t, "garden")
	s.put(t, "garden", seconds(2, 0)...)
	_, page := fetch(t, watch+"/metrics", "")
	if stdout, stderr, err := try(t, environment(), strings.NewReader(page), "promtool", "check", "metrics"); err != nil {
		t.Errorf("%v %s%s", err, stdout, stderr)
	}
}
