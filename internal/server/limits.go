package server

import (
	"bufio"
	"context"
	"maps"
	"math"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
)

// openLimits opens the limits in force.
func (s *Server) openLimits(ctx context.Context) error {
	rows, err := s.openRows(ctx, db.Options{Path: s.data.Path("limits.db"), Durable: true, Migrations: quota.Migrations()})
	if err != nil {
		return err
	}
	s.book, err = quota.NewBook(ctx, quota.BookOptions{Profile: s.config.Profile, Region: s.config.Regions[0], Settings: limitSettings(&s.config), DB: rows, Now: s.config.Real, Metrics: s.metrics, Logger: s.log})
	return err
}

// limitSettings are the limits of the settings. One of them has a setting of its own,
// which is older than the others.
func limitSettings(c *config.Config) map[string]string {
	all := map[string]string{}
	switch d := c.GetMedia.Idle; d {
	case config.Default().GetMedia.Idle:
	case 0:
		all[quota.GetIdle.Name] = quota.None
	default:
		all[quota.GetIdle.Name] = d.String()
	}
	maps.Copy(all, c.Limits)
	return all
}

// What follows shows the limits to rooms that know no book.

func (s *Server) maxStreams(a kvs.AccountID) int { return s.book.View(a, 0).Int(quota.AccountStreams) }

func (s *Server) maxTags(a kvs.AccountID, id kvs.StreamID) int {
	return s.book.View(a, id).Int(quota.StreamTags)
}

func (s *Server) maxStrangers() int { return s.book.View("", 0).Int(quota.Strangers) }

func (s *Server) hostBuffer() (bytes int64, age time.Duration) {
	v := s.book.View("", 0)
	return v.Bytes(quota.BufferBytes), v.Duration(quota.BufferAge)
}

func (s *Server) getIdle(st kvs.Stream) time.Duration { return s.book.Duration(quota.GetIdle, st) }

// MemoryBudget is the budget in bytes that a server with the settings has on this machine.
func MemoryBudget(c config.Config) int64 {
	if c.Memory.Budget != 0 {
		return int64(c.Memory.Budget)
	}
	return max(totalMemory()/4, 128<<20)
}

// ConsumerMemory is how many bytes answers of playback may hold together on a server with the
// settings, beside the budget: one half is for players, one for clips, so that neither keeps
// the other from being served.
func ConsumerMemory(c config.Config) int64 {
	if c.Playback.Memory != 0 {
		return int64(c.Playback.Memory)
	}
	return MemoryBudget(c) / 4
}

// totalMemory is the memory in bytes that this process may have.
func totalMemory() int64 { return totalMemoryOf("/") }

// totalMemoryOf is the memory in bytes that this process may have: the machine's, or less
// if a control group (a container, a systemd unit) or GOMEMLIMIT allows less; 4 GiB where
// none can be found out. root is where the files of the system are, "/" but in tests.
func totalMemoryOf(root string) int64 {
	const unknown = 4 << 30
	least := debug.SetMemoryLimit(-1)
	for _, limit := range append(groupLimits(root), machineMemory(root)) {
		if limit > 0 {
			least = min(least, limit)
		}
	}
	if least == math.MaxInt64 {
		return unknown
	}
	return least
}

// machineMemory is MemTotal, 0 = unknown.
func machineMemory(root string) int64 {
	for _, line := range lines(filepath.Join(root, "proc/meminfo")) {
		fields := strings.Fields(line)
		if len(fields) >= 2 && fields[0] == "MemTotal:" {
			kb, _ := strconv.ParseInt(fields[1], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// groupLimits are the memory limits of the control groups the process is in, version 1
// or 2, up to the root; 0 = none. Inside a container the path in /proc may be the host's, but
// its last parent, the mount itself, is then the container's group.
func groupLimits(root string) (all []int64) {
	for _, line := range lines(filepath.Join(root, "proc/self/cgroup")) {
		// hierarchy-ID:controller-list:cgroup-path (man 7 cgroups)
		part := strings.SplitN(line, ":", 3)
		if len(part) != 3 {
			continue
		}
		var mounts []string
		file := "memory.max"
		switch {
		case part[0] == "0" && part[1] == "":
			mounts = []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"}
		case strings.Contains(","+part[1]+",", ",memory,"):
			mounts, file = []string{"sys/fs/cgroup/memory"}, "memory.limit_in_bytes"
		}
		for _, m := range mounts {
			for at := path.Clean("/" + part[2]); ; at = path.Dir(at) {
				if l := lines(filepath.Join(root, m, at, file)); len(l) > 0 {
					n, _ := strconv.ParseInt(l[0], 10, 64) // "max" is no limit
					all = append(all, n)
				}
				if at == "/" {
					break
				}
			}
		}
	}
	return all
}

// lines reads a small file, no lines if it cannot be read.
func lines(name string) (all []string) {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		all = append(all, strings.TrimSpace(sc.Text()))
	}
	return all
}

// What the process may have beside the budget before the garbage collector works harder
// than usual: for everything that does not grow, and for each goroutine, of which a
// session has two or three.
const (
	besides      = 128 << 20
	perGoroutine = 64 << 10
)

// watchMemory keeps the garbage collector's soft limit at the budget, what consumers may
// hold, and what sessions need besides, until ctx ends. Without it the collector would let a heap of media grow to
// twice its size before it looks, although media pages are used again and are no garbage.
// GOMEMLIMIT in the environment is left as it is.
func (s *Server) watchMemory(ctx context.Context) error {
	if debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return nil
	}
	defer debug.SetMemoryLimit(math.MaxInt64)
	again := time.NewTicker(5 * time.Second)
	defer again.Stop()
	for last := int64(0); ; {
		_, _, budget, _ := s.budget.Use()
		if limit := budget + ConsumerMemory(s.config) + besides + perGoroutine*int64(runtime.NumGoroutine()); limit < last || limit > last+last/64 {
			debug.SetMemoryLimit(limit)
			last = limit
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// maxChannels is the number of channels an account may have.
func (s *Server) maxChannels(a kvs.AccountID) int {
	return s.book.View(a, 0).Int(quota.AccountChannels)
}

// maxChannelTags is the number of tags a channel may have, a new one when id is 0.
func (s *Server) maxChannelTags(a kvs.AccountID, id kvs.ChannelID) int {
	return s.book.View(a, kvs.StreamID(id)).Int(quota.ChannelTags)
}

// maxStoring is the number of channels of an account that may store to streams.
func (s *Server) maxStoring(a kvs.AccountID) int {
	return s.book.View(a, 0).Int(quota.StorageChannels)
}
