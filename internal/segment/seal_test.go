package segment

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

func testKey() DataKey {
	k := DataKey{ID: 9}
	for i := range k.Secret {
		k.Secret[i] = byte(100 + i)
	}
	return k
}

// testParts are a body of two chunks and a frame table, for testRecord.
func testParts() (body, frames []byte) {
	body = make([]byte, 70000)
	for i := range body {
		body[i] = byte(i*7 + i/251)
	}
	frames = make([]byte, 300)
	for i := range frames {
		frames[i] = byte(i)
	}
	return body, frames
}

// sealAll seals in pieces of n bytes through a buffer of room bytes.
func sealAll(t testing.TB, key DataKey, r *Record, body, frames []byte, n, room int) []byte {
	t.Helper()
	var s Sealer
	if err := s.Start(key, r); err != nil {
		t.Fatal(err)
	}
	var out []byte
	buf := make([]byte, 0, room)
	part := func(seal func(dst, p []byte) ([]byte, []byte), b []byte) {
		for piece := range slices.Chunk(b, n) {
			for {
				buf, piece = seal(buf, piece)
				if len(piece) == 0 {
					break
				}
				out = append(out, buf...)
				buf = buf[:0]
			}
		}
	}
	part(s.Body, body)
	part(s.Frames, frames)
	return s.Checksums(append(out, buf...))
}

// What is compared with came from another implementation of HKDF, AES-GCM and HMAC (the
// package cryptography for Python), put together as the page says.
func TestSealedBytesAreThoseOfThePage(t *testing.T) {
	const sum, first = "195758bc572881a5c537babc5abd88536dfe7465ba7eaca8d649f80058023a2d", "e3b19a61e893e19fb370e75a727ea55a730b7fd4a561d7a2391ec8db2e2d49b1"
	r := testRecord()
	body, frames := testParts()
	for _, pieces := range [][2]int{{1 << 20, 1 << 20}, {1000, SealedChunk}, {65536, 80000}, {1, 70400}} {
		b := sealAll(t, testKey(), &r, body, frames, pieces[0], pieces[1])
		got := sha256.Sum256(b)
		if hex.EncodeToString(got[:]) != sum || hex.EncodeToString(b[:32]) != first {
			t.Errorf("in pieces of %d bytes: %d bytes, %x..., sum %x", pieces[0], len(b), b[:32], got)
		}
		if want := r.Size() - r.BodyAt(); int64(len(b)) != want {
			t.Errorf("%d bytes, and the record says %d", len(b), want)
		}
	}
	if f := Fingerprint(testKey(), []byte("a header")); hex.EncodeToString(f[:]) != "cc6351ce26f973f0a208856e425c22d0" {
		t.Errorf("fingerprint %x", f)
	}
}

// sealed is a sealed chunk and what it says.
type sealed struct {
	part  Part
	n     int64
	plain []byte
	bytes []byte
}

func sealedChunks(r *Record, b, body, frames []byte) (all []sealed) {
	for _, p := range []struct {
		Part
		plain []byte
	}{{BodyPart, body}, {FramesPart, frames}} {
		n := int64(0)
		for c := range slices.Chunk(p.plain, ChunkSize) {
			all = append(all, sealed{p.Part, n, c, b[:len(c)+tagSize]})
			b, n = b[len(c)+tagSize:], n+1
		}
	}
	return all
}

func TestUnsealing(t *testing.T) {
	r := testRecord()
	body, frames := testParts()
	b := sealAll(t, testKey(), &r, body, frames, 5000, 1<<20)
	o, err := NewOpener(testKey(), &r)
	if err != nil {
		t.Fatal(err)
	}
	all := sealedChunks(&r, b, body, frames)
	for _, c := range all {
		got, err := o.Chunk([]byte("behind"), c.bytes, c.part, c.n)
		if err != nil || !bytes.Equal(got, append([]byte("behind"), c.plain...)) {
			t.Errorf("chunk %d of part %d: %v", c.n, c.part, err)
		}
		for _, other := range all {
			if _, err := o.Chunk(nil, c.bytes, other.part, other.n); (other.part != c.part || other.n != c.n) && !errors.Is(err, ErrNotSealed) {
				t.Errorf("chunk %d of part %d passes as %d of %d", c.n, c.part, other.n, other.part)
			}
		}
		for range 100 {
			d := slices.Clone(c.bytes)
			d[rand.IntN(len(d))] ^= 1 << rand.IntN(8)
			if _, err := o.Chunk(nil, d, c.part, c.n); !errors.Is(err, ErrNotSealed) {
				t.Errorf("a changed chunk passes")
			}
		}
	}
	in := slices.Clone(all[0].bytes)
	if got, err := o.Chunk(in[:0], in, BodyPart, 0); err != nil || !bytes.Equal(got, all[0].plain) || &got[0] != &in[0] {
		t.Errorf("in place: %v", err)
	}
	if _, err := o.Chunk(nil, all[0].bytes[:100], BodyPart, 0); !errors.Is(err, ErrNotSealed) {
		t.Error("a cut chunk passes")
	}
}

// Whatever else names a chunk is sealed into it; the position and the copied flag are not.
func TestChunksBelongToTheirRecord(t *testing.T) {
	r := testRecord()
	body, frames := testParts()
	b := sealAll(t, testKey(), &r, body, frames, 5000, 1<<20)
	changes := map[string]func(*Record){
		"stream": func(r *Record) { r.Fragment.Stream++ },
		"number": func(r *Record) { r.Fragment.Number.N++ },
		"server": func(r *Record) { r.Fragment.Number.Server++ },
		"random": func(r *Record) { r.Fragment.Number.Random++ },
		"kind":   func(r *Record) { r.Kind = HeaderRecord },
		"salt":   func(r *Record) { r.Salt[15]++ },
		"length": func(r *Record) { r.Body += ChunkSize },
		"":       func(r *Record) { r.Header, r.Copied, r.Timecode = 7, false, 8 },
	}
	for what, change := range changes {
		c := r
		change(&c)
		o, err := NewOpener(testKey(), &c)
		if err != nil {
			t.Fatal(err)
		}
		_, err = o.Chunk(nil, b[SealedChunk:SealedChunk+70000-ChunkSize+tagSize], BodyPart, 1)
		if (err == nil) != (what == "") {
			t.Errorf("with another %q: %v", what, err)
		}
	}
	other := testKey()
	other.ID++
	if _, err := NewOpener(other, &r); err == nil {
		t.Error("opened with another key")
	}
	other.ID, other.Secret[0] = r.Key, 0
	o, err := NewOpener(other, &r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Chunk(nil, b[:SealedChunk], BodyPart, 0); !errors.Is(err, ErrNotSealed) {
		t.Errorf("with another secret: %v", err)
	}
}

func TestVerify(t *testing.T) {
	for _, size := range []int{0, 1, ChunkSize, 5*ChunkSize + 1} {
		r := testRecord()
		r.Body, r.FrameTable = int64(size), 10
		body := make([]byte, size)
		const at = 100
		b := r.Append(make([]byte, at), testSalt, at)
		b = append(b, sealAll(t, testKey(), &r, body, make([]byte, 10), 1000, 1<<20)...)
		if ok, err := Verify(bytes.NewReader(b), at, &r); !ok || err != nil {
			t.Errorf("%d bytes: %v, %v", size, ok, err)
		}
		for i := at + int(r.BodyAt()); i < len(b); i += 1 + size/50 {
			b[i] ^= 4
			if ok, err := Verify(bytes.NewReader(b), at, &r); ok || err != nil {
				t.Errorf("%d bytes, byte %d changed: %v, %v", size, i, ok, err)
			}
			b[i] ^= 4
		}
		if _, err := Verify(bytes.NewReader(b[:len(b)-1]), at, &r); err == nil {
			t.Error("no error from a cut file")
		}
	}
}

func TestSealingAChunkAllocatesNothing(t *testing.T) {
	r := testRecord()
	r.Body, r.FrameTable = 1<<30, 0
	var s Sealer
	if err := s.Start(testKey(), &r); err != nil {
		t.Fatal(err)
	}
	s.sums = make([]byte, 0, 4*chunksOf(r.Body))
	piece, dst := make([]byte, 100_000), make([]byte, 0, 2*SealedChunk)
	if n := testing.AllocsPerRun(100, func() { s.Body(dst, piece) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzOpener(f *testing.F) {
	r := testRecord()
	body, frames := testParts()
	b := sealAll(f, testKey(), &r, body, frames, 5000, 1<<20)
	f.Add(b[:SealedChunk], uint8(1), int64(0))
	f.Add(b[SealedChunk:SealedChunk+4480], uint8(1), int64(1))
	f.Add(b[:0], uint8(2), int64(-1))
	o, err := NewOpener(testKey(), &r)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, c []byte, part uint8, n int64) {
		p := Part(part % 3)
		got, err := o.Chunk(nil, c, p, n)
		if err != nil {
			return
		}
		for _, s := range sealedChunks(&r, b, body, frames) {
			if s.part == p && s.n == n && bytes.Equal(s.bytes, c) && bytes.Equal(s.plain, got) {
				return
			}
		}
		t.Fatalf("chunk %d of part %d was made up", n, p)
	})
}

// BenchmarkSeal seals fragments of 250 KB, as the writer does.
func BenchmarkSeal(b *testing.B) {
	r := testRecord()
	r.Body, r.FrameTable = 250_000, 1000
	body, frames := make([]byte, r.Body), make([]byte, r.FrameTable)
	key, dst := testKey(), make([]byte, 0, r.Size())
	var s Sealer
	b.SetBytes(r.Body)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Start(key, &r); err != nil {
			b.Fatal(err)
		}
		out, _ := s.Body(r.Append(dst, testSalt, 64), body)
		out, _ = s.Frames(out, frames)
		s.Checksums(out)
	}
}

// BenchmarkOpen unseals fragments of 250 KB in place.
func BenchmarkOpen(b *testing.B) {
	r := testRecord()
	r.Body, r.FrameTable = 250_000, 0
	key := testKey()
	whole := sealAll(b, key, &r, make([]byte, r.Body), nil, 5000, 1<<20)
	buf := make([]byte, len(whole))
	b.SetBytes(r.Body)
	b.ReportAllocs()
	for b.Loop() {
		copy(buf, whole)
		o, err := NewOpener(key, &r)
		if err != nil {
			b.Fatal(err)
		}
		rest := buf
		for n := range chunksOf(r.Body) {
			length, _ := ChunkLength(r.Body, n)
			c := rest[:length+tagSize]
			if _, err := o.Chunk(c[:0], c, BodyPart, n); err != nil {
				b.Fatal(err)
			}
			rest = rest[len(c):]
		}
	}
}

// BenchmarkVerify checks the checksums of a fragment of 250 KB.
func BenchmarkVerify(b *testing.B) {
	r := testRecord()
	r.Body, r.FrameTable = 250_000, 1000
	whole := sealAll(b, testKey(), &r, make([]byte, r.Body), make([]byte, 1000), 5000, 1<<20)
	file := bytes.NewReader(append(r.Append(nil, testSalt, 0), whole...))
	b.SetBytes(r.Body)
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := Verify(file, 0, &r); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
}
