package server

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/api/admin"
	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

// wantException checks that a call was refused.
func wantException(t *testing.T, err error, exception string) {
	t.Helper()
	if refused, ok := errors.AsType[*client.Error](err); !ok || refused.Exception != exception {
		t.Errorf("got %v, want %s", err, exception)
	}
}

// do calls an operation of our own that must succeed.
func (p *plant) do(operation string, in, out any) {
	p.t.Helper()
	if err := p.Admin(p.t.Context(), operation, in, out); err != nil {
		p.t.Fatal(err)
	}
}

// six stores fragments 0 to 5, a second each, and returns their numbers.
func (p *plant) six(stream string) []string {
	p.t.Helper()
	u := p.put(stream)
	for i := range 6 {
		u.write(clusterOf(i), endOfFragment)
		u.until("PERSISTED")
	}
	numbers := p.list(stream)
	slices.Sort(numbers)
	return numbers
}

func at(ms int64) *time.Time { return new(kvs.Millis(epoch + ms).Time()) }

func during(stream string, from, to *time.Time) admin.EraseInput {
	return admin.EraseInput{Stream: admin.Stream{StreamName: &stream}, Span: admin.Span{From: from, To: to, Clock: "producer"}}
}

// What is on hold survives erasure, the end of its retention and the deletion of its
// stream; what is erased is gone, and on record.
func TestHoldsAndErasures(t *testing.T) {
	var passed atomic.Int64
	start := time.Now()
	p := newPlant(t, func(c *config.Config) {
		c.Now, c.Real = func() time.Time { return start.Add(time.Duration(passed.Load())) }, time.Now
	})
	yard := "yard"
	p.create(yard, 1)
	numbers := p.six(yard)
	want := func(what string, which ...int) {
		t.Helper()
		got := p.list(yard)
		slices.Sort(got)
		var want []string
		for _, i := range which {
			want = append(want, numbers[i])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}

	var h admin.Hold
	p.do("AddHold", admin.AddHoldInput{Stream: admin.Stream{StreamName: &yard}, Span: during(yard, at(1500), at(2500)).Span, Note: "case 7"}, &h)
	var holds admin.HoldsOutput
	p.do("ListHolds", admin.HoldsInput{AnyStream: admin.AnyStream{StreamName: &yard}}, &holds)
	if len(holds.Holds) != 1 || holds.Holds[0] != h || h.Note != "case 7" || h.SetBy != config.DevAccessKey || !h.From.Equal(*at(1500)) {
		t.Errorf("%+v, %+v", h, holds)
	}
	var all admin.HoldsOutput
	if p.do("ListHolds", nil, &all); len(all.Holds) != 1 || all.Holds[0] != h || h.Stream != yard || all.NextToken != "" {
		t.Errorf("of the account: %+v", all)
	}
	if n := p.gauge("millrace_holds"); n != 1 {
		t.Errorf("millrace_holds is %v", n)
	}
	wantException(t, p.Admin(t.Context(), "EraseFragments", during(yard, at(2000), nil), nil), "ResourceInUseException")
	want("refused", 0, 1, 2, 3, 4, 5)

	in := during(yard, at(4000), nil)
	in.DryRun = true
	var toll admin.EraseOutput
	p.do("EraseFragments", in, &toll)
	if toll.Fragments != 2 || toll.Bytes < 5000 || toll.Held != 0 || toll.Erasure != nil {
		t.Errorf("%+v", toll)
	}
	want("only asked", 0, 1, 2, 3, 4, 5)
	in.DryRun = false
	p.do("EraseFragments", in, &toll)
	want("erased", 0, 1, 2, 3)
	var records admin.ErasuresOutput
	p.do("ListErasures", nil, &records)
	if len(records.Erasures) != 1 || records.Erasures[0] != *toll.Erasure || records.Erasures[0].Fragments != 2 || !records.Erasures[0].Done {
		t.Errorf("%+v", records)
	}

	passed.Store(int64(2 * time.Hour))
	if err := p.archive.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("expired but for the hold", 1, 2)
	wantException(t, p.Call(t.Context(), wire.DeleteStream, &wire.DeleteStreamInput{StreamARN: new(p.arn(yard))}, nil), "ResourceInUseException")
	p.do("RemoveHold", admin.RemoveHoldInput{Stream: admin.Stream{StreamName: &yard}, Hold: h.Hold}, &holds)
	want("no longer on hold")
	p.ask("DeleteStream", &wire.DeleteStreamInput{StreamARN: new(p.arn(yard))}, nil)
	if p.do("ListErasures", nil, &records); len(records.Erasures) != 1 {
		t.Errorf("the record went with its stream: %+v", records)
	}
}

func (p *plant) arn(stream string) string {
	p.t.Helper()
	s, err := p.catalog.ByName(p.t.Context(), config.DevAccount, stream)
	if err != nil {
		p.t.Fatal(err)
	}
	return s.ARN().String()
}

// Keys other than the root key may look, but neither hold nor erase.
func TestOnlyTheRootKeyHoldsAndErases(t *testing.T) {
	p := newPlant(t, nil)
	p.create("yard", 1)
	made, err := p.keys.Create(t.Context(), iam.NewKey{})
	if err != nil {
		t.Fatal(err)
	}
	other := p.clientOf("https")
	other.Credentials = sigv4.Credentials{AccessKey: made.ID, Secret: made.Secret}
	body := map[string]any{"StreamName": "yard"}
	for _, operation := range []string{"AddHold", "RemoveHold", "EraseFragments"} {
		wantException(t, other.Admin(t.Context(), operation, body, nil), "NotAuthorizedException")
	}
	for _, operation := range []string{"ListHolds", "ListErasures"} {
		if err := other.Admin(t.Context(), operation, body, nil); err != nil {
			t.Errorf("%s: %v", operation, err)
		}
	}
	body["Clock"] = "sundial"
	wantException(t, p.Admin(t.Context(), "AddHold", body, nil), "InvalidArgumentException")
	body["Clock"], body["From"], body["To"] = "server", at(2), at(1)
	wantException(t, p.Admin(t.Context(), "AddHold", body, nil), "InvalidArgumentException")
	wantException(t, p.Admin(t.Context(), "EraseFragments", body, nil), "InvalidArgumentException")
}

// An erasure that the catalog remembers holds for an archive that has the fragments
// again, such as one from a backup.
func TestErasuresAreCarriedOutAgain(t *testing.T) {
	p := newPlant(t, nil)
	p.create("yard", 1)
	p.six("yard")
	s, err := p.catalog.ByName(t.Context(), config.DevAccount, "yard")
	if err != nil {
		t.Fatal(err)
	}
	last, _, err := p.archive.Newest(t.Context(), s.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	order := catalog.Erasure{Stream: s.ID, Clock: kvs.ProducerClock, Range: kvs.TimeRange{Start: epoch + 4000, End: kvs.MaxMillis}, Who: "AKIA", Through: last.Number.N, Fragments: 2}
	if _, err := p.catalog.BeginErasure(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	yard := "yard"
	var h admin.Hold
	p.do("AddHold", admin.AddHoldInput{Stream: admin.Stream{StreamName: &yard}, Span: during(yard, at(4500), at(4500)).Span}, &h)
	renew := func(want int) {
		t.Helper()
		if err := p.keeper.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := p.list(yard); len(got) != want {
			t.Errorf("%d fragments are there, want %d", len(got), want)
		}
	}
	renew(5) // a hold wins
	p.do("RemoveHold", admin.RemoveHoldInput{Stream: admin.Stream{StreamName: &yard}, Hold: h.Hold}, nil)
	renew(4)
	var records admin.ErasuresOutput
	if p.do("ListErasures", nil, &records); len(records.Erasures) != 1 || !records.Erasures[0].Done || records.Erasures[0].Fragments != 2 {
		t.Errorf("%+v", records)
	}
}

// A reset of a development server takes streams on hold, too.
func TestAResetTakesHeldStreams(t *testing.T) {
	p := devPlant(t, "2030-01-01@0")
	p.create("yard", 24)
	yard := "yard"
	p.do("AddHold", admin.AddHoldInput{Stream: admin.Stream{StreamName: &yard}}, nil)
	p.do("Reset", nil, nil)
	if _, err := p.catalog.ByName(t.Context(), config.DevAccount, yard); kvs.KindOf(err) != kvs.NotFound {
		t.Error(err)
	}
}

// A pass that read the policies a moment before a change goes by the new ones.
func TestALongerRetentionCountsAtOnce(t *testing.T) {
	var passed atomic.Int64
	start := time.Now()
	p := newPlant(t, func(c *config.Config) {
		c.Now, c.Real = func() time.Time { return start.Add(time.Duration(passed.Load())) }, time.Now
	})
	p.create("yard", 1)
	p.six("yard")
	expire := func(after time.Duration, want int) {
		t.Helper()
		passed.Store(int64(after))
		if err := p.archive.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := p.list("yard"); len(got) != want {
			t.Errorf("%d fragments are there, want %d", len(got), want)
		}
	}
	change := func(operation string, hours int64) {
		t.Helper()
		s, err := p.catalog.ByName(t.Context(), config.DevAccount, "yard")
		if err != nil {
			t.Fatal(err)
		}
		p.ask("UpdateDataRetention", &wire.UpdateDataRetentionInput{StreamARN: new(p.arn("yard")), CurrentVersion: &s.Version,
			Operation: &operation, DataRetentionChangeInHours: &hours}, nil)
	}
	expire(30*time.Minute, 6)
	change("INCREASE_DATA_RETENTION", 23)
	expire(2*time.Hour, 6)
	change("DECREASE_DATA_RETENTION", 23)
	expire(2*time.Hour, 0)
}

// A repair carries out what is due of erasures, as a start does: with an index that is made
// anew and without tombstones the fragments would be there again.
func TestARepairCarriesOutErasures(t *testing.T) {
	p := newPlant(t, nil)
	p.create("yard", 24)
	numbers := p.six("yard")
	p.do("EraseFragments", during("yard", at(2000), at(3500)), nil)
	left := p.list("yard")
	if len(left) == len(numbers) || len(left) == 0 {
		t.Fatalf("%d of %d are left", len(left), len(numbers))
	}
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tombstones", "index.db", "index.db-wal", "index.db-shm"} {
		if err := os.Remove(filepath.Join(p.config.Data, "archive", name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	r, err := Inspect(t.Context(), p.config, Inspection{Repair: true})
	if err != nil {
		t.Fatal(err)
	}
	if !r.After.Clean() || r.After.Fragments != int64(len(left)) {
		t.Errorf("%d fragments of %d are there after the repair, %v", r.After.Fragments, len(left), r.After.Findings)
	}
	again := newPlant(t, func(c *config.Config) { c.Data = p.config.Data })
	got := again.list("yard")
	slices.Sort(got)
	slices.Sort(left)
	if !slices.Equal(got, left) {
		t.Errorf("listed: %v, want %v", got, left)
	}
}
