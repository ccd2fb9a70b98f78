package metrics

import (
	"slices"
	"strings"
	"testing"
)

// What has one source is read once for a page, and stands there as if each had its own.
func TestTogether(t *testing.T) {
	s := New()
	before, reads := len(s.List()), 0
	read := func() int { reads++; return 10 * reads }
	Together(s, read,
		Part[int]{Metric{"millrace_both", Gauge, "Both.", []string{"side"}}, func(n int) map[string]float64 {
			return map[string]float64{"left": float64(n), "right": float64(n + 1)}
		}},
		Part[int]{Metric{"millrace_plain_total", Counter, "Plain.", nil}, func(n int) map[string]float64 {
			return map[string]float64{"": float64(n)}
		}},
		Part[int]{Metric{"millrace_none_total", Counter, "None.", []string{"side"}}, func(int) map[string]float64 { return nil }},
	)
	if reads != 0 {
		t.Error("it is read before anybody asks")
	}
	for i := 1; i <= 2; i++ {
		page := served(t, s)
		if reads != i {
			t.Fatalf("page %d took %d readings", i, reads)
		}
		for _, line := range []string{
			"# HELP millrace_both Both.", "# TYPE millrace_both gauge", "# TYPE millrace_plain_total counter",
			`millrace_both{side="left"} ` + []string{"", "10", "20"}[i], `millrace_both{side="right"} ` + []string{"", "11", "21"}[i],
			"millrace_plain_total " + []string{"", "10", "20"}[i],
		} {
			if !strings.Contains(page, line+"\n") {
				t.Errorf("page %d lacks %q", i, line)
			}
		}
		if strings.Contains(page, "millrace_none") {
			t.Error("what has no values is on the page")
		}
	}
	var names []string
	for _, m := range s.List()[before:] {
		names = append(names, m.Name+" "+strings.Join(m.Labels, ","))
	}
	if !slices.Equal(names, []string{"millrace_both side", "millrace_plain_total ", "millrace_none_total side"}) {
		t.Errorf("the list has %q", names)
	}
}
