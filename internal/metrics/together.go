package metrics

import "github.com/prometheus/client_golang/prometheus"

// Part is a measurement that is read together with others, out of one T.
type Part[T any] struct {
	Metric
	Read func(T) map[string]float64 // by the values of the one label; "" if it has none
}

// Together registers measurements that have one source: each time that they are asked for,
// read is called once for all of them. So what they say is of one moment, and what it
// costs to find out is paid once.
func Together[T any](s *Set, read func() T, parts ...Part[T]) {
	c := &together[T]{read: read, parts: parts}
	for _, p := range parts {
		c.descs = append(c.descs, prometheus.NewDesc(p.Name, p.Help, p.Labels, nil))
	}
	s.registry.MustRegister(c)
	for _, p := range parts {
		s.list = append(s.list, p.Metric)
	}
}

// together is a collector of values that come out of one T.
type together[T any] struct {
	read  func() T
	parts []Part[T]
	descs []*prometheus.Desc // of the parts
}

// Describe is for the registry.
func (c *together[T]) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		to <- d
	}
}

// Collect is for the registry.
func (c *together[T]) Collect(to chan<- prometheus.Metric) {
	all := c.read()
	for i := range c.parts {
		p := &c.parts[i]
		for label, value := range p.Read(all) {
			to <- prometheus.MustNewConstMetric(c.descs[i], p.Type.kind(), value, []string{label}[:len(p.Labels)]...)
		}
	}
}

func (t Type) kind() prometheus.ValueType {
	if t == Counter {
		return prometheus.CounterValue
	}
	return prometheus.GaugeValue
}
