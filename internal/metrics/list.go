package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Type is the Prometheus type of a measurement.
type Type string

// The types used here.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
)

// Metric is what there is to know about a measurement without its values.
type Metric struct {
	Name   string
	Type   Type
	Help   string
	Labels []string
}

// List returns our measurements in the order in which they were registered, without those
// of the Go runtime and the process.
func (s *Set) List() []Metric { return slices.Clone(s.list) }

// add registers c, so that nothing is served that is not in the list.
func add[C prometheus.Collector](s *Set, c C, m Metric) C {
	s.registry.MustRegister(c)
	s.list = append(s.list, m)
	return c
}

func (s *Set) counter(name, help string) prometheus.Counter {
	return add(s, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}), Metric{name, Counter, help, nil})
}

func (s *Set) counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	return add(s, c, Metric{name, Counter, help, labels})
}

func (s *Set) gauge(name, help string) prometheus.Gauge {
	return add(s, prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help}), Metric{name, Gauge, help, nil})
}

func (s *Set) gaugeVec(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	return add(s, g, Metric{name, Gauge, help, labels})
}

func (s *Set) histogram(name, help string) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: latencyBuckets})
	return add(s, h, Metric{name, Histogram, help, nil})
}

func (s *Set) delays(name, help, label string) *Delays {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: latencyBuckets}, []string{label})
	return newDelays(add(s, h, Metric{name, Histogram, help, []string{label}}))
}
