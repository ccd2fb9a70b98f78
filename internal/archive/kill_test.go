package archive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/keyring/keyringtest"
	"github.com/millrace/millrace/internal/kvs"
)

// victimDir is set in the process that TestKill kills.
const victimDir = "MILLRACE_ARCHIVE_VICTIM"

// shortLived is a stream of the victim that keeps little: most of what it stores is removed
// at once, so that segments are sealed, punched, copied forward and removed all the time.
const shortLived kvs.StreamID = 5

func victimPolicy(_ context.Context, id kvs.StreamID) (Policy, error) {
	if id == shortLived {
		return Policy{Hours: 1 << 30, Bytes: 400_000}, nil
	}
	return Policy{Hours: 1 << 30}, nil
}

// beVictim stores fragments of four streams for ever and prints the number of each
// that was acknowledged; of a fifth as well, which it expires as fast as it can. Its clock
// runs an hour in 50 ms.
func beVictim() {
	keys, err := keyringtest.Open(filepath.Join(os.Getenv(victimDir), "keys"))
	if err != nil {
		fmt.Println("failed", err)
		os.Exit(1)
	}
	began := time.Now()
	a, err := Open(context.Background(), Options{
		Dir: os.Getenv(victimDir), SegmentBytes: 1 << 20, Keys: keys, Policy: victimPolicy,
		Now: func() time.Time { return began.Add(time.Since(began) * 72_000) },
	})
	if err != nil {
		fmt.Println("failed", err)
		os.Exit(1)
	}
	go func() { _ = a.Run(context.Background()) }()
	go func() {
		for {
			if err := a.Expire(context.Background()); err != nil {
				fmt.Println("failed", err)
				os.Exit(1)
			}
		}
	}()
	for id := kvs.StreamID(1); id <= shortLived; id++ {
		newest, _, err := a.Newest(context.Background(), id, 0)
		if err != nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
		go func() {
			for n := newest.Number.N + 1; ; n++ {
				stored := make(chan error)
				a.Append(sealed(a, victimRecord(id, n)), func(err error) { stored <- err })
				if err := <-stored; err != nil {
					fmt.Println("failed", err)
					os.Exit(1)
				}
				if id != shortLived {
					fmt.Println(id, n)
				}
			}
		}()
	}
	select {}
}

func victimRecord(id kvs.StreamID, n int64) Record {
	if id == shortLived {
		return sample(id, n, 200_000)
	}
	return sample(id, n, int(n*7919%90_000))
}

// TestKill kills a process that appends, seals, expires, punches and copies forward, again
// and again on the same directory. It proves recovery, not syncing: the system's cache
// survives the process. What a power failure leaves is the matter of package crashtest.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	acked := map[kvs.StreamID]int64{}
	for round := range 5 {
		killAfter(t, dir, 30+20*round, acked)
		keys, err := keyringtest.Open(filepath.Join(dir, "keys")) // the victim added some
		if err != nil {
			t.Fatal(err)
		}
		a, err := Open(t.Context(), Options{Dir: dir, Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		for id, last := range acked {
			newest, _, err := a.Newest(context.Background(), id, 0)
			if err != nil || newest.Number.N < last {
				t.Fatalf("round %d: stream %d ends at %d, error %v; %d was acknowledged", round, id, newest.Number.N, err, last)
			}
			var want []Record
			for n := int64(1); n <= newest.Number.N; n++ {
				want = append(want, victimRecord(id, n))
			}
			wantStored(t, a, id, want...)
		}
		if err := errors.Join(a.Close(), keys.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// killAfter runs a victim until it has acknowledged so many fragments and notes the
// last of each stream.
func killAfter(t *testing.T, dir string, acks int, acked map[kvs.StreamID]int64) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for i := 0; lines.Scan(); i++ {
		if i == acks {
			_ = cmd.Process.Kill()
		}
		id, n, ok := strings.Cut(lines.Text(), " ")
		stream, err := strconv.Atoi(id)
		number, err2 := strconv.ParseInt(n, 10, 64)
		if !ok || err != nil || err2 != nil {
			if i > acks {
				break // cut off by the kill
			}
			t.Fatalf("the process said %q", lines.Text())
		}
		acked[kvs.StreamID(stream)] = number
	}
	_ = cmd.Wait() // killed
}
