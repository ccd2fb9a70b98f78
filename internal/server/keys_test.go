package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/keyfile"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/keyring/keyringtest"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/rekey"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/mkv"
)

// vault is a server whose key provider does what the test says.
type vault struct {
	*plant
	provider *keyringtest.Provider
}

func newVault(t *testing.T, timeout time.Duration) *vault {
	v := &vault{provider: keyringtest.NewProvider()}
	v.plant = newPlant(t, func(c *config.Config) { c.Keys.Provider, c.Keys.Timeout = v.provider, timeout })
	return v
}

// createWith makes a stream with a KmsKeyId.
func (p *plant) createWith(name, key string, hours int64) {
	p.t.Helper()
	p.ask("CreateStream", &wire.CreateStreamInput{StreamName: &name, KmsKeyId: &key, DataRetentionInHours: &hours}, nil)
}

// sent sends one fragment and returns the code of its ERROR, 0 when it was stored (or
// received, of a stream without retention).
func (p *plant) sent(stream string, i int) int {
	p.t.Helper()
	acks := p.send(stream, documentOf(), clusterOf(i))
	for _, a := range acks {
		if a.Type == client.Failed {
			return a.ErrorID
		}
	}
	return 0
}

// viewed reads GetMedia from EARLIEST up to its first chunk, or to the error: its id.
func (p *plant) viewed(stream string) (id int) {
	p.t.Helper()
	return p.shown("GetMedia", "AWS_KINESISVIDEO_ERROR_ID", &wire.GetMediaInput{StreamName: &stream, StartSelector: &wire.StartSelector{StartSelectorType: new("EARLIEST")}})
}

// picked reads GetMediaForFragmentList up to its first frame, or to the error: its id.
func (p *plant) picked(stream, number string) (id int) {
	p.t.Helper()
	return p.shown("GetMediaForFragmentList", "AWS_KINESISVIDEO_EXCEPTION_ERROR_CODE", &wire.GetMediaForFragmentListInput{StreamName: &stream, Fragments: []string{number}})
}

func (p *plant) shown(operation, tag string, in wire.Input) int {
	p.t.Helper()
	r, err := p.Stream(context.Background(), wire.ByName(operation), in)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	m := mkv.NewReader(r.Body, mkv.Options{})
	for {
		it, err := m.Next()
		if err != nil {
			p.t.Fatalf("%s: no frame and no error: %v", operation, err)
		}
		if it.Kind == mkv.Block {
			return 0
		}
		for _, t := range it.Tags {
			for _, s := range t.Simple {
				if s.Name == tag {
					id, _ := strconv.Atoi(s.Value)
					return id
				}
			}
		}
	}
}

// Each failure of the key provider reaches producers as an acknowledgement and consumers
// as a tag, and when it is over everything goes on and nothing is lost.
func TestFailuresOfTheKeyProvider(t *testing.T) {
	v := newVault(t, 0)
	v.createWith("yard", "alias/mine", 24)
	v.createWith("gate", "alias/mine", 0)
	if got := v.sent("yard", 0); got != 0 {
		t.Fatal(got)
	}
	number := v.list("yard")[0]
	for f := keyring.AccessDenied; f <= keyring.NotFound; f++ {
		v.provider.Fail(f)
		v.ring.Drop()
		if got := []int{v.sent("yard", 1), v.sent("gate", 1), v.viewed("yard"), v.viewed("gate"), v.picked("yard", number)}; slices.Max(got) != int(f) || slices.Min(got) != int(f) {
			t.Errorf("%v: %v", f, got)
		}
	}
	why := v.why(of("yard"))
	if len(why.Rejections) != 7 || why.Rejections[0].Last.Case != "key-not-found" || !strings.Contains(why.Rejections[0].Last.Why, "alias/mine") {
		t.Errorf("%+v", why)
	}
	v.provider.Fail(0)
	if got := []int{v.sent("yard", 2), v.sent("gate", 2), v.viewed("yard"), v.picked("yard", number)}; slices.Max(got) != 0 {
		t.Errorf("afterwards: %v", got)
	}
	if n := len(v.list("yard")); n != 2 {
		t.Errorf("%d fragments", n)
	}
}

// A provider that never answers is unavailable after a while for producers and consumers
// alike, also one that heeds nothing.
func TestAKeyProviderThatHangs(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		t.Run(fmt.Sprint("deaf ", deaf), func(t *testing.T) {
			v := newVault(t, 50*time.Millisecond)
			v.create("yard", 24)
			v.create("open", 24)
			if got := v.sent("open", 0); got != 0 {
				t.Fatal(got)
			}
			release := v.provider.Hang(deaf)
			defer release()
			if got := []int{v.sent("yard", 0), v.viewed("yard")}; got[0] != 4503 || got[1] != 4503 {
				t.Errorf("%v", got)
			}
			if got := v.sent("open", 1); got != 0 {
				t.Errorf("a stream whose key is known: %d", got)
			}
			release()
		})
	}
}

// When the wrapping keys are lost, so are the media; other streams are not.
func TestLostKeys(t *testing.T) {
	v := newVault(t, 0)
	v.create("yard", 24)
	if got := v.sent("yard", 0); got != 0 {
		t.Fatal(got)
	}
	v.provider.Lose()
	v.ring.Drop()
	if got := []int{v.sent("yard", 1), v.viewed("yard"), v.picked("yard", v.list("yard")[0])}; !slices.Equal(got, []int{4506, 4506, 4506}) {
		t.Errorf("%v", got)
	}
}

// Keys of the settings: one that nobody knows lets the stream be made, but no media in or
// out (tutorials sheet, E6); once it is there, or enabled again, they flow.
func TestKeysOfTheSettings(t *testing.T) {
	p := newPlant(t, nil)
	const id = "arn:aws:kms:us-east-1:111122223333:alias/cameras"
	p.createWith("yard", id, 24)
	var d wire.DescribeStreamOutput
	p.ask("DescribeStream", &wire.DescribeStreamInput{StreamName: new("yard")}, &d)
	if *d.StreamInfo.KmsKeyId != id {
		t.Errorf("described with %s", *d.StreamInfo.KmsKeyId)
	}
	if got := []int{p.sent("yard", 0), p.viewed("yard")}; !slices.Equal(got, []int{4506, 4506}) {
		t.Errorf("unknown: %v", got)
	}
	next := p.config
	file := filepath.Join(t.TempDir(), "cameras.key")
	next.Keys.Files = map[string]string{"alias/cameras": file}
	if err := p.Reload(t.Context(), next); err != nil {
		t.Errorf("without its file: %v", err)
	}
	if got := p.sent("yard", 0); got != 4506 {
		t.Errorf("without its file: %d", got)
	}
	if _, err := keyfile.Make(file); err != nil {
		t.Fatal(err)
	}
	if err := p.Reload(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if got := []int{p.sent("yard", 0), p.viewed("yard")}; slices.Max(got) != 0 {
		t.Errorf("known: %v", got)
	}
	next.Keys.Disabled = []string{"alias/cameras"}
	if err := p.Reload(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if got := []int{p.sent("yard", 1), p.viewed("yard")}; !slices.Equal(got, []int{4501, 4501}) {
		t.Errorf("disabled: %v", got)
	}
	p.createWith("own", "alias/aws/kinesisvideo", 24)
	if got := p.sent("own", 0); got != 0 {
		t.Errorf("the server's own key: %d", got)
	}
	next.Keys.Disabled = nil
	if err := p.Reload(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if got := p.viewed("yard"); got != 0 {
		t.Errorf("enabled again: %d", got)
	}
}

// A key file that is open to others keeps a server from starting, and config check says so.
func TestAnExposedKeyFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "exposed")
	if _, err := keyfile.Make(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	c := settingsWithKey(t, file)
	if wrong := Examine(c); len(wrong) != 1 || wrong[0].Setting != "keys.files.alias/x" || !strings.Contains(wrong[0].Text, "chmod 600") {
		t.Errorf("%v", wrong)
	}
	if s, err := New(t.Context(), c, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("started with %v, %v", s, err)
	}
}

// settingsWithKey are those of a new server with a wrapping key of its own.
func settingsWithKey(t *testing.T, file string) config.Config {
	c := config.Default()
	c.Data, c.HTTP, c.HTTPS = t.TempDir(), "127.0.0.1:0", ""
	c.Keys.Files = map[string]string{"alias/x": file}
	return c
}

// A key file that is missing takes its own streams only: a start and a reload go on and
// name it in an error of the log, and config check warns.
func TestAMissingKeyFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "none")
	c := settingsWithKey(t, file)
	if wrong := Examine(c); len(wrong) > 0 {
		t.Errorf("config check finds %v", wrong)
	}
	if all := Concerns(c); len(all) != 1 || all[0].Setting != "keys.files.alias/x" || !strings.Contains(all[0].Text, "there is no key file "+file) {
		t.Errorf("config check warns of %v", all)
	}
	var logged strings.Builder
	s, err := New(t.Context(), c, slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.shut(); err != nil {
			t.Error(err)
		}
	}()
	told := func(times int, when string) {
		t.Helper()
		lines := strings.Split(logged.String(), "\n")
		lines = slices.DeleteFunc(lines, func(l string) bool { return !strings.Contains(l, file) })
		if len(lines) != times || strings.Count(strings.Join(lines, ""), "level=ERROR") != times {
			t.Errorf("%s: %q", when, lines)
		}
		logged.Reset()
	}
	told(1, "at the start")
	reload := func() {
		t.Helper()
		if err := s.Reload(t.Context(), c); err != nil {
			t.Error(err)
		}
	}
	reload()
	told(1, "at a reload")
	if _, err := keyfile.Make(file); err != nil {
		t.Fatal(err)
	}
	reload()
	told(0, "when it is there")
	if all := Concerns(c); len(all) != 0 {
		t.Errorf("config check warns of %v", all)
	}
}

// A stopped server's key file is replaced; media and access keys can be used afterwards,
// the old copy is where it was asked for, and a rotation that was interrupted is
// finished by the next start.
func TestRotateTheKeyFile(t *testing.T) {
	p := newPlant(t, nil)
	p.create("yard", 24)
	if got := p.sent("yard", 0); got != 0 {
		t.Fatal(got)
	}
	rotate := func(keep func([]byte) error) error {
		return Rotate(t.Context(), p.config.Data, keep, slog.New(slog.DiscardHandler))
	}
	var kept []byte
	keep := func(old []byte) error { kept = slices.Clone(old); return nil }
	if err := rotate(keep); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("while it serves: %v", err)
	}
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(p.config.Data, KeyFile)
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("no room")
	if err := rotate(func([]byte) error { return full }); !errors.Is(err, full) {
		t.Errorf("when the copy fails: %v", err)
	}
	if err := rotate(keep); err != nil || !slices.Equal(kept, old) {
		t.Fatalf("%v, kept %d bytes", err, len(kept))
	}
	if text, err := os.ReadFile(path); err != nil || slices.Equal(text, old) {
		t.Errorf("the key file is the old one, %v", err)
	}
	// As after a crash: the new key lies there, nothing is sealed under it yet.
	if _, err := keyfile.Make(path + ".next"); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenIdentities(t.Context(), p.config.Data, false); err == nil || !strings.Contains(err.Error(), "key-file rotate") {
		t.Errorf("the command line: %v", err)
	}
	q := newPlant(t, func(c *config.Config) { c.Data = p.config.Data })
	if pending, err := rekey.Pending(p.config.Data); pending || err != nil {
		t.Errorf("%v, %v", pending, err)
	}
	if got := []int{q.viewed("yard"), q.sent("yard", 1)}; slices.Max(got) != 0 || len(q.list("yard")) != 2 {
		t.Errorf("%v", got)
	}
	if !strings.Contains(q.log.String(), "was interrupted") {
		t.Error("the log does not tell of it")
	}
}

// A deleted stream's data keys are gone from disk with it; those of others are not.
func TestDeletedStreamsLeaveNoKeys(t *testing.T) {
	p := newPlant(t, nil)
	arns := map[string]string{}
	for _, stream := range []string{"yard", "gate"} {
		arns[stream] = p.create(stream, 24)
		if got := p.sent(stream, 0); got != 0 {
			t.Fatal(got)
		}
	}
	before := p.ring.Entries()
	p.ask("DeleteStream", &wire.DeleteStreamInput{StreamARN: new(arns["yard"])}, nil)
	p.until("the keys are gone", func() bool { return len(p.ring.Entries()) == 1 })
	text, err := os.ReadFile(filepath.Join(p.config.Data, "archive", "keys"))
	if err != nil || len(before) != 2 || bytes.Contains(text, before[0].Wrapped) || !bytes.Contains(text, before[1].Wrapped) {
		t.Errorf("%d keys before, %v", len(before), err)
	}
	if got := p.viewed("gate"); got != 0 {
		t.Error(got)
	}
}

// Data keys go when what they sealed has expired for a day, and not while a fragment is
// kept, for whatever reason.
func TestOldKeysAreDropped(t *testing.T) {
	p := devPlant(t, "2030-01-01@0")
	p.create("yard", 24)
	p.create("held", 24)
	days := func(n int) {
		for range n {
			for _, stream := range []string{"yard", "held"} {
				if got := p.sent(stream, 0); got != 0 {
					t.Fatal(got)
				}
			}
			if err := p.config.Emulate.Clock.Set("+24h"); err != nil {
				t.Fatal(err)
			}
		}
	}
	days(1)
	e, err := p.catalog.ByName(t.Context(), config.DevAccount, "held")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.keeper.AddHold(t.Context(), catalog.Hold{Stream: e.ID, Clock: kvs.ServerClock,
		Range: kvs.TimeRange{Start: 0, End: kvs.MillisOf(p.config.Emulate.Clock.Now())}}); err != nil {
		t.Fatal(err)
	}
	days(5)
	p.until("fragments expire", func() bool {
		s, err := p.archive.Stats(t.Context())
		return err == nil && s.Fragments <= 2+2
	})
	if err := p.dropKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	count := map[kvs.StreamID]int{}
	for _, k := range p.ring.Entries() {
		count[k.Stream]++
	}
	if yard := 12 - len(p.ring.Entries()); count[e.ID] != 6 || yard < 3 || yard > 4 {
		t.Errorf("keys by stream: %v; that of the hold is %d", count, e.ID)
	}
	if got := p.viewed("held"); got != 0 {
		t.Errorf("what is held: %d", got)
	}
}

// A start without the file of data keys that media need is refused, and says the way
// back; a backup's keys come back beside those that were made since.
func TestLostDataKeys(t *testing.T) {
	p := newPlant(t, nil)
	p.create("yard", 24)
	if got := p.sent("yard", 0); got != 0 {
		t.Fatal(got)
	}
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	path, copied := filepath.Join(p.config.Data, keysPath), filepath.Join(t.TempDir(), "keys")
	if err := os.Rename(path, copied); err != nil {
		t.Fatal(err)
	}
	_, err := New(t.Context(), p.config, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "is missing") || !strings.Contains(err.Error(), "--without-keys") {
		t.Fatalf("a start without keys: %v", err)
	}
	inspect := func(i Inspection) (done string, wrong int) {
		r, err := Inspect(t.Context(), p.config, i)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(r.Done, "\n"), r.After.Counts[12]
	}
	if done, wrong := inspect(Inspection{Repair: true}); done != "" || wrong != 1 {
		t.Errorf("a repair did %q and leaves %d", done, wrong)
	}
	if done, wrong := inspect(Inspection{Repair: true, Without: true}); !strings.Contains(done, "an empty file") || wrong != 1 {
		t.Errorf("without keys: did %q, leaves %d", done, wrong)
	}
	again := newPlant(t, func(c *config.Config) { c.Data = p.config.Data })
	if got := again.sent("yard", 1); got != 0 {
		t.Fatal(got)
	}
	if got := again.viewed("yard"); got != 5000 {
		t.Errorf("a fragment without its key: %d", got)
	}
	if err := again.stop(); err != nil {
		t.Fatal(err)
	}
	if done, wrong := inspect(Inspection{Repair: true, Deep: true, Keys: copied}); done != "1 data keys were taken from "+copied || wrong != 0 {
		t.Errorf("with the keys: did %q, leaves %d", done, wrong)
	}
}
