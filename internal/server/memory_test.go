package server

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/quota"
)

// The least of what the machine, the control groups and GOMEMLIMIT allow is what there
// is.
func TestTotalMemory(t *testing.T) {
	const meminfo = "MemTotal:        8388608 kB\nMemFree: 1 kB\n"
	const one, two = "4:memory:/unit/millrace\n0::/\n", "0::/unit/millrace\n"
	for name, test := range map[string]struct {
		files map[string]string
		limit int64 // GOMEMLIMIT
		want  int64
	}{
		"nothing known":            {want: 4 << 30},
		"the machine":              {files: map[string]string{"proc/meminfo": meminfo}, want: 8 << 30},
		"no numbers":               {files: map[string]string{"proc/meminfo": "MemTotal: much kB\n", "proc/self/cgroup": "what\n"}, want: 4 << 30},
		"GOMEMLIMIT":               {files: map[string]string{"proc/meminfo": meminfo}, limit: 1 << 30, want: 1 << 30},
		"a container, version 2":   {files: map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "536870912\n"}, want: 512 << 20},
		"a unit, version 2":        {files: map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": two, "sys/fs/cgroup/unit/millrace/memory.max": "max\n", "sys/fs/cgroup/unit/memory.max": "1073741824\n"}, want: 1 << 30},
		"no limit, version 2":      {files: map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": two, "sys/fs/cgroup/unit/millrace/memory.max": "max\n"}, want: 8 << 30},
		"mounted beside version 1": {files: map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": two, "sys/fs/cgroup/unified/unit/memory.max": "1073741824\n"}, want: 1 << 30},
		"a unit, version 1":        {files: map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": one, "sys/fs/cgroup/memory/unit/millrace/memory.limit_in_bytes": "1073741824\n"}, want: 1 << 30},
		"a container, version 1":   {files: map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": one, "sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n"}, want: 1 << 30},
		"no limit, version 1":      {files: map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": one, "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, want: 8 << 30},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, text := range test.files {
				at := filepath.Join(root, file)
				if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if test.limit == 0 {
				test.limit = math.MaxInt64
			}
			before := debug.SetMemoryLimit(test.limit)
			defer debug.SetMemoryLimit(before)
			if got := totalMemoryOf(root); got != test.want {
				t.Errorf("%d, want %d", got, test.want)
			}
		})
	}
}

// The collector's limit follows the budget, and is left alone when somebody set it.
func TestTheCollectorKnowsTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := debug.SetMemoryLimit(math.MaxInt64)
		defer debug.SetMemoryLimit(before)
		s := &Server{budget: quota.NewBudget(1<<30, 1)}
		run := func() (stop func()) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- s.watchMemory(ctx) }()
			time.Sleep(6 * time.Second)
			return func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		}
		stop := run()
		if got := debug.SetMemoryLimit(-1); got < 1<<30+besides || got > 1<<30+besides+10_000*perGoroutine {
			t.Errorf("limit %d", got)
		}
		stop()
		if got := debug.SetMemoryLimit(-1); got != math.MaxInt64 {
			t.Errorf("limit %d afterwards", got)
		}
		debug.SetMemoryLimit(5 << 30)
		stop = run()
		defer stop()
		if got := debug.SetMemoryLimit(-1); got != 5<<30 {
			t.Errorf("limit %d, although it was set to another", got)
		}
	})
}
