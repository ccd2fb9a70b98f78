package archive

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// This file reads what an archive wrote by docs/design/archive-format.md alone: nothing
// here calls the packages that write and read these bytes. A page that is wrong, or a
// change of the bytes that is not drawn there, fails.

// page reads numbers one after the other from a table of the page.
type page struct {
	t *testing.T
	b []byte
}

func (p *page) bytes(n int) []byte {
	p.t.Helper()
	if len(p.b) < n {
		p.t.Fatalf("%d bytes are left, not %d", len(p.b), n)
	}
	b := p.b[:n]
	p.b = p.b[n:]
	return b
}

func (p *page) number(n int) int64 {
	p.t.Helper()
	var b [8]byte
	copy(b[:], p.bytes(n))
	return int64(binary.LittleEndian.Uint64(b[:]))
}

func (p *page) zeros(n int) {
	p.t.Helper()
	if b := p.bytes(n); !bytes.Equal(b, make([]byte, n)) {
		p.t.Fatalf("%x is not zero", b)
	}
}

// sum reads a checksum of what the pieces are.
func (p *page) sum(pieces ...[]byte) {
	p.t.Helper()
	want := crc32.Checksum(bytes.Join(pieces, nil), crc32.MakeTable(crc32.Castagnoli))
	if got := p.number(4); got != int64(want) {
		p.t.Fatalf("checksum %08x, not %08x", got, want)
	}
}

func le(n int64) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(n)) }

// drawn is a record as the page draws it.
type drawn struct {
	position, size                  int64
	kind, flags                     int64
	stream, n, server, random       int64
	producer, duration, timecode    int64
	media, header, key              int64
	head, facts, salt, body, frames []byte // body and frames unsealed
	liveSeq, changes, gapsS, gapsP  int64
	millis                          int64
	tracks                          []track
}

type track struct{ number, frames, bytes, fingerprint int64 }

// drawnKeys are data keys by id.
type drawnKeys map[int64]struct {
	stream int64
	secret []byte
}

func gcm(t *testing.T, key []byte) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func derive(t *testing.T, secret, salt []byte, info string, n int) []byte {
	t.Helper()
	k, err := hkdf.Key(sha256.New, secret, salt, info, n)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// journalEntries reads a file of entries of one size.
func journalEntries(t *testing.T, name, magic string, size int) (entries []*page) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	p := &page{t, b}
	if string(p.bytes(8)) != magic || p.number(4) != 1 || p.number(4) != int64(size) {
		t.Fatalf("%s begins with %x", name, b[:16])
	}
	salt := p.bytes(8)
	p.zeros(36)
	p.sum(b[:60])
	for len(p.b) > 0 {
		at := int64(len(b) - len(p.b))
		payload := p.bytes(size - 4)
		p.sum(salt, le(at), payload)
		entries = append(entries, &page{t, payload})
	}
	return entries
}

// readKeys unwraps the data keys with a key file's bytes.
func readKeys(t *testing.T, name string, file []byte, account string) drawnKeys {
	t.Helper()
	wrapping := gcm(t, derive(t, file, nil, "millrace data keys", 32))
	called := derive(t, file, nil, "millrace data keys: name", 8)
	keys := drawnKeys{}
	for _, e := range journalEntries(t, name, "MLRCKEY\n", 256) {
		id, stream := e.number(8), e.number(8)
		if stream == 0 {
			continue // keeps the id
		}
		e.number(8)
		w := &page{t, e.bytes(4 + 224)}
		w.b = w.b[4 : 4+binary.LittleEndian.Uint32(w.b)]
		if w.number(1) != 1 || !bytes.Equal(w.bytes(8), called) {
			t.Fatalf("key %d is wrapped by somebody else", id)
		}
		nonce := w.bytes(12)
		secret, err := wrapping.Open(nil, nonce, w.b, append(le(stream), account...))
		if err != nil {
			t.Fatalf("key %d: %v", id, err)
		}
		keys[id] = struct {
			stream int64
			secret []byte
		}{stream, secret}
	}
	return keys
}

// readDrawn reads a segment that was sealed and has no holes.
func readDrawn(t *testing.T, name string, keys drawnKeys) (records []drawn) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	p := &page{t, b}
	if string(p.bytes(8)) != "MLRCSEG\n" || p.number(4) != 2 {
		t.Fatalf("%s begins with %x", name, b[:12])
	}
	if class, tier := p.number(1), p.number(1); class > 4 || tier > 1 {
		t.Errorf("class %d, tier %d", class, tier)
	}
	p.zeros(2)
	if id := p.number(8); filepath.Base(name) != fmt.Sprintf("%012d.seg", id) {
		t.Errorf("%s says it is %d", name, id)
	}
	salt := p.bytes(8)
	p.number(8)
	p.zeros(20)
	p.sum(b[:60])
	for len(p.b) > 0 {
		at := int64(len(b) - len(p.b))
		r := p.record(salt, at, keys)
		r.size = int64(len(b)-len(p.b)) - at
		records = append(records, r)
	}
	return records
}

// record reads the record at position.
func (p *page) record(segmentSalt []byte, position int64, keys drawnKeys) drawn {
	p.t.Helper()
	r := drawn{position: position, head: p.b[:128]}
	if string(p.bytes(4)) != "\xa7MRs" {
		p.t.Fatalf("no record at %d", position)
	}
	r.kind, r.flags = p.number(1), p.number(1)
	factsLength, body := p.number(2), p.number(8)
	for _, to := range []*int64{&r.stream, &r.n, &r.server, &r.producer, &r.duration, &r.timecode, &r.media, &r.header} {
		*to = p.number(8)
	}
	r.random = p.number(4)
	frames := p.number(4)
	r.key = p.number(8)
	r.salt = p.bytes(16)
	factsSum := p.bytes(4)
	p.zeros(8)
	p.sum(segmentSalt, le(position), r.head[:124])
	r.facts = p.bytes(int(factsLength))
	(&page{p.t, factsSum}).sum(r.facts)
	if r.kind == 3 {
		return r
	}
	var sums []byte
	r.body = p.part(&r, 1, body, keys, &sums)
	r.frames = p.part(&r, 2, frames, keys, &sums)
	all := p.bytes(len(sums))
	if !bytes.Equal(all, sums) {
		p.t.Fatalf("the checksums at %d are %x, not %x", position, all, sums)
	}
	p.sum(all)
	if r.kind == 2 {
		r.readFacts(p.t)
	}
	return r
}

// part reads n bytes in chunks and unseals them.
func (p *page) part(r *drawn, which byte, n int64, keys drawnKeys, sums *[]byte) (plain []byte) {
	p.t.Helper()
	tag := 0
	if r.key != 0 {
		tag = 16
	}
	for chunk := uint64(0); n > 0; chunk++ {
		size := min(n, 65536)
		n -= size
		c := p.bytes(int(size) + tag)
		*sums = binary.LittleEndian.AppendUint32(*sums, crc32.Checksum(c, crc32.MakeTable(crc32.Castagnoli)))
		if r.key == 0 {
			plain = append(plain, c...)
			continue
		}
		k, ok := keys[r.key]
		if !ok && r.stream == 2 {
			continue // its keys went with the stream: nobody unseals this again
		}
		if k.stream != r.stream {
			p.t.Fatalf("key %d is of stream %d, and the record of %d", r.key, k.stream, r.stream)
		}
		nonce := binary.BigEndian.AppendUint64([]byte{which, 0, 0}, chunk)
		nonce = append(nonce, 0)
		if n == 0 {
			nonce[11] = 1
		}
		data := slices.Concat(le(r.stream), le(r.n), le(r.server), le(r.random)[:4], []byte{byte(r.kind)})
		var err error
		if plain, err = gcm(p.t, derive(p.t, k.secret, r.salt, "millrace record", 32)).Open(plain, nonce, c, data); err != nil {
			p.t.Fatalf("chunk %d of part %d at %d: %v", chunk, which, r.position, err)
		}
	}
	return plain
}

func (r *drawn) readFacts(t *testing.T) {
	t.Helper()
	p := &page{t, r.facts}
	r.liveSeq, r.changes, r.gapsS, r.gapsP = p.number(8), p.number(4), p.number(4), p.number(4)
	k := p.number(4)
	r.millis = p.number(8)
	for range k {
		r.tracks = append(r.tracks, track{p.number(4), p.number(4), p.number(8), p.number(8)})
	}
	if len(p.b) > 0 {
		t.Errorf("%d bytes behind the facts", len(p.b))
	}
}

// drawnArchive writes an archive of sealed segments with the records of stream 1, and
// of stream 2, which is deleted then.
func drawnArchive(t *testing.T) (dir string, kept, dead []Record) {
	o := Options{Dir: t.TempDir(), SegmentBytes: 150_000}
	for n, size := range []int{10, 0, 65536, 65537, 200_000, 1, 1000, 100_000} {
		kept = append(kept, withFacts(sample(1, int64(n+1), size)))
		dead = append(dead, withFacts(sample(2, int64(n+1), min(size/2, 100+n))))
	}
	a := start(t, o)
	for i := range kept {
		a.mustStore(kept[i], dead[i])
	}
	a.stop()
	b := open(t, o) // seals
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	o.Policy = onlyStreamOne
	b = open(t, o)
	// What stream 2 leaves is less than what is worth a hole, so the tombstones are all
	// that is new.
	if err := b.Expire(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return o.Dir, kept, dead
}

func withFacts(r Record) Record {
	r.Frames = framesOf(&r)
	f := factsOf(&r)
	r.Tracks = f.Tracks
	return r
}

func TestFilesAreAsThePageDrawsThem(t *testing.T) {
	dir, kept, dead := drawnArchive(t)
	keys := readKeys(t, filepath.Join(dir, "keys"), make([]byte, 32), "000000000000")
	buried := map[[3]int64]bool{} // segment, stream, counter
	for _, e := range journalEntries(t, filepath.Join(dir, "tombstones"), "MLRCTMB\n", 48) {
		segment, stream, first, last := e.number(8), e.number(8), e.number(8), e.number(8)
		if reason := e.number(1); reason != 2 {
			t.Errorf("the reason is %d", reason)
		}
		e.zeros(11)
		for n := first; n <= last; n++ {
			buried[[3]int64{segment, stream, n}] = true
		}
	}
	var found []drawn
	for _, name := range segmentFiles(t, dir) {
		records := readDrawn(t, name, keys)
		wantEnding(t, records)
		var id int64
		if _, err := fmt.Sscanf(filepath.Base(name), "%d.seg", &id); err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if r.kind != 2 {
				continue
			}
			wantHeader(t, &r, records, keys)
			if place := [3]int64{id, r.stream, r.n}; buried[place] != (r.stream == 2) {
				t.Errorf("fragment %d of stream %d in %s: buried %v", r.n, r.stream, name, buried[place])
			}
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b drawn) int { return int(a.stream-b.stream)*100 + int(a.n-b.n) })
	want := append(slices.Clone(kept), dead...)
	if len(found) < len(kept) {
		t.Fatalf("%d fragments", len(found))
	}
	seq := map[int64]int64{}
	for _, r := range found {
		i := slices.IndexFunc(want, func(w Record) bool { return int64(w.Fragment.Stream) == r.stream && w.Fragment.Number.N == r.n })
		if i < 0 {
			t.Fatalf("fragment %d of stream %d was never stored", r.n, r.stream)
		}
		wantDrawn(t, &r, &want[i])
		if r.liveSeq <= seq[r.stream] {
			t.Errorf("fragment %d of stream %d: live_seq %d behind %d", r.n, r.stream, r.liveSeq, seq[r.stream])
		}
		seq[r.stream] = r.liveSeq
	}
}

// wantEnding checks that the footer lists the fragments and the end record points to it.
func wantEnding(t *testing.T, records []drawn) {
	t.Helper()
	footer, end := records[len(records)-2], records[len(records)-1]
	if footer.kind != 4 || end.kind != 3 || end.header != footer.position || end.size != 128 || footer.key != 0 {
		t.Fatalf("the segment ends in %+v, %+v", footer, end)
	}
	var list []byte
	for _, r := range records {
		if r.kind == 2 {
			list = append(append(append(list, le(r.position)...), r.head...), r.facts...)
		}
	}
	if !bytes.Equal(list, footer.body) {
		t.Errorf("the footer has %d bytes, the fragments make %d", len(footer.body), len(list))
	}
}

// wantHeader checks the header record of a fragment.
func wantHeader(t *testing.T, r *drawn, records []drawn, keys drawnKeys) {
	t.Helper()
	i := slices.IndexFunc(records, func(h drawn) bool { return h.position == r.header })
	if i < 0 || records[i].kind != 1 || records[i].stream != r.stream || records[i].position > r.position {
		t.Fatalf("the fragment at %d has no header", r.position)
	}
	h := records[i]
	if r.stream == 2 {
		return
	}
	m := hmac.New(sha256.New, keys[h.key].secret)
	m.Write(h.body)
	if !bytes.Equal(h.facts, m.Sum(nil)[:16]) || string(h.body) != fmt.Sprintf("header of stream %d", r.stream) || h.n != 0 || h.server != 0 {
		t.Errorf("header %q of stream %d, facts %x", h.body, h.stream, h.facts)
	}
}

// wantDrawn checks that a record is the fragment that was stored.
func wantDrawn(t *testing.T, r *drawn, w *Record) {
	t.Helper()
	f := w.Fragment
	got := []int64{r.server, r.random, r.producer, r.duration, r.timecode, r.media, r.flags}
	want := []int64{int64(f.Number.Server), int64(f.Number.Random), int64(f.Producer), f.Duration, w.Timecode, f.Size, 0}
	if !slices.Equal(got, want) {
		t.Errorf("fragment %d of stream %d: %d, want %d", r.n, r.stream, got, want)
	}
	switch {
	case r.stream == 2 && len(r.body)+len(r.frames) > 0:
		t.Errorf("fragment %d of a deleted stream can be unsealed", r.n)
	case r.stream != 2 && !(bytes.Equal(r.body, bytes.Join(w.Body, nil)) && bytes.Equal(r.frames, w.Frames)):
		t.Errorf("fragment %d of stream %d: %d bytes and %d of frames", r.n, r.stream, len(r.body), len(r.frames))
	}
	for i, k := range w.Tracks {
		if r.tracks[i] != (track{int64(k.Number), int64(k.Frames), k.Bytes, int64(k.Fingerprint)}) {
			t.Errorf("track %+v, want %+v", r.tracks[i], k)
		}
	}
}
