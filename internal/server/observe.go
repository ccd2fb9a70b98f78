package server

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/backup"
	"github.com/millrace/millrace/internal/live"
	"github.com/millrace/millrace/internal/metrics"
)

// observer turns what the archive does into measurements.
type observer struct {
	m       *metrics.Set
	appends *appends
}

func (o observer) Synced(fragments int, bytes int64, took, _ time.Duration) {
	o.appends.stored()
	o.m.SyncSeconds.Observe(took.Seconds())
	o.m.ArchiveFragments.Add(float64(fragments))
	o.m.ArchiveBytes.Add(float64(bytes))
}

func (o observer) Failed(fragments int) {
	o.appends.failure(time.Now())
	o.m.ArchiveFailures.Add(float64(fragments))
}

func (o observer) Removed(why string, fragments, bytes int64) {
	o.m.ExpiredFragments.WithLabelValues(why).Add(float64(fragments))
	o.m.ExpiredBytes.WithLabelValues(why).Add(float64(bytes))
}

func (o observer) Freed(files int, bytes int64) {
	o.m.RemovedSegments.Add(float64(files))
	o.m.FreedBytes.Add(float64(bytes))
}

func (o observer) Forwarded(bytes int64) { o.m.ForwardedBytes.Add(float64(bytes)) }

func (o observer) Moved(bytes int64) { o.m.MovedBytes.Add(float64(bytes)) }

func (o observer) Damaged() { o.m.DamagedRecords.Inc() }

// scrubObserver turns what the scrub does into measurements.
type scrubObserver struct{ m *metrics.Set }

func (o scrubObserver) Scrubbed(bytes int64) { o.m.ScrubBytes.Add(float64(bytes)) }
func (o scrubObserver) Damaged()             { o.m.DamagedRecords.Inc() }
func (o scrubObserver) Round(took time.Duration, damaged int) {
	o.m.ScrubSeconds.Set(took.Seconds())
	o.m.ScrubDamaged.Set(float64(damaged))
}

// evicted measures what leaves the live buffer.
func (s *Server) evicted(why live.Reason, bytes int64) {
	s.metrics.Evicted.WithLabelValues(string(why)).Inc()
	s.metrics.EvictedBytes.WithLabelValues(string(why)).Add(float64(bytes))
}

// one is the value of a gauge that says yes.
func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

//go:generate go test -run ^TestMetricsPage$ -update .

// measure registers what is read when it is asked for.
func (s *Server) measure() {
	s.measureHost()
	s.turn.Measure(s.metrics)
	s.measureArchive()
	s.measureKept()
	s.measureSegments()
	s.metrics.Func("millrace_reload_failed", "1 when the last reload of the settings failed and those before stayed in force.", func() float64 {
		return one(s.reloadFailed.Load())
	})
	s.metrics.Func("millrace_certificate_expires_seconds", "When the TLS certificate ends, in seconds since 1970; 0 without one.", func() float64 {
		if s.certs == nil {
			return 0
		}
		return float64(s.certs.Expires().Unix())
	})
	s.metrics.Func("millrace_memory_used_bytes", "Memory that media take now, of the budget.", func() float64 {
		used, _, _, _ := s.budget.Use()
		return float64(used)
	})
	s.metrics.Func("millrace_memory_peak_bytes", "The most memory that media ever took since the start.", func() float64 {
		_, peak, _, _ := s.budget.Use()
		return float64(peak)
	})
	s.metrics.Func("millrace_memory_budget_bytes", "Memory that media may take.", func() float64 {
		_, _, limit, _ := s.budget.Use()
		return float64(limit)
	})
	s.metrics.Func("millrace_memory_waiting", "Producers that wait for memory.", func() float64 {
		_, _, _, waiting := s.budget.Use()
		return float64(waiting)
	})
	s.metrics.Func("millrace_memory_oldest_wait_seconds", "How long the producer has waited that waits for memory for the longest time.", func() float64 {
		return s.budget.Figures().Oldest.Seconds()
	})
	s.metrics.Total("millrace_memory_waits_total", "Times a producer had to wait for memory.", func() float64 {
		return float64(s.budget.Figures().Waits)
	})
	s.metrics.Total("millrace_memory_wait_seconds_total", "Time that producers waited for memory, all of them together.", func() float64 {
		return s.budget.Figures().Waited.Seconds()
	})
	s.metrics.Func("millrace_live_streams", "Streams with live fragments, readers or writers.", func() float64 { return float64(s.live.Streams()) })
	s.metrics.Func("millrace_backup_last_success_timestamp_seconds", "The moment that the last backup of this data directory is of; 0 = there is none.", func() float64 {
		last, err := backup.Last(s.data.Root)
		if err != nil {
			return 0
		}
		return float64(last.Time.UnixMilli()) / 1000
	})
}

// measureSegments registers what was cut for players, and what is kept of it.
func (s *Server) measureSegments() {
	s.metrics.Total("millrace_playback_segments_total", "Segments that players asked for.", func() float64 { return float64(s.cutter.Stats().Asked) })
	s.metrics.Total("millrace_playback_cuts_total", "Segments that were cut because they were not in the cache. Those who ask for one that is being cut wait for it.", func() float64 {
		return float64(s.cutter.Stats().Cuts)
	})
	s.metrics.Total("millrace_playback_cut_failures_total", "Segments that could not be cut.", func() float64 { return float64(s.cutter.Stats().Failed) })
	s.metrics.Func("millrace_playback_cache_segments", "Segments that are kept for further viewers.", func() float64 { return float64(s.cutter.Stats().Kept) })
	s.metrics.Func("millrace_playback_cache_bytes", "Memory that they take, of playback.cache.", func() float64 { return float64(s.cutter.Stats().Bytes) })
	s.metrics.Func("millrace_playback_sending_segments", "Segments that are being sent to one player or more.", func() float64 { return float64(s.cutter.Stats().Lent) })
	s.measureConsumers("playback", "segments and long lists that are being sent to players", s.players)
	s.measureConsumers("clips", "clips that are laid out or sent", s.clips)
}

// measureConsumers registers what the answers of one kind hold.
func (s *Server) measureConsumers(name, what string, m *api.Memory) {
	s.metrics.Func("millrace_"+name+"_memory_bytes", "Memory of "+what+".", func() float64 {
		used, _, _ := m.Use()
		return float64(used)
	})
	s.metrics.Func("millrace_"+name+"_memory_limit_bytes", "The most that they may have: half of playback.memory.", func() float64 {
		_, limit, _ := m.Use()
		return float64(limit)
	})
	s.metrics.Total("millrace_"+name+"_memory_refused_total", "Answers with status 503 because that was taken, for 5 s on end.", func() float64 {
		_, _, refused := m.Use()
		return float64(refused)
	})
}

// measureArchive registers how the archive gets on with its disk.
func (s *Server) measureArchive() {
	s.metrics.Func("millrace_archive_queue", "Fragments that wait to be made durable.", func() float64 {
		st, err := s.archive.Stats(context.Background())
		if err != nil {
			return -1
		}
		return float64(st.Queued)
	})
	s.metrics.Func("millrace_archive_oldest_wait_seconds", "How long the fragment has waited that waits for the disk for the longest time.", func() float64 {
		st, err := s.archive.Stats(context.Background())
		if err != nil {
			return -1
		}
		return st.OldestWait.Seconds()
	})
	s.metrics.Func("millrace_archive_read_only", "1 while nothing is stored because the disk fails.", func() float64 {
		return one(s.archive.Health().ReadOnly != "")
	})
	s.metrics.Func("millrace_archive_disk_full", "1 from the moment the disk was full until the reserve is made again.", func() float64 {
		return one(s.archive.Health().Full)
	})
	s.metrics.Func("millrace_archive_warm_full", "1 while segments of the tier WARM stay in the data directory, because archive.warm_dir has no room.", func() float64 {
		return one(s.archive.Health().WarmFull)
	})
	s.metrics.Func("millrace_archive_free_disk_short_bytes", "By how much less is free than archive.free_disk asks for, when all that may be removed would not be enough and so nothing is; else 0.", func() float64 {
		return float64(s.archive.Health().Short)
	})
}

// measureKept registers what is kept longer than streams say.
func (s *Server) measureKept() {
	s.metrics.Func("millrace_holds", "Holds that there are: what they cover is kept, whatever the retention and the limits.", func() float64 {
		n, err := s.catalog.CountHolds(context.Background())
		if err != nil {
			return -1
		}
		return float64(n)
	})
}

// measureHost registers what is known of the program and of the machine.
func (s *Server) measureHost() {
	s.metrics.Info("millrace_build_info", "1, with the version of the program.", "version", version())
	s.metrics.Func("millrace_ready", "1 when /readyz answers 200.", func() float64 {
		_, ready := s.ready(context.Background())
		return one(ready)
	})
	s.metrics.Func("millrace_disk_free_bytes", "Room that is left on the disk of the data directory.", func() float64 {
		free, _, _ := room(s.data.Root)
		return float64(free)
	})
	s.metrics.Func("millrace_warm_disk_free_bytes", "Room that is left on the disk of archive.warm_dir; 0 without one.", func() float64 {
		return s.warmDisk(func(free, _ uint64) uint64 { return free })
	})
	s.metrics.Func("millrace_warm_disk_size_bytes", "Size of the disk of archive.warm_dir; 0 without one.", func() float64 {
		return s.warmDisk(func(_, size uint64) uint64 { return size })
	})
	s.metrics.Func("millrace_disk_size_bytes", "Size of the disk of the data directory.", func() float64 {
		_, size, _ := room(s.data.Root)
		return float64(size)
	})
}

// warmDisk returns a figure of the disk of the warm folder.
func (s *Server) warmDisk(which func(free, size uint64) uint64) float64 {
	if s.config.Archive.WarmDir == "" {
		return 0
	}
	free, size, _ := room(s.config.Archive.WarmDir)
	return float64(which(free, size))
}
