package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/disk/disktest"
)

// words is a journal of words of eight letters.
var words = Format{Magic: "MLRCTST\n", Size: 12}

const path = "/d/words"

func word(n int) []byte { return fmt.Appendf(nil, "w%07d", n) }

// open opens the journal and returns what it holds.
func open(d disk.FS) (*Journal, []string, error) {
	var found []string
	j, err := Open(d, path, words, func(at int64, b []byte) error {
		if at != headSize+int64(len(found)*words.Size) {
			return fmt.Errorf("entry %d stands at %d", len(found), at)
		}
		found = append(found, string(b))
		return nil
	})
	return j, found, err
}

// reopen expects that the journal holds these words.
func reopen(t *testing.T, d disk.FS, want ...int) *Journal {
	t.Helper()
	j, found, err := open(d)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, n := range want {
		words = append(words, string(word(n)))
	}
	if !slices.Equal(found, words) {
		t.Fatalf("found %q, want %q", found, words)
	}
	return j
}

func ok(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// these yields some words.
func these(numbers ...int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for _, n := range numbers {
			if !yield(word(n)) {
				return
			}
		}
	}
}

func TestJournal(t *testing.T) {
	d := disktest.NewCrash("/d")
	j := reopen(t, d)
	ok(t, j.Append(word(1)), j.Append(), j.Append(word(2), word(3)))
	if want := int64(headSize + 3*words.Size); j.End() != want || j.Torn() != 0 {
		t.Errorf("end %d, want %d, torn %d", j.End(), want, j.Torn())
	}
	salt := j.Salt()
	ok(t, j.Close(), j.Close())
	j = reopen(t, d, 1, 2, 3)
	if j.Salt() != salt {
		t.Error("another salt without a rewrite")
	}
	ok(t, j.Append(word(4)), j.Rewrite(these(2, 4)), j.Append(word(5)))
	if j.Salt() == salt {
		t.Error("the same salt after a rewrite")
	}
	ok(t, j.Close())
	ok(t, reopen(t, d, 2, 4, 5).Close())
	if d.Handles() != 0 {
		t.Errorf("%d files are open", d.Handles())
	}
}

// Many entries take several reads and several writes.
func TestManyEntries(t *testing.T) {
	d := disktest.NewCrash("/d")
	var all []int
	for n := range 9_000 {
		all = append(all, n)
	}
	j := reopen(t, d)
	ok(t, j.Rewrite(these(all...)), j.Append(word(9_000)), j.Close())
	ok(t, reopen(t, d, append(all, 9_000)...).Close())
}

func change(t *testing.T, d disk.FS, do func(f disk.File, size int64) error) {
	t.Helper()
	f, err := d.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	size, err := f.Size()
	ok(t, err, do(f, size), f.Close())
}

// What is torn at the end goes, for good: also when an intact entry stands behind it.
func TestTornTail(t *testing.T) {
	entry := int64(words.Size)
	for cut := int64(0); cut <= 2*entry; cut++ {
		d := disktest.NewCrash("/d")
		j := reopen(t, d)
		ok(t, j.Append(word(1)), j.Append(word(2), word(3)), j.Close())
		change(t, d, func(f disk.File, size int64) error { return f.Truncate(size - cut) })
		left := []int{1, 2, 3}[:3-(cut+entry-1)/entry]
		j = reopen(t, d, left...)
		if torn := (entry - cut%entry) % entry; j.Torn() != torn {
			t.Errorf("cut %d: torn %d, want %d", cut, j.Torn(), torn)
		}
		ok(t, j.Append(word(9)), j.Close())
		ok(t, reopen(t, d, append(left, 9)...).Close())
	}
}

// A damaged entry costs itself and none behind it.
func TestDamagedEntry(t *testing.T) {
	for at := int64(headSize); at < int64(headSize+3*words.Size); at++ {
		d := disktest.NewCrash("/d")
		j := reopen(t, d)
		ok(t, j.Append(word(0)), j.Append(word(1)), j.Append(word(2)), j.Close())
		change(t, d, func(f disk.File, _ int64) error {
			b := make([]byte, 1)
			_, err := f.ReadAt(b, at)
			return errors.Join(err, f.Write([][]byte{{b[0] ^ 0x10}}, at))
		})
		n := int(at-headSize) / words.Size
		left := slices.Delete([]int{0, 1, 2}, n, n+1)
		j = reopen(t, d, left...)
		if j.Torn() != int64(words.Size) {
			t.Errorf("byte %d: torn %d", at, j.Torn())
		}
		ok(t, j.Append(word(9)), j.Close())
		j = reopen(t, d, append(left, 9)...)
		if j.Torn() != 0 {
			t.Error("mended, but torn again")
		}
		ok(t, j.Close())
	}
}

// A file that does not begin like this journal is not touched.
func TestOtherFiles(t *testing.T) {
	for name, do := range map[string]func(f disk.File, size int64) error{
		"damaged head": func(f disk.File, _ int64) error { return f.Write([][]byte{{1}}, 20) },
		"no head":      func(f disk.File, _ int64) error { return f.Truncate(headSize - 1) },
		"other kind": func(f disk.File, _ int64) error {
			return f.Write([][]byte{Format{"MLRCXXX\n", 12}.appendHead(nil, 1)}, 0)
		},
		"other size": func(f disk.File, _ int64) error {
			return f.Write([][]byte{Format{words.Magic, 13}.appendHead(nil, 1)}, 0)
		},
	} {
		d := disktest.NewCrash("/d")
		j := reopen(t, d)
		ok(t, j.Append(word(1)), j.Close())
		change(t, d, do)
		var before, after bytes.Buffer
		copyTo := func(b *bytes.Buffer) func(disk.File, int64) error {
			return func(f disk.File, size int64) error {
				_, err := b.ReadFrom(io.NewSectionReader(f, 0, size))
				return err
			}
		}
		change(t, d, copyTo(&before))
		if _, _, err := open(d); err == nil {
			t.Errorf("%s: opened", name)
		}
		if change(t, d, copyTo(&after)); !bytes.Equal(before.Bytes(), after.Bytes()) {
			t.Errorf("%s: the file was changed", name)
		}
		if d.Handles() != 0 {
			t.Errorf("%s: the file is open", name)
		}
	}
}

// An error of the reader's ends it.
func TestEachFails(t *testing.T) {
	d := disktest.NewCrash("/d")
	j := reopen(t, d)
	ok(t, j.Append(word(1), word(2)), j.Close())
	enough := errors.New("enough for me")
	calls := 0
	if _, err := Open(d, path, words, func(int64, []byte) error { calls++; return enough }); !errors.Is(err, enough) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
	if d.Handles() != 0 {
		t.Error("the file is open")
	}
}

// life does all a journal can do and returns the words that must be there.
func life(d disk.FS) (want []int, err error) {
	j, found, err := open(d)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	for _, w := range found {
		var n int
		if _, err := fmt.Sscanf(w, "w%d", &n); err != nil {
			return nil, err
		}
		want = append(want, n)
	}
	for n := 100; n < 104; n++ {
		if j.Append(word(n), word(n+100)) == nil {
			want = append(want, n, n+100)
		}
		if n != 101 {
			continue
		}
		// The journal is asked what it holds, as whoever rewrites knows what it should.
		if err := j.Rewrite(these(slices.Clone(want)...)); err != nil && !errors.Is(err, disktest.ErrFault) && !errors.Is(err, disktest.ErrLost) {
			return nil, err
		}
	}
	return want, nil
}

// Whichever operation fails, what was appended is there and what was refused is not, at
// once and after a power failure.
func TestEveryOperationFailsOnce(t *testing.T) {
	for _, fault := range []error{disktest.ErrFault, disktest.ErrLost} {
		for n := 1; ; n++ {
			c := disktest.NewCrash("/d")
			j := reopen(t, c)
			ok(t, j.Append(word(1)), j.Close())
			change(t, c, func(f disk.File, size int64) error { return f.Write([][]byte{{1, 2, 3}}, size) })
			d := &disktest.Faulty{FS: c}
			d.Fail(func(o disktest.Op) error {
				if o.N == n {
					return fault
				}
				return nil
			})
			want, err := life(d)
			hits := d.Heal()
			if err != nil && !errors.Is(err, fault) {
				t.Fatalf("operation %d: %v", n, err)
			}
			if err != nil {
				want = []int{1}
			}
			for seed := range uint64(8) {
				ok(t, reopen(t, c.Clone(seed, "/d"), want...).Close())
			}
			ok(t, reopen(t, c, want...).Close())
			if hits == 0 {
				t.Logf("%d operations", n-1)
				break
			}
		}
	}
}

// While refused entries cannot be cut off, nothing is appended behind them.
func TestNoAppendBehindRefusedEntries(t *testing.T) {
	c := disktest.NewCrash("/d")
	d := &disktest.Faulty{FS: c}
	j := reopen(t, d)
	ok(t, j.Append(word(1)))
	d.FailKinds(disktest.Sync, disktest.Truncate)
	for n := 2; n < 5; n++ {
		if j.Append(word(n)) == nil {
			t.Fatal("appended")
		}
		if j.Rewrite(these(7)) == nil {
			t.Fatal("rewritten")
		}
	}
	d.Heal()
	ok(t, j.Append(word(5)), j.Close())
	ok(t, reopen(t, c, 1, 5).Close())
}

// session uses the journal until the power fails, at an operation by chance. held is what
// must be there, given what was there; maybe is what may follow it, and instead what may
// be there in its place: a rewrite under way.
type session struct {
	held, maybe, instead []int
}

func (s *session) use(r *rand.Rand, j *Journal, next *int) error {
	for {
		s.maybe, s.instead = nil, nil
		if r.IntN(4) == 0 && len(s.held) > 0 {
			s.instead = slices.Clone(s.held[r.IntN(len(s.held)):])
			if err := j.Rewrite(these(s.instead...)); err != nil {
				return err
			}
			s.held = s.instead
			continue
		}
		for range 1 + r.IntN(1+400*(r.IntN(5)/4)) { // now and then more than a page
			s.maybe = append(s.maybe, *next)
			*next++
		}
		var batch [][]byte
		for _, n := range s.maybe {
			batch = append(batch, word(n))
		}
		switch err := j.Append(batch...); {
		case errors.Is(err, errPower):
			return err
		case err == nil:
			s.held = append(s.held, s.maybe...)
		}
	}
}

// Power fails again and again, between two operations, sometimes after the process alone
// was killed: what was appended is always there, in order.
func TestPowerFailures(t *testing.T) {
	sites := map[string]bool{}
	for seed := range uint64(150) {
		for site := range runSeed(t, seed, "", func(format string, args ...any) { t.Fatalf(format, args...) }) {
			sites[site] = true
		}
	}
	// The proof needs each of the syncs: without any one of them it fails.
	for site := range sites {
		failed := false
		for seed := uint64(0); seed < 400 && !failed; seed++ {
			runSeed(t, seed, site, func(string, ...any) { failed = true })
		}
		if !failed {
			t.Errorf("nothing shows that %s is needed", site)
		}
	}
	t.Logf("%d calls of Sync, SyncDir and Rename, each of them needed", len(sites))
}

// errPower stops a process at an operation.
var errPower = errors.New("the power fails")

// runSeed plays one history, with the calls from one site left out.
func runSeed(t *testing.T, seed uint64, drop string, fail func(string, ...any)) map[string]string {
	r := rand.New(rand.NewPCG(seed, 1))
	c := disktest.NewCrash("/d")
	var s session
	next := 0
	sites := map[string]string{}
	for round := range 8 {
		d := &disktest.Faulty{FS: c}
		last, bad := 1+r.IntN(40), 1+r.IntN(60)
		if r.IntN(2) == 0 {
			last = bad + 2 + r.IntN(3) // soon after a failure
		}
		d.Fail(func(o disktest.Op) error {
			switch {
			case o.N >= last && o.Kind != disktest.Read:
				return errPower
			case o.N == bad && (o.Kind == disktest.Write || o.Kind == disktest.Sync):
				return disktest.ErrLost
			case drop != "" && o.Site == drop:
				return disktest.ErrDrop
			}
			return nil
		})
		j, found, err := open(d)
		switch {
		case errors.Is(err, errPower), errors.Is(err, disktest.ErrLost):
		case err != nil:
			fail("seed %d, round %d: %v", seed, round, err)
			return sites
		default:
			if !s.allows(found) {
				fail("seed %d, round %d: found %q, want %d, perhaps %d, or %d", seed, round, found, s.held, s.maybe, s.instead)
				return sites
			}
			s = session{held: numbers(found)}
			if err := s.use(r, j, &next); !errors.Is(err, errPower) && !errors.Is(err, disktest.ErrLost) {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		if j != nil {
			_ = j.Close() // the file of a process that died
		}
		for site, kind := range d.Sites() {
			sites[site] = kind
		}
		if r.IntN(2) == 0 {
			c = c.Clone(r.Uint64(), "/d")
		}
	}
	return sites
}

func numbers(found []string) (n []int) {
	for _, w := range found {
		var i int
		_, _ = fmt.Sscanf(w, "w%d", &i)
		n = append(n, i)
	}
	return n
}

// allows says whether this may be found: what is held, with some of what was on its way,
// or the rewrite.
func (s *session) allows(found []string) bool {
	n := numbers(found)
	if s.instead != nil && slices.Equal(n, s.instead) {
		return true
	}
	if len(n) < len(s.held) || !slices.Equal(n[:len(s.held)], s.held) {
		return false
	}
	rest := n[len(s.held):]
	return slices.IsSorted(rest) && !slices.ContainsFunc(rest, func(i int) bool { return !slices.Contains(s.maybe, i) })
}

func FuzzRead(f *testing.F) {
	whole := words.appendHead(nil, 7)
	for n := range 3 {
		whole = words.appendEntry(whole, word(n), 7, int64(len(whole)))
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(whole[:headSize])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		last := int64(headSize)
		salt, end, err := Read(bytes.NewReader(b), int64(len(b)), words, func(at int64, payload []byte) error {
			if at < last || (at-headSize)%int64(words.Size) != 0 || len(payload) != words.Size-checksumSize {
				t.Fatalf("entry of %d bytes at %d", len(payload), at)
			}
			last = at + int64(words.Size)
			return nil
		})
		if err != nil {
			return
		}
		if end != last || end > int64(len(b)) {
			t.Fatalf("end %d, last entry ends at %d of %d", end, last, len(b))
		}
		if h := words.appendHead(nil, salt); !bytes.Equal(h[:8], b[:8]) {
			t.Fatal("another magic was read")
		}
	})
}
