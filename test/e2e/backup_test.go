package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/producer"
)

// filmer sends to a stream of its own, over and over, with the producer package, and
// remembers what was acknowledged as PERSISTED.
type filmer struct {
	stream string
	random *rand.Rand
	next   int64 // timecode of the next cluster, in seconds

	mu      sync.Mutex
	sent    map[int64][32]byte  // by timecode in milliseconds: the cluster's hash
	durable map[string][32]byte // by fragment number
	count   *atomic.Int64       // durable fragments of all filmers
}

func newFilmer(stream string, seed uint64, count *atomic.Int64) *filmer {
	return &filmer{stream: stream, random: rand.New(rand.NewPCG(5, seed)), sent: map[int64][32]byte{}, durable: map[string][32]byte{}, count: count}
}

// film sends until the context or the server ends, at most so many fragments.
func (f *filmer) film(ctx context.Context, c *client.Client, most int) {
	s, err := producer.Open(ctx, producer.Config{Endpoint: c.Endpoint, Region: c.Region, Credentials: c.Credentials, HTTP: c.HTTP,
		Stream: f.stream, Start: began, OnAck: f.heed})
	if err != nil {
		return // the server is not there yet, or is gone again
	}
	_, err = s.Write(head())
	for range most {
		if err != nil || ctx.Err() != nil {
			break
		}
		b := cluster(f.next*1000, 5, 1+f.random.IntN(6000), f.random.Uint64())
		f.mu.Lock()
		f.sent[f.next*1000] = sha256.Sum256(b)
		f.mu.Unlock()
		f.next++
		_, err = s.Write(b)
		pause(10 * time.Millisecond) // many small sessions, not a few that fill the disk
	}
	_ = s.Close()
}

func (f *filmer) heed(a producer.Ack) {
	if a.Type != producer.Persisted {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.durable[a.Number] = f.sent[a.Timecode]
	f.count.Add(1)
}

// known returns what was durable up to now.
func (f *filmer) known() map[string][32]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.durable)
}

// set is a number of filmers, and streams that come and go.
type set struct {
	filmers []*filmer
	count   atomic.Int64
	gone    atomic.Int64 // streams that were deleted with their media
	stop    func()
}

// start lets all of them film, each session for a while, until stop.
func (f *set) start(t *testing.T, s *server) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	c := s.client(t)
	for _, one := range f.filmers {
		wg.Go(func() {
			for ctx.Err() == nil {
				one.film(ctx, c, 60)
			}
		})
	}
	wg.Go(func() { f.churn(ctx, c) })
	f.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(f.stop)
}

// churn makes streams, films into them, and deletes them: their media expire at once,
// and segments that held nothing else go with them.
func (f *set) churn(ctx context.Context, c *client.Client) {
	for ctx.Err() == nil {
		name := fmt.Sprintf("passing-%d", f.gone.Load())
		in := &wire.CreateStreamInput{StreamName: &name, DataRetentionInHours: new(int64(240))} // segments of their own
		var out wire.CreateStreamOutput
		if err := c.Call(ctx, wire.ByName("CreateStream"), in, &out); err != nil {
			continue
		}
		newFilmer(name, 99, new(atomic.Int64)).film(ctx, c, 40)
		if err := c.Call(ctx, wire.ByName("DeleteStream"), &wire.DeleteStreamInput{StreamARN: out.StreamARN}, nil); err == nil {
			f.gone.Add(1)
		}
	}
}

// more waits until so many more fragments are durable.
func (f *set) more(t *testing.T, n int64) {
	t.Helper()
	want := f.count.Load() + n
	eventually(t, "fragments become durable", func() error {
		if got := f.count.Load(); got < want {
			return fmt.Errorf("%d are durable, want %d", got, want)
		}
		return nil
	})
}

// taken is a backup and what was durable before it began, by stream.
type taken struct {
	id      string
	durable map[string]map[string][32]byte
}

// backup runs the command beside the server.
func (f *set) backup(t *testing.T, s *server, dir string) taken {
	t.Helper()
	before := map[string]map[string][32]byte{}
	for _, one := range f.filmers {
		before[one.stream] = one.known()
	}
	var report struct {
		ID       string
		Warnings []string
		Shared   int
		Segments int
	}
	out := run(t, environment(), program(t), "backup", dir, "--data", s.data, "--json", "--keep", "0")
	if err := json.Unmarshal([]byte(out), &report); err != nil || len(report.Warnings) > 0 {
		t.Fatalf("backup: %v, %s", err, out)
	}
	t.Logf("backup %s: %d of %d segments shared", report.ID, report.Shared, report.Segments)
	return taken{report.ID, before}
}

// Backups are made while twelve producers send, streams are deleted, a backup is killed,
// and the server is: each restores into a directory that the server opens, with whatever
// was acknowledged before, byte for byte, and nothing that cannot be read.
func TestBackupUnderLoad(t *testing.T) {
	config := temporary(t, "millrace.yml")
	text := "account: \"" + account + "\"\narchive:\n  segment_bytes: 1MiB\n  expire_every: 200ms\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveWith(t, config)
	f := &set{}
	for i := range 12 {
		f.filmers = append(f.filmers, newFilmer(fmt.Sprintf("camera-%02d", i), uint64(i), &f.count))
		s.createKept(t, f.filmers[i].stream, 24)
	}
	f.start(t, s)
	dir := temporary(t, "backups")
	f.more(t, 500)
	all := []taken{f.backup(t, s, dir)}
	f.more(t, 500)
	s.check(t, "--deep") // beside all that
	killBackup(t, s, dir)
	all = append(all, f.backup(t, s, dir))
	f.more(t, 500)
	s.kill()
	f.stop()
	all = append(all, f.backup(t, s, dir)) // of a directory whose server crashed
	s = s.again(t)
	f.start(t, s)
	f.more(t, 500)
	all = append(all, f.backup(t, s, dir))
	f.stop()
	if f.gone.Load() == 0 {
		t.Error("no stream was deleted meanwhile")
	}
	run(t, environment(), program(t), "backup", "verify", dir)
	key := temporary(t, "key")
	run(t, environment(), program(t), "key-file", "export", key, "--data", s.data)
	for _, b := range all {
		data := temporary(t, "restored")
		run(t, environment(), program(t), "restore", dir, "--backup", b.id, "--data", data, "--key-file", key)
		r := newServer(t, "--config", config, "--data", data)
		r.key, r.secret, r.account = s.key, s.secret, s.account
		r.start(t)
		checked := 0
		for _, one := range f.filmers {
			checked += one.compare(t, s, r, b)
		}
		r.passing(t)
		t.Logf("backup %s: %d fragments acknowledged before are there", b.id, checked)
		r.stop(t)
		r.check(t, "--deep")
	}
}

// killBackup starts a backup and kills it in the middle of its work.
func killBackup(t *testing.T, s *server, dir string) {
	t.Helper()
	for i := range 5 {
		c := exec.CommandContext(t.Context(), program(t), "backup", dir, "--data", s.data, "--keep", "0", "--rate", "1MB")
		c.Env = environment()
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		pause(time.Duration(i*40) * time.Millisecond)
		_ = c.Process.Kill()
		_ = c.Wait() // killed
	}
	run(t, environment(), program(t), "backup", "verify", dir)
}

// listing is all fragments of a stream in order.
func (s *server) listing(t *testing.T, stream string) []wire.Fragment {
	t.Helper()
	return s.listingUntil(t, stream, kvs.MillisOf(time.Now().Add(time.Hour)))
}

// listingUntil is all fragments of a stream up to a time, in order.
func (s *server) listingUntil(t *testing.T, stream string, end kvs.Millis) (all []wire.Fragment) {
	t.Helper()
	start := kvs.Millis(0)
	in := &wire.ListFragmentsInput{StreamName: &stream, MaxResults: new(int64(1000)), FragmentSelector: &wire.FragmentSelector{
		FragmentSelectorType: new("SERVER_TIMESTAMP"), TimestampRange: &wire.TimestampRange{StartTimestamp: &start, EndTimestamp: &end}}}
	for in != nil {
		var out wire.ListFragmentsOutput
		if err := s.client(t).Call(t.Context(), wire.ByName("ListFragments"), in, &out); err != nil {
			t.Fatal(err)
		}
		all = append(all, out.Fragments...)
		in = nil
		if out.NextToken != nil {
			in = &wire.ListFragmentsInput{StreamName: &stream, MaxResults: new(int64(1000)), NextToken: out.NextToken}
		}
	}
	return all
}

// told is what a list says of a fragment.
func told(f wire.Fragment) string {
	return fmt.Sprint(*f.FragmentNumber, *f.FragmentSizeInBytes, *f.FragmentLengthInMilliseconds, *f.ProducerTimestamp, *f.ServerTimestamp)
}

// compare compares a stream of a restored server with the source and with what was sent.
func (f *filmer) compare(t *testing.T, source, restored *server, b taken) int {
	t.Helper()
	got, want := restored.listing(t, f.stream), source.listing(t, f.stream)
	for i := range got {
		if i >= len(want) || told(got[i]) != told(want[i]) {
			t.Errorf("%s of backup %s: fragment %d is %s, not as the source lists it", f.stream, b.id, i, told(got[i]))
			break
		}
	}
	listed := map[string]bool{}
	for _, one := range got {
		listed[*one.FragmentNumber] = true
	}
	for n := range b.durable[f.stream] {
		if !listed[n] {
			t.Errorf("%s: fragment %s was PERSISTED before backup %s and is not in it", f.stream, n, b.id)
		}
	}
	restored.read(t, f.stream, slices.Sorted(maps.Keys(listed)), func(k *chunk) error {
		hash := sha256.Sum256(k.cluster)
		if before, acknowledged := b.durable[f.stream][k.number]; hash != f.sent[int64(k.timecode)] || acknowledged && hash != before {
			return errors.New("is not what was sent")
		}
		return nil
	})
	return len(b.durable[f.stream])
}

// read reads fragments of a stream, all of which must be there.
func (s *server) read(t *testing.T, stream string, numbers []string, check func(*chunk) error) {
	t.Helper()
	for part := range slices.Chunk(numbers, 1000) {
		resp, err := s.client(t).Stream(t.Context(), wire.ByName("GetMediaForFragmentList"),
			&wire.GetMediaForFragmentListInput{StreamName: &stream, Fragments: part})
		if err != nil {
			t.Fatal(err)
		}
		chunks := newChunks(resp.Body)
		for _, n := range part {
			k, err := chunks.next()
			if err == nil && k.number != n {
				err = fmt.Errorf("came as %s", k.number)
			}
			if err == nil {
				err = check(k)
			}
			if err != nil {
				t.Fatalf("%s: fragment %s: %v", stream, n, err)
			}
		}
		resp.Body.Close()
	}
}

// passing reads all that is listed of the streams that were deleted on the source: they
// may be there whole, in part, or not at all.
func (s *server) passing(t *testing.T) {
	t.Helper()
	var out wire.ListStreamsOutput
	if err := s.client(t).Call(t.Context(), wire.ByName("ListStreams"), &wire.ListStreamsInput{MaxResults: new(int64(1000))}, &out); err != nil {
		t.Fatal(err)
	}
	for _, stream := range out.StreamInfoList {
		if !strings.HasPrefix(*stream.StreamName, "passing-") {
			continue
		}
		var numbers []string
		for _, one := range s.listing(t, *stream.StreamName) {
			numbers = append(numbers, *one.FragmentNumber)
		}
		s.read(t, *stream.StreamName, slices.Sorted(slices.Values(numbers)), func(*chunk) error { return nil })
	}
}

// The guide's restore drill, with what a stranger sees on the way.
func TestBackupCommands(t *testing.T) {
	s := serve(t)
	s.createKept(t, "garden", 24)
	data := []string{"--data", s.data}
	dir, key, target := temporary(t, "backups"), temporary(t, "key"), temporary(t, "restored")
	do := func(wantErr bool, args ...string) string {
		t.Helper()
		out, errs, err := try(t, environment(), nil, program(t), args...)
		if (err != nil) != wantErr {
			t.Fatalf("%v: %v\n%s%s", args, err, out, errs)
		}
		return out + errs
	}
	says := func(text, want string) {
		t.Helper()
		if !strings.Contains(text, want) {
			t.Errorf("it says\n%s\nand not %q", text, want)
		}
	}
	says(s.out.text(), "key-file export")
	says(do(false, append([]string{"backup", dir}, data...)...), "key-file export")
	says(do(false, append([]string{"key-file", "export", key}, data...)...), "every secret")
	says(do(true, append([]string{"key-file", "export", key}, data...)...), "not replaced")
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy of the key file: %v, %v", info, err)
	}
	if err := os.Chmod(key, 0o644); err != nil { // as on a stick
		t.Fatal(err)
	}
	checked := do(false, append([]string{"key-file", "check", key}, data...)...)
	says(checked, "is the key file")
	says(checked, "warning: key file "+key+" has mode 0644")
	text := do(false, append([]string{"key-file", "export", "-"}, data...)...)
	if b, err := os.ReadFile(key); err != nil || string(b) != text {
		t.Errorf("what goes to standard output differs: %v", err)
	}
	says(do(false, "backup", "list", dir), "not inside")
	says(do(false, "backup", "verify", dir), "1 backup, ")
	says(do(true, "restore", dir, "--data", s.data), "not empty")
	says(do(false, "restore", dir, "--data", temporary(t, "drill"), "--key-file", key), "warning: key file "+key)
	says(do(false, "restore", dir, "--data", target), "THE KEY FILE IS MISSING")
	r := newServer(t, "--data", target)
	out, errs, err := try(t, environment(), nil, program(t), "serve", "--data", target, "--http", "127.0.0.1:0", "--https", "")
	if err == nil {
		t.Error("a server without its key file started")
	}
	says(out+errs, "put back the copy that millrace key-file export made")
	text2, err := os.ReadFile(key)
	if err == nil {
		err = os.WriteFile(filepath.Join(target, "key-file"), text2, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.key, r.secret, r.account = s.key, s.secret, s.account
	r.start(t)
	if len(r.listing(t, "garden")) != 0 {
		t.Error("fragments came out of nothing")
	}
}

// A server whose clock runs six hundred times as fast keeps an hour, six seconds of ours.
// Backups of it have what was acknowledged before and has not expired when they end;
// restored, all that is listed can be read.
func TestBackupWhileMediaExpire(t *testing.T) {
	config := temporary(t, "millrace.yml")
	if err := os.WriteFile(config, []byte("archive:\n  segment_bytes: 1MiB\n  expire_every: 1s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	development := func(data, clock string) *server {
		return newServer(t, "--dev", "--no-demo", "--config", config, "--data", data, "--clock", clock)
	}
	s := development(temporary(t, "data"), "2030-01-01T00:00:00Z@600")
	s.start(t)
	f := &set{}
	for i := range 10 {
		f.filmers = append(f.filmers, newFilmer(fmt.Sprintf("camera-%02d", i), uint64(100+i), &f.count))
		s.createKept(t, f.filmers[i].stream, 1)
	}
	f.start(t, s)
	dir := temporary(t, "backups")
	type moment struct {
		taken
		after kvs.Millis // the server's clock, when the backup was over
	}
	var all []moment
	var expired int
	for range 3 {
		f.more(t, 2000)
		b := f.backup(t, s, dir)
		f.more(t, 200)
		all = append(all, moment{b, f.newest(t)})
	}
	f.stop()
	for _, b := range all {
		run(t, environment(), program(t), "backup", "verify", dir, "--backup", b.id)
		data := temporary(t, "restored")
		run(t, environment(), program(t), "restore", dir, "--backup", b.id, "--data", data, "--key-file", filepath.Join(s.data, "key-file"))
		r := development(data, b.after.Time().UTC().Format(time.RFC3339)+"@1")
		r.start(t)
		for _, one := range f.filmers {
			expired += one.rest(t, r, b.taken, b.after-kvs.Millis(time.Hour.Milliseconds()))
		}
		r.stop(t)
	}
	if expired == 0 {
		t.Error("nothing expired before the last backup was over")
	}
	t.Logf("%d fragments were acknowledged and had expired", expired)
}

// newest is the latest server timestamp that any filmer heard of.
func (f *set) newest(t *testing.T) (latest kvs.Millis) {
	t.Helper()
	for _, one := range f.filmers {
		for n := range one.known() {
			number, ok := kvs.ParseFragmentNumber(n)
			if !ok {
				t.Fatalf("fragment number %s", n)
			}
			latest = max(latest, number.Server)
		}
	}
	return latest
}

// rest reads what a restored server lists, and wants all that was acknowledged before the
// backup and is not older than the horizon. It returns how much is older.
func (f *filmer) rest(t *testing.T, r *server, b taken, horizon kvs.Millis) (older int) {
	t.Helper()
	listed := map[string]bool{}
	for _, one := range r.listingUntil(t, f.stream, horizon+2*kvs.Millis(time.Hour.Milliseconds())) {
		listed[*one.FragmentNumber] = true
	}
	for n := range b.durable[f.stream] {
		number, _ := kvs.ParseFragmentNumber(n)
		if number.Server < horizon {
			older++
		} else if !listed[n] && number.Server > horizon+2000 { // its clock went on since it started
			t.Errorf("%s: fragment %s was PERSISTED before backup %s, is not expired, and is not in it", f.stream, n, b.id)
		}
	}
	lasting := func(n string) bool { number, _ := kvs.ParseFragmentNumber(n); return number.Server < horizon+60_000 }
	numbers := slices.DeleteFunc(slices.Sorted(maps.Keys(listed)), lasting) // those may expire while they are read
	r.read(t, f.stream, numbers, func(k *chunk) error {
		if sha256.Sum256(k.cluster) != f.sent[int64(k.timecode)] {
			return errors.New("is not what was sent")
		}
		return nil
	})
	return older
}
