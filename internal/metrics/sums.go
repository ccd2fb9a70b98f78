package metrics

import "github.com/prometheus/client_golang/prometheus"

// Sums registers a counter or gauge with one label that is read when it is asked for:
// its values by those of the label.
func (s *Set) Sums(name string, t Type, help, label string, read func() map[string]float64) {
	kind := prometheus.GaugeValue
	if t == Counter {
		kind = prometheus.CounterValue
	}
	c := &sums{desc: prometheus.NewDesc(name, help, []string{label}, nil), kind: kind, read: read}
	add(s, c, Metric{name, t, help, []string{label}})
}

// sums is a collector of values that somebody else keeps.
type sums struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func() map[string]float64
}

// Describe is for the registry.
func (c *sums) Describe(to chan<- *prometheus.Desc) { to <- c.desc }

// Collect is for the registry.
func (c *sums) Collect(to chan<- prometheus.Metric) {
	for label, value := range c.read() {
		to <- prometheus.MustNewConstMetric(c.desc, c.kind, value, label)
	}
}
