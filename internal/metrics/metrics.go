// Package metrics names every measurement once.
//
// A [Set] is made by the server and handed to the rooms that measure; its fields are
// the measurements, and their help texts are the reference, which [Set.List] returns. The
// set is served as Prometheus text by [Set.Handler]. Everything but [Set.Func] may be used
// from many goroutines.
package metrics

import (
	"net/http"
	"regexp"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Set is all measurements of one server.
type Set struct {
	registry *prometheus.Registry
	list     []Metric

	Requests       *prometheus.CounterVec // by operation and status
	RequestSeconds *Delays                // by operation

	PutSessions   prometheus.Gauge
	PutBytes      prometheus.Counter
	GetSessions   *prometheus.GaugeVec // by operation
	GetBytes      *prometheus.CounterVec
	Acks          *prometheus.CounterVec // by type
	PlaybackBytes *prometheus.CounterVec // by action
	AckErrors     *prometheus.CounterVec // by error code
	AckSeconds    *Delays                // by type

	SyncSeconds      prometheus.Histogram
	ArchiveBytes     prometheus.Counter
	ArchiveFragments prometheus.Counter
	ArchiveFailures  prometheus.Counter
	ExpiredFragments *prometheus.CounterVec // by reason
	ExpiredBytes     *prometheus.CounterVec // by reason
	RemovedSegments  prometheus.Counter
	FreedBytes       prometheus.Counter
	ForwardedBytes   prometheus.Counter
	MovedBytes       prometheus.Counter
	DamagedRecords   prometheus.Counter

	ScrubBytes   prometheus.Counter
	ScrubSeconds prometheus.Gauge // of the last round
	ScrubDamaged prometheus.Gauge // in the last round
	DataKeys     prometheus.Counter
	KeyErrors    *prometheus.CounterVec

	LimitBreaches     *prometheus.CounterVec // by limit
	LimitWaits        *prometheus.CounterVec // by limit
	FragmentsConsumed *prometheus.CounterVec // by budget

	Evicted      *prometheus.CounterVec // by reason
	EvictedBytes *prometheus.CounterVec

	SignalingConnections  *prometheus.GaugeVec // by role
	SignalingMasters      prometheus.Gauge
	SignalingMessages     *prometheus.CounterVec // by type and fate
	SignalingEndings      *prometheus.CounterVec // by role and reason
	SignalingWaiting      prometheus.Gauge
	SignalingWaitingBytes prometheus.Gauge
}

// latencyBuckets run from 100 microseconds to 13 seconds.
var latencyBuckets = prometheus.ExponentialBuckets(0.0001, 2, 18)

// New makes a set of its own registry, with the Go runtime's and the process's
// measurements beside ours.
func New() *Set {
	s := &Set{registry: prometheus.NewRegistry()}
	live := collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/gc/heap/live:bytes$`)}
	s.registry.MustRegister(collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(live)), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.addRequests()
	s.addMedia()
	s.addArchive()
	s.addLimits()
	s.addLive()
	s.addSignaling()
	return s
}

func (s *Set) addRequests() {
	s.Requests = s.counterVec("millrace_requests_total", "Requests answered.", "operation", "status")
	s.RequestSeconds = s.delays("millrace_request_seconds", "Time from the request's head to the end of its answer, long sessions included.", "operation")
}

func (s *Set) addMedia() {
	s.PutSessions = s.gauge("millrace_put_sessions", "PutMedia sessions open now.")
	s.PutBytes = s.counter("millrace_put_bytes_total", "Bytes of Matroska read from producers.")
	s.GetSessions = s.gaugeVec("millrace_get_sessions", "GetMedia, GetMediaForFragmentList and GetClip calls open now.", "operation")
	s.GetBytes = s.counterVec("millrace_get_bytes_total", "Bytes of media sent to consumers, by operation: Matroska, clips in MP4.", "operation")
	s.PlaybackBytes = s.counterVec("millrace_playback_bytes_total", "Bytes of playlists, manifests and segments sent to players, by action.", "action")
	s.Acks = s.counterVec("millrace_acks_total", "Acknowledgements sent to producers.", "type")
	s.AckErrors = s.counterVec("millrace_ack_errors_total", "ERROR acknowledgements by code.", "code")
	s.AckSeconds = s.delays("millrace_ack_seconds", "Delay of acknowledgements: BUFFERING from the cluster timecode, RECEIVED and PERSISTED from the fragment's last byte, each to the ack written.", "type")
}

func (s *Set) addArchive() {
	s.SyncSeconds = s.histogram("millrace_archive_sync_seconds", "Time of one sync of a segment file.")
	s.ArchiveBytes = s.counter("millrace_archive_bytes_total", "Bytes of fragments made durable.")
	s.ArchiveFragments = s.counter("millrace_archive_fragments_total", "Fragments made durable.")
	s.ArchiveFailures = s.counter("millrace_archive_failures_total", "Fragments that could not be made durable.")
	s.addUpkeep()
	s.DamagedRecords = s.counter("millrace_archive_damaged_records_total", "Stored records and data keys found with a wrong checksum.")
	s.ScrubBytes = s.counter("millrace_scrub_bytes_total", "Bytes of stored records read again in the background and compared with their checksums.")
	s.ScrubSeconds = s.gauge("millrace_scrub_round_seconds", "How long it took to read all stored records again, the last time; 0 when that has not happened since the start.")
	s.ScrubDamaged = s.gauge("millrace_scrub_round_damaged", "Damaged records among all stored ones, when they were read the last time.")
	s.DataKeys = s.counter("millrace_data_keys_total", "Data keys made: one per stream and day.")
	s.KeyErrors = s.counterVec("millrace_wrapping_key_errors_total", "Times that a wrapping key could not be used, by the reason.", "reason")
}

func (s *Set) addLimits() {
	s.LimitBreaches = s.counterVec("millrace_limit_breaches_total", "Calls refused by a limit, and PutMedia sessions displaced by newer ones. The limits have their names in the reference.", "limit")
	s.LimitWaits = s.counterVec("millrace_limit_wait_seconds_total", "Time that sessions were held up by a limit, added up over all sessions.", "limit")
	s.FragmentsConsumed = s.counterVec("millrace_archived_fragments_consumed_total", "Quota points taken by calls for archived fragments (ArchivedFragmentsConsumed), by budget: metadata or media.", "budget")
}

func (s *Set) addLive() {
	s.Evicted = s.counterVec("millrace_live_evicted_total", "Fragments that left the live buffer: by age, unread (nobody read their stream, and there were newer ones), under pressure (others needed the memory), by the bound of a stream without retention, or deleted with their stream.", "reason")
	s.EvictedBytes = s.counterVec("millrace_live_evicted_bytes_total", "Memory that fragments gave back when they left the live buffer.", "reason")
}

func (s *Set) addSignaling() {
	s.SignalingConnections = s.gaugeVec("millrace_signaling_connections", "Connections to signaling channels open now, by role: master or viewer.", "role")
	s.SignalingMasters = s.gauge("millrace_signaling_channels_with_master", "Signaling channels whose master is connected now.")
	s.SignalingMessages = s.counterVec("millrace_signaling_messages_total", "Signaling messages whose life has ended, by type and by what became of them: delivered, expired (nobody came in time), replaced (by newer ones), refused (they broke a rule), limited (too many), dropped (the connection failed while they were written), forgotten (with their channel or the server).", "type", "fate")
	s.SignalingEndings = s.counterVec("millrace_signaling_endings_total", "Ended connections to signaling channels, by role and by the reason that the log has, too.", "role", "reason")
	s.SignalingWaiting = s.gauge("millrace_signaling_waiting_messages", "Signaling messages that wait for somebody to connect.")
	s.SignalingWaitingBytes = s.gauge("millrace_signaling_waiting_bytes", "Memory of signaling messages that wait for somebody to connect.")
}

// Func registers a gauge that is read when it is asked for.
func (s *Set) Func(name, help string, read func() float64) {
	add(s, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read), Metric{name, Gauge, help, nil})
}

// Info registers a gauge that is always 1 and says something in its label.
func (s *Set) Info(name, help, label, value string) {
	s.gaugeVec(name, help, label).WithLabelValues(value).Set(1)
}

// Total registers a counter that is read when it is asked for.
func (s *Set) Total(name, help string, read func() float64) {
	add(s, prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, read), Metric{name, Counter, help, nil})
}

// Handler serves the set as Prometheus text, or as OpenMetrics text, which has exemplars,
// to those who accept it.
func (s *Set) Handler() http.Handler {
	return promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// addUpkeep adds what the archive gives back.
func (s *Set) addUpkeep() {
	s.ExpiredFragments = s.counterVec("millrace_archive_expired_fragments_total", "Stored fragments that were removed. expired: their retention ended; deleted: their stream was; erased: by request; limit: beyond the limit of their stream, or the disk was full.", "reason")
	s.ExpiredBytes = s.counterVec("millrace_archive_expired_bytes_total", "Bytes of the records of stored fragments that were removed, by the same reasons.", "reason")
	s.RemovedSegments = s.counter("millrace_archive_removed_segments_total", "Segment files removed because nothing in them was kept any more.")
	s.FreedBytes = s.counter("millrace_archive_freed_bytes_total", "Bytes given back to the disk, with whole segment files or as holes in others.")
	s.ForwardedBytes = s.counter("millrace_archive_forwarded_bytes_total", "Bytes that were written to another segment because little of theirs was kept.")
	s.MovedBytes = s.counter("millrace_archive_moved_bytes_total", "Bytes of segments that were moved to the folder of the tier WARM.")
}
