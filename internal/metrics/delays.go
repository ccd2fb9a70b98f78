package metrics

import (
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Delays is a histogram of times with one label, whose buckets name a request that fell
// into them: an exemplar with the label request_id.
type Delays struct {
	// Each, if set before the first delay, is told of every one: buckets are too coarse to
	// compare two quantiles.
	Each func(label string, delay time.Duration)

	vec *prometheus.HistogramVec

	mu     sync.RWMutex // over series
	series map[string]*delaySeries
}

// delaySeries is the histogram of one label value.
type delaySeries struct {
	observer prometheus.ExemplarObserver
	named    []atomic.Int64 // by bucket: when it got its last exemplar, unix milliseconds
}

// exemplarEvery is how many milliseconds a bucket keeps its exemplar at least: making
// one allocates, and on the way of media nothing should.
const exemplarEvery = 1000

func newDelays(vec *prometheus.HistogramVec) *Delays {
	return &Delays{vec: vec, series: map[string]*delaySeries{}}
}

// Observe counts a delay of the given label value that the request with the id, "" =
// unknown, had at time now.
func (d *Delays) Observe(label string, delay time.Duration, requestID string, now time.Time) {
	if d.Each != nil {
		d.Each(label, delay)
	}
	s := d.find(label)
	seconds := delay.Seconds()
	if requestID == "" || !s.due(seconds, now.UnixMilli()) {
		s.observer.ObserveWithExemplar(seconds, nil)
		return
	}
	s.observer.ObserveWithExemplar(seconds, prometheus.Labels{"request_id": requestID})
}

// due reports whether the bucket of a delay should have a new exemplar, and notes that
// it gets one.
func (s *delaySeries) due(seconds float64, now int64) bool {
	last := &s.named[sort.SearchFloat64s(latencyBuckets, seconds)]
	before := last.Load()
	return (now-before >= exemplarEvery || now < before) && last.CompareAndSwap(before, now)
}

func (d *Delays) find(label string) *delaySeries {
	d.mu.RLock()
	s := d.series[label]
	d.mu.RUnlock()
	if s != nil {
		return s
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if s = d.series[label]; s == nil {
		// Every histogram of the library takes exemplars.
		observer, _ := d.vec.WithLabelValues(label).(prometheus.ExemplarObserver)
		s = &delaySeries{observer: observer, named: make([]atomic.Int64, len(latencyBuckets)+1)}
		d.series[label] = s
	}
	return s
}
