package segment

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace/millrace/internal/kvs"
)

const testSalt = 0x0123456789abcdef

var testHead = Head{Version: 2, Class: 3, Tier: Warm, ID: 1795315627, Salt: testSalt, Created: 1750000000123}

// testRecord has a value of its own in every field.
func testRecord() Record {
	r := Record{
		Version: 2, Kind: FragmentRecord, Copied: true, Body: 70000, FrameTable: 300,
		Fragment: kvs.Fragment{
			Stream:   5,
			Number:   kvs.FragmentNumber{N: 91343852333181432, Server: 1750000001000, Random: 0xabcdef0},
			Producer: 1750000000500, Duration: 2000, Size: 69000,
		},
		Timecode: -6, Header: 64, Key: 9,
		Facts: Facts{LiveSeq: 77, Changes: 1, ServerGaps: 2, ProducerGaps: 3, Millis: 123456, Tracks: []Track{
			{Number: 1, Frames: 60, Bytes: 250000, Fingerprint: 0x1122334455667788},
			{Number: 2, Frames: 86, Bytes: 9000, Fingerprint: 0x99},
		}},
	}
	for i := range r.Salt {
		r.Salt[i] = byte(i)
	}
	return r
}

func diffRecords(want, got Record) string {
	return cmp.Diff(want, got, cmpopts.IgnoreUnexported(Record{}), cmpopts.EquateEmpty())
}

// The bytes were made by struct.pack of another language from the tables on the page.
func TestBytesAreThoseOfThePage(t *testing.T) {
	const head = "4d4c52435345470a0200000003010000ab57026b00000000efcdab89674523017bdc207497010000" +
		"00000000000000000000000000000000000000008348794b"
	const record = "a74d52730201500070110100000000000500000000000000f829bceebf844401e8df207497010000" +
		"f4dd207497010000d007000000000000faffffffffffffff880d01000000000040000000000000" +
		"00f0debc0a2c0100000900000000000000000102030405060708090a0b0c0d0e0f300ef1a80000" +
		"000000000000eff670664d000000000000000100000002000000030000000200000040e2010000" +
		"000000010000003c00000090d0030000000000887766554433221102000000560000002823000000" +
		"0000009900000000000000"
	if got := hex.EncodeToString(testHead.Encode()); got != head {
		t.Errorf("head\n%s, want\n%s", got, head)
	}
	r := testRecord()
	if got := hex.EncodeToString(r.Append(nil, testSalt, 4096)); got != record {
		t.Errorf("record\n%s, want\n%s", got, record)
	}
}

func TestHeadsSurviveEncoding(t *testing.T) {
	b := testHead.Encode()
	if got, err := ReadHead(bytes.NewReader(b)); err != nil || got != testHead {
		t.Errorf("%+v, %v", got, err)
	}
	for i := range b {
		c := slices.Clone(b)
		c[i] ^= 1
		if _, err := ReadHead(bytes.NewReader(c)); !errors.Is(err, ErrNoSegment) {
			t.Errorf("a change of byte %d: %v", i, err)
		}
	}
	if _, err := ReadHead(bytes.NewReader(b[:63])); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("too short: %v", err)
	}
}

func TestRecordsAreValidInOnePlaceOnly(t *testing.T) {
	want := testRecord()
	b := want.Append([]byte("before"), testSalt, 4096)[len("before"):]
	var got Record
	if !ParseRecord(b, testHead, 4096, &got) {
		t.Fatal("not valid")
	}
	if diff := diffRecords(want, got); diff != "" {
		t.Error(diff)
	}
	for i := range b {
		c := slices.Clone(b)
		c[i] ^= 1
		if ParseRecord(c, testHead, 4096, &got) {
			t.Errorf("a change of byte %d passes", i)
		}
	}
	if ParseRecord(b, testHead, 4097, &got) || ParseRecord(b[:len(b)-1], testHead, 4096, &got) {
		t.Error("valid in another place, or cut")
	}
	other := testHead
	other.Salt++
	if ParseRecord(b, other, 4096, &got) {
		t.Error("valid in another segment")
	}
}

func TestReadRecord(t *testing.T) {
	want := testRecord()
	for range MaxTracks + 5 { // more than fit, and than one read takes
		want.Facts.Tracks = append(want.Facts.Tracks, Track{Number: 7})
	}
	b := want.Append(make([]byte, 4096), testSalt, 4096)
	size := 4096 + want.Size()
	b = append(b, make([]byte, size-int64(len(b)))...)
	got, ok, err := ReadRecord(bytes.NewReader(b), testHead, 4096, size)
	want.Facts.Tracks = want.Facts.Tracks[:MaxTracks]
	if diff := diffRecords(want, got); diff != "" || !ok || err != nil {
		t.Error(ok, err, diff)
	}
	for _, place := range [][2]int64{{4095, size}, {4096, size - 1}, {0, size}, {-1, size}, {size - 5, size}} {
		if _, ok, err := ReadRecord(bytes.NewReader(b), testHead, place[0], place[1]); ok || err != nil {
			t.Errorf("at %d of %d bytes: %v, %v", place[0], place[1], ok, err)
		}
	}
	if _, _, err := ReadRecord(bytes.NewReader(b[:5000]), testHead, 4096, size); err == nil {
		t.Error("no error from a file that is shorter than was said")
	}
}

func TestNamesOfFiles(t *testing.T) {
	for id, name := range map[int64]string{7: "000000000007.seg", 1795315627: "001795315627.seg", 1 << 50: "1125899906842624.seg"} {
		if got, ok := ParseFileName(name); FileName(id) != name || got != id || !ok {
			t.Errorf("%s: %s, %d, %v", name, FileName(id), got, ok)
		}
	}
	for _, name := range []string{"7.seg", "0000000000007.seg", "000000000000.seg", "00000000000x.seg", "-00000000007.seg", ".000000000007.seg"} {
		if id, ok := ParseFileName(name); ok {
			t.Errorf("%s is said to be %d", name, id)
		}
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	k := DataKey{ID: 3, Secret: [32]byte{0xab, 0xab, 0xab, 0xab}}
	j, err := json.Marshal(struct{ K DataKey }{k})
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%v %+v %#v %x %d %s %q %v %v", k, k, k, k, k, k, k, []DataKey{k}, &k) + string(j)
	for _, secret := range []string{"171", "abab", "0xab", "\xab"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is in %q", secret, text)
		}
	}
}
