package server

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/pagetest"
)

var update = flag.Bool("update", false, "write docs/ref/metrics.md anew")

// metricsPage is the reference of a server's measurements.
func metricsPage(list []metrics.Metric) string {
	var b strings.Builder
	b.WriteString(`<!-- Written by make gen from the measurements the server registers; do not edit. -->

# Metrics

What ` + "`GET /metrics`" + ` serves as Prometheus text; who may ask is said in
[the guide](../guide/monitor.md#measurements). Durations are in seconds. Counters begin at 0
when the server starts. Beside these there are the usual ` + "`go_*` and `process_*`" + ` of the runtime.

| Name | Type | Labels | What it says |
|---|---|---|---|
`)
	for _, m := range list {
		labels := ""
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Type, labels, strings.ReplaceAll(m.Help, "|", "\\|"))
	}
	return b.String()
}

func TestMetricsPage(t *testing.T) {
	const name = "../../docs/ref/metrics.md"
	s := &Server{metrics: metrics.New()}
	s.measure()
	list := s.metrics.List()
	for _, m := range list {
		if !strings.HasPrefix(m.Name, "millrace_") || !strings.HasSuffix(m.Help, ".") {
			t.Errorf("%s: want a name that begins with millrace_ and a help text that is a sentence: %q", m.Name, m.Help)
		}
	}
	want := metricsPage(list)
	pagetest.Current(t, name, want, *update)
}
