package server

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/mkv"
	"github.com/millrace/millrace/sigv4"
)

// codes are the ids of the ERRORs that a whole body is answered with.
func (h *hall) codes(s kvs.Stream, body ...[]byte) (all []int) {
	h.test.Helper()
	for _, a := range h.send(s.Name, body...) {
		if a.Type == client.Failed {
			all = append(all, a.ErrorID)
		}
	}
	return all
}

func (h *hall) wantCodes(want int, got []int) {
	h.test.Helper()
	if !slices.Equal(got, []int{want}) {
		h.test.Errorf("ERRORs %v, want %d", got, want)
	}
}

// fragment is a cluster of three frames of so many bytes, which lasts so many
// milliseconds.
func fragment(start, lasts, frame int) []byte {
	b := mkv.AppendClusterUnknown(nil, uint64(epoch+start))
	for i := range 3 {
		b = mkv.AppendSimpleBlock(b, mkv.BlockHeader{Track: 1, Time: int16(i * lasts / 3), Key: i == 0}, bytes.Repeat([]byte{byte(i)}, frame))
	}
	return b
}

// film stores n fragments of a second and returns their numbers.
func (h *hall) film(s kvs.Stream, n, frame int) []string {
	h.test.Helper()
	h.set(s, "PutMedia.bandwidth", "none", "PutMedia.fragment-rate", "none")
	body := documentOf()
	for i := range n {
		body = append(body, fragment(1000*i, 1002, frame)...)
	}
	if codes := h.codes(s, body); codes != nil {
		h.test.Fatalf("ERRORs %v", codes)
	}
	var out wire.ListFragmentsOutput
	h.ask("ListFragments", &wire.ListFragmentsInput{StreamName: &s.Name, FragmentSelector: everything()}, &out)
	numbers := make([]string, len(out.Fragments))
	for i, f := range out.Fragments {
		numbers[i] = *f.FragmentNumber
	}
	if len(numbers) != n {
		h.test.Fatalf("%d fragments are stored, want %d", len(numbers), n)
	}
	return numbers
}

// takes checks that f lasts at least so long because of the limit.
func (h *hall) takes(l *quota.Limit, least time.Duration, f func()) {
	h.test.Helper()
	start := time.Now()
	f()
	if took := time.Since(start); took < least {
		h.test.Errorf("took %v, want %v at least", took, least)
	}
	if h.waited(l) == 0 {
		h.test.Error("the wait is not counted")
	}
}

// while lets the clock of a hall run while f does.
func (h *hall) while(step time.Duration, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.pass(step)
		case <-done:
			return
		}
	}
}

func tooManyStreams(h *hall, l *quota.Limit) {
	const a, key, secret = kvs.AccountID("333344445555"), "AKIAFULL000000000000", "the secret of the full one"
	if err := h.keys.EnsureKey(h.test.Context(), a, key, secret); err != nil {
		h.test.Fatal(err)
	}
	who := h.clientOf("https")
	who.Credentials = sigv4.Credentials{AccessKey: key, Secret: secret}
	if err := h.book.Set(h.test.Context(), quota.Target{Account: a}, l.Name, "3"); err != nil { // the test against real clients makes 10,000
		h.test.Fatal(err)
	}
	for i := range 3 {
		if err := h.call(who, "CreateStream", fmt.Sprintf(`{"StreamName":"cam%d"}`, i)); err != nil {
			h.test.Fatal(err)
		}
	}
	h.refused(h.call(who, "CreateStream", `{"StreamName":"cam3"}`), "AccountStreamLimitExceededException")
}

func tooManyTags(h *hall, _ *quota.Limit) {
	s := h.own(24)
	for i := range 5 {
		tags := map[string]string{}
		for j := range 10 {
			tags[fmt.Sprint(i, "-", j)] = "v"
		}
		h.set(s, "TagStream.stream-rate", "none")
		h.ask("TagStream", &wire.TagStreamInput{StreamName: &s.Name, Tags: tags}, &wire.TagStreamOutput{})
	}
	h.refused(h.call(h.Client, "TagStream", `{"StreamName":"`+s.Name+`","Tags":{"one more":""}}`), "TagsPerResourceExceededLimitException")
}

// newestWins has a hall of its own: other proofs displace sessions, too, and this one
// counts them.
func newestWins(h *hall, l *quota.Limit) {
	h = newHall(h.test)
	s := h.own(24)
	old := h.put(s.Name)
	old.write(clusterOf(0), endOfFragment)
	old.until(client.Persisted)
	newer := h.put(s.Name)
	newer.write(clusterOf(1), endOfFragment)
	newer.until(client.Persisted)
	if acks, err := old.rest(); err != nil || len(acks) > 0 {
		h.test.Errorf("the older session ended with %v, %v", acks, err)
	}
	if n := h.breaches(l); n != 1 {
		h.test.Errorf("%v sessions were displaced, want 1", n)
	}
}

// slow is a bandwidth that every machine is faster than; a fragment of 150 KB takes a
// fifth of a second, as a tenth of a second's worth goes at once. The values of the
// profile are proved by the clock of package quota's tests.
const slow = "500KB/s"

func slowIn(h *hall, l *quota.Limit) {
	s := h.own(24)
	h.set(s, l.Name, slow)
	h.takes(l, 200*time.Millisecond, func() {
		if codes := h.codes(s, documentOf(), fragment(0, 1002, 50_000)); codes != nil {
			h.test.Errorf("ERRORs %v", codes)
		}
	})
}

func fewIn(h *hall, l *quota.Limit) {
	s := h.own(24)
	body := documentOf()
	for i := range 10 {
		body = append(body, clusterOf(i)...)
	}
	h.takes(l, 900*time.Millisecond, func() { // five at once, five in a second
		if codes := h.codes(s, body); codes != nil {
			h.test.Errorf("ERRORs %v", codes)
		}
	})
}

func tooOld(shared *hall, _ *quota.Limit) {
	h := newHall(shared.test)
	s := h.own(24)
	u := h.put(s.Name)
	u.write(clusterOf(0))
	u.until(client.Buffering)
	h.set(s, "PutMedia.idle", "none")
	h.while(time.Minute, func() {
		acks, err := u.rest()
		if n := len(acks); err != nil || n == 0 || acks[n-1].ErrorID != 4003 {
			h.test.Errorf("ended with %v, %v", acks, err)
		}
	})
	if passed := time.Duration(h.passed.Load()); passed < 45*time.Minute {
		h.test.Errorf("ended after %v", passed)
	}
}

func tooQuiet(shared *hall, _ *quota.Limit) {
	h := newHall(shared.test)
	u := h.put(h.own(24).Name)
	u.write(clusterOf(0), endOfFragment)
	u.until(client.Persisted)
	idle := 0
	h.while(time.Second, func() {
		for {
			a, err := u.Next()
			if err == io.EOF {
				return
			}
			if err != nil || a.Type != client.Idle {
				h.test.Errorf("%s, %v", a.Raw, err)
				return
			}
			idle++
		}
	})
	if passed := time.Duration(h.passed.Load()); idle == 0 || passed < 30*time.Second {
		h.test.Errorf("ended after %v and %d IDLE", passed, idle)
	}
}

func refusedFragment(code, lasts, frame int) proof {
	return func(h *hall, _ *quota.Limit) {
		s := h.own(24)
		h.set(s, "PutMedia.bandwidth", "none")
		h.wantCodes(code, h.codes(s, documentOf(), fragment(0, lasts, frame), clusterOf(30)))
	}
}

func fourTracks(h *hall, _ *quota.Limit) {
	tracks := make([]mkv.Track, 4)
	for i := range tracks {
		tracks[i] = mkv.Track{Number: uint64(i + 1), UID: uint64(i + 1), Type: mkv.VideoTrack, CodecID: "V_MPEG4/ISO/AVC"}
	}
	b := mkv.AppendSegmentUnknown(mkv.AppendEBML(nil, mkv.Header{DocType: "matroska"}))
	h.wantCodes(4005, h.codes(h.own(24), mkv.AppendTracks(b, tracks), clusterOf(0)))
}

func overlapping(h *hall, _ *quota.Limit) {
	h.wantCodes(4004, h.codes(h.own(24), documentOf(), clusterOf(0), fragment(500, 1002, 100), clusterOf(2)))
}

func refusedMetadata(n int, name, value string) proof {
	return func(h *hall, _ *quota.Limit) {
		var tag mkv.Tag
		for i := range n {
			item := mkv.SimpleTag{Name: name, Value: value}
			if n > 1 {
				item.Name += fmt.Sprint(i)
			}
			tag.Simple = append(tag.Simple, item)
		}
		h.wantCodes(4009, h.codes(h.own(24), documentOf(), clusterOf(0), mkv.AppendTags(nil, []mkv.Tag{tag}), clusterOf(1), clusterOf(2)))
	}
}

func fullBuffer(shared *hall, l *quota.Limit) {
	h := newHall(shared.test, l.Name, "1MB") // 200 MB are for a larger machine
	s := h.own(0)
	h.set(s, "PutMedia.bandwidth", "none")
	h.send(s.Name, documentOf(), fragment(0, 1002, 200_000), fragment(1000, 1002, 200_000), fragment(2000, 1002, 200_000))
	if n := h.gauge(`millrace_live_evicted_total{reason="bound"}`); n == 0 {
		h.test.Error("nothing left the buffer")
	}
	if number, err := h.get(s.Name, "EARLIEST").next("FRAGMENT_NUMBER"); err != nil || strings.HasSuffix(number, "001") {
		h.test.Errorf("the oldest fragment is %s, %v", number, err)
	}
}

func oldBuffer(shared *hall, _ *quota.Limit) {
	h := newHall(shared.test)
	s := h.own(0)
	h.send(s.Name, documentOf(), clusterOf(0))
	st := h.live.Acquire(s.ID)
	defer st.Release()
	if len(st.All()) != 1 {
		h.test.Fatal("the fragment is not in the buffer")
	}
	h.while(10*time.Second, func() {
		look := time.NewTicker(50 * time.Millisecond)
		defer look.Stop()
		for len(st.All()) > 0 {
			<-look.C
		}
	})
	if passed := time.Duration(h.passed.Load()); passed < 5*time.Minute {
		h.test.Errorf("left after %v", passed)
	}
}

// hold makes a call whose answer goes on until the test ends.
func (h *hall) hold(operation string, in wire.Input) io.Reader {
	h.test.Helper()
	r, err := h.Stream(h.test.Context(), wire.ByName(operation), in)
	if err != nil {
		h.test.Fatal(err)
	}
	h.test.Cleanup(func() { _ = r.Body.Close() })
	return r.Body
}

func fromTheFirst(s kvs.Stream) *wire.GetMediaInput {
	return &wire.GetMediaInput{StreamName: &s.Name, StartSelector: &wire.StartSelector{StartSelectorType: new("EARLIEST")}}
}

func tooManyReaders(h *hall, l *quota.Limit) {
	s := h.own(24)
	for range 3 {
		h.hold("GetMedia", fromTheFirst(s))
	}
	h.refused(h.call(h.Client, "GetMedia", `{"StreamName":"`+s.Name+`","StartSelector":{"StartSelectorType":"NOW"}}`), l.Breach)
}

func tooManyLists(h *hall, l *quota.Limit) {
	s := h.own(24)
	h.set(s, "GetMediaForFragmentList.bandwidth", "1KB/s") // so that they last
	for range 5 {
		h.hold("GetMediaForFragmentList", &wire.GetMediaForFragmentListInput{StreamName: &s.Name, Fragments: slices.Repeat([]string{"7"}, 100)})
	}
	h.refused(h.call(h.Client, "GetMediaForFragmentList", `{"StreamName":"`+s.Name+`","Fragments":["7"]}`), l.Breach)
}

func slowOut(h *hall, l *quota.Limit) {
	s := h.own(24)
	h.film(s, 1, 50_000)
	h.set(s, l.Name, slow)
	h.takes(l, 200*time.Millisecond, func() {
		if _, err := io.CopyN(io.Discard, h.hold("GetMedia", fromTheFirst(s)), 150_000); err != nil {
			h.test.Error(err)
		}
	})
}

func slowList(h *hall, l *quota.Limit) {
	s := h.own(24)
	numbers := h.film(s, 1, 50_000)
	h.set(s, l.Name, slow)
	h.takes(l, 200*time.Millisecond, func() {
		if n, err := io.Copy(io.Discard, h.hold("GetMediaForFragmentList", &wire.GetMediaForFragmentListInput{StreamName: &s.Name, Fragments: numbers})); err != nil || n < 150_000 {
			h.test.Error(n, err)
		}
	})
}

func fewOut(h *hall, l *quota.Limit) {
	s := h.own(24)
	h.film(s, 12, 100)
	h.takes(l, 900*time.Millisecond, func() { // six at once, six in a second
		v := &view{t: h.test, r: mkv.NewReader(h.hold("GetMedia", fromTheFirst(s)), mkv.Options{})}
		for range 12 {
			if _, err := v.next("FRAGMENT_NUMBER"); err != nil {
				h.test.Fatal(err)
			}
		}
	})
}

func idleReader(shared *hall, _ *quota.Limit) {
	h := newHall(shared.test)
	body := h.hold("GetMedia", fromTheFirst(h.own(24)))
	h.while(100*time.Millisecond, func() {
		if n, err := io.Copy(io.Discard, body); err != nil || n > 0 {
			h.test.Errorf("%d bytes, %v", n, err)
		}
	})
	if passed := time.Duration(h.passed.Load()); passed < 2900*time.Millisecond {
		h.test.Errorf("ended after %v", passed)
	}
}

func longList(h *hall, l *quota.Limit) {
	s := h.own(24)
	list := func(n int) error {
		return h.call(h.Client, "GetMediaForFragmentList", `{"StreamName":"`+s.Name+`","Fragments":["7"`+strings.Repeat(`,"7"`, n-1)+`]}`)
	}
	h.refused(list(1001), "InvalidArgumentException")
	h.set(s, l.Name, "2")
	h.refused(list(3), "InvalidArgumentException")
	if err := list(2); err != nil {
		h.test.Error(err)
	}
}

func pageOf(s kvs.Stream, n int) string {
	return fmt.Sprintf(`{"StreamName":"%s","MaxResults":%d,"FragmentSelector":{"FragmentSelectorType":"SERVER_TIMESTAMP","TimestampRange":{"StartTimestamp":0,"EndTimestamp":1}}}`, s.Name, n)
}

func longPage(h *hall, l *quota.Limit) {
	s := h.own(24)
	h.refused(h.call(h.Client, "ListFragments", pageOf(s, 1001)), "InvalidArgumentException")
	h.set(s, l.Name, "20")
	h.refused(h.call(h.Client, "ListFragments", pageOf(s, 21)), "InvalidArgumentException")
	if err := h.call(h.Client, "ListFragments", pageOf(s, 20)); err != nil {
		h.test.Error(err)
	}
}

func spentMetadata(h *hall, l *quota.Limit) {
	s := h.own(24)
	for range 10 {
		if err := h.call(h.Client, "ListFragments", pageOf(s, 1000)); err != nil {
			h.test.Fatal(err)
		}
	}
	h.refused(h.call(h.Client, "ListFragments", pageOf(s, 1)), l.Breach)
}

func spentMedia(h *hall, l *quota.Limit) {
	s := h.own(24)
	list := func(n int) error {
		return h.call(h.Client, "GetMediaForFragmentList", `{"StreamName":"`+s.Name+`","Fragments":["7"`+strings.Repeat(`,"7"`, n-1)+`]}`)
	}
	for range 5 {
		if err := list(100); err != nil {
			h.test.Fatal(err)
		}
	}
	h.refused(list(1), l.Breach)
}

func tooManyStrangers(shared *hall, l *quota.Limit) {
	h := newHall(shared.test, l.Name, "3") // 1,024 are too many files for some machines
	oldest := h.dial()
	for range 3 {
		h.dial()
	}
	if _, err := oldest.Read(make([]byte, 1)); err == nil {
		h.test.Error("the oldest connection was not closed")
	}
}

// tooMuchStored: the oldest fragments go.
func tooMuchStored(h *hall, l *quota.Limit) {
	s := h.own(24)
	numbers := h.film(s, 20, 20_000)
	slices.Sort(numbers)
	h.set(s, l.Name, "1MB")
	if err := h.archive.Expire(h.test.Context()); err != nil {
		h.test.Fatal(err)
	}
	got := h.list(s.Name)
	slices.Sort(got)
	if !slices.Equal(got, numbers[4:]) { // 60 kB each, and what sealing adds
		h.test.Errorf("%d of %d are left: %v", len(got), len(numbers), got)
	}
}
