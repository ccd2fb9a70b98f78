package server

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

// proof breaks a limit and checks that what was promised happens.
type proof func(h *hall, l *quota.Limit)

// proofs are for the limits of what is served, by name; those of requests a second are
// all proved by [floods]. What is not served yet is proved by [onPaper].
var proofs = map[string]proof{
	"account.streams":                   tooManyStreams,
	"stream.tags":                       tooManyTags,
	"account.channels":                  tooManyChannels,
	"channel.tags":                      tooManyChannelTags,
	"account.storage-channels":          tooManyStoring,
	"stream.bytes":                      tooMuchStored,
	"PutMedia.sessions":                 newestWins,
	"PutMedia.bandwidth":                slowIn,
	"PutMedia.fragment-rate":            fewIn,
	"PutMedia.session-age":              tooOld,
	"PutMedia.idle":                     tooQuiet,
	"fragment.bytes":                    refusedFragment(4001, 3000, 50_000_000),
	"fragment.duration":                 refusedFragment(4002, 20_100, 100),
	"fragment.min-duration":             refusedFragment(4013, 900, 100),
	"fragment.tracks":                   fourTracks,
	"fragment.overlap":                  overlapping,
	"fragment.metadata":                 refusedMetadata(11, "name", "value"),
	"fragment.metadata-name":            refusedMetadata(1, strings.Repeat("n", 129), "value"),
	"fragment.metadata-value":           refusedMetadata(1, "name", strings.Repeat("v", 257)),
	"fragment.image-prefix":             refusedMetadata(1, "AWS_KINESISVIDEO_IMAGE_PREFIX", strings.Repeat("v", 257)),
	"buffer.bytes":                      fullBuffer,
	"buffer.age":                        oldBuffer,
	"GetMedia.sessions":                 tooManyReaders,
	"GetMedia.bandwidth":                slowOut,
	"GetMedia.fragment-rate":            fewOut,
	"GetMedia.idle":                     idleReader,
	"GetMediaForFragmentList.sessions":  tooManyLists,
	"GetMediaForFragmentList.bandwidth": slowList,
	"GetMediaForFragmentList.fragments": longList,
	"ListFragments.results":             longPage,
	"GetClip.bytes":                     shortClip,
	"GetClip.fragments":                 shortClip,
	"points.metadata":                   spentMetadata,
	"points.media":                      spentMedia,
	"listener.strangers":                tooManyStrangers,
	"GetHLSMasterPlaylist.session-rate": busySession,
	"GetHLSMediaPlaylist.session-rate":  busySession,
	"GetDASHManifest.session-rate":      busySession,
	"GetMP4InitFragment.session-rate":   busySession,
	"GetMP4MediaFragment.session-rate":  busySession,
	"GetTSFragment.session-rate":        busySession,
	"GetHLSMediaPlaylist.fragments":     shortLists,
	"GetDASHManifest.fragments":         shortLists,
	"playback.range":                    longRange,
	"playback.live":                     stillCamera,
	"playback.codec-changes":            manyCodecSets,
	"ConnectAsMaster.sessions":          newestMasterWins,
	"ConnectAsViewer.sessions":          tooManyViewers,
	"signaling.session-age":             tooOldSocket,
	"signaling.idle":                    idleSocket,
	"signaling.go-away":                 goAway,
	"SendSDPOffer.session-rate":         tooFastSocket("SDP_OFFER"),
	"SendSDPAnswer.session-rate":        tooFastSocket("SDP_ANSWER"),
	"SendICECandidate.session-rate":     tooFastSocket("ICE_CANDIDATE"),
	"SendSDPOffer.bytes":                tooLongSocket("SDP_OFFER"),
	"SendSDPAnswer.bytes":               tooLongSocket("SDP_ANSWER"),
	"SendICECandidate.bytes":            tooLongSocket("ICE_CANDIDATE"),
	"GetIceServerConfig.session-age":    oldICESession,
	"relay.allocations":                 tooManyAllocations,
	"relay.bandwidth":                   tooMuchRelayed,
	"relay.credential-age":              oldRelayCredentials,
}

// TestEveryLimit breaks every limit of the table in the profile aws, each by one proof.
func TestEveryLimit(t *testing.T) {
	if err := unproved(proofs); err != nil {
		t.Fatal(err)
	}
	shared := newHall(t)
	// More at a time than there are processors: most of them wait.
	var all sync.WaitGroup
	defer all.Wait()
	room := make(chan struct{}, 16)
	for _, l := range quota.Table() {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			t.Run(l.Name, func(t *testing.T) { prove(t, shared, l) })
		})
	}
}

func prove(t *testing.T, shared *hall, l *quota.Limit) {
	switch {
	case !l.Served():
		onPaper(t, l)
	case isRequestRate(l):
		floods(shared.in(t), l)
	default:
		proofs[l.Name](shared.in(t), l)
	}
}

// unproved compares the proofs with the table.
func unproved(all map[string]proof) error {
	var wrong []error
	for _, l := range quota.Table() {
		_, proved := all[l.Name]
		switch {
		case !l.Served() && proved:
			wrong = append(wrong, fmt.Errorf("%s: has a proof, but its operation %s is not served", l.Name, l.Operation))
		case l.Served() && !isRequestRate(l) && !proved:
			wrong = append(wrong, fmt.Errorf("%s: %s is served, so %s has to enforce the limit, and a proof has to stand in proofs", l.Name, l.Operation, l.Room))
		case l.Served() && isRequestRate(l) && l.Operation != "PutMedia" && calls[l.Operation] == "":
			wrong = append(wrong, fmt.Errorf("%s: %s is served, so its call has to stand in calls", l.Name, l.Operation))
		}
	}
	for name := range all {
		if _, ok := quota.Lookup(name); !ok {
			wrong = append(wrong, fmt.Errorf("%s: is no limit", name))
		}
	}
	return errors.Join(wrong...)
}

// A row that nobody proves, and a proof of no row, are found.
func TestUnprovedLimitsAreFound(t *testing.T) {
	fewer := map[string]proof{"from.nowhere": tooOld, "GetImages.bytes": tooOld}
	for name, p := range proofs {
		if name != "points.media" {
			fewer[name] = p
		}
	}
	err := unproved(fewer)
	for _, want := range []string{"points.media: GetMediaForFragmentList is served", "from.nowhere: is no limit", "GetImages.bytes: has a proof"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// isRequestRate says whether the front enforces the limit.
func isRequestRate(l *quota.Limit) bool { return l.Room == "api" }

// hall is a plant in the profile aws whose clock stands still unless a proof moves it.
type hall struct {
	*plant
	passed *atomic.Int64  // nanoseconds
	test   *testing.T     // of the proof
	second *client.Client // with a key of the account where streams are not limited
}

// crowd is the account for limits of accounts: those of its streams are lifted.
const crowd kvs.AccountID = "222233334444"

func newHall(t *testing.T, settings ...string) *hall {
	h := &hall{passed: &atomic.Int64{}, test: t}
	start := time.Now()
	h.plant = newPlant(t, func(c *config.Config) {
		c.Turn.Listen, c.Turn.Advertise, c.Turn.AllowPeers = []string{"127.0.0.1:0"}, []string{"127.0.0.1"}, []string{"127.0.0.0/8"}
		c.Profile, c.Limits, c.GetMedia.Idle = quota.AWS, map[string]string{}, 3*time.Second
		for i := 0; i < len(settings); i += 2 {
			c.Limits[settings[i]] = settings[i+1]
		}
		c.Now = func() time.Time { return start.Add(time.Duration(h.passed.Load())) }
	})
	const key, secret = "AKIACROWD00000000000", "the secret of the crowd"
	if err := h.keys.EnsureKey(t.Context(), crowd, key, secret); err != nil {
		t.Fatal(err)
	}
	h.second = h.clientOf("https")
	h.second.Credentials = sigv4.Credentials{AccessKey: key, Secret: secret}
	for _, l := range quota.Table() {
		if isRequestRate(l) && (l.Scope == quota.Stream || l.Scope == quota.Channel) {
			if err := h.book.Set(t.Context(), quota.Target{Account: crowd}, l.Name, quota.None); err != nil {
				t.Fatal(err)
			}
		}
	}
	return h
}

// in is the same hall for another test.
func (h *hall) in(t *testing.T) *hall {
	p := &plant{Server: h.Server, Client: h.Client, t: t, config: h.config}
	return &hall{plant: p, passed: h.passed, test: t, second: h.second}
}

// pass moves the server's clock.
func (h *hall) pass(d time.Duration) { h.passed.Add(int64(d)) }

// stream makes a stream without a request.
func (h *hall) stream(a kvs.AccountID, name string, hours int) kvs.Stream {
	h.test.Helper()
	s, err := h.catalog.Create(h.test.Context(), catalog.NewStream{Account: a, Name: name, Retention: hours})
	if err != nil {
		h.test.Fatal(err)
	}
	return s
}

// own is the stream of this proof.
func (h *hall) own(hours int) kvs.Stream {
	h.test.Helper()
	return h.stream(config.DevAccount, strings.NewReplacer("/", "-", "TestEveryLimit", "").Replace(h.test.Name())[1:], hours)
}

// set sets limits of a stream: names and values in turns.
func (h *hall) set(s kvs.Stream, pairs ...string) {
	h.test.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if err := h.book.Set(h.test.Context(), quota.Target{Account: s.Account, Stream: s.ID}, pairs[i], pairs[i+1]); err != nil {
			h.test.Fatal(err)
		}
	}
}

// refused checks the answer to a call beyond the limit.
func (h *hall) refused(err error, exception string) {
	h.test.Helper()
	e, ok := errors.AsType[*client.Error](err)
	if !ok || e.Status != 400 || e.Exception != exception {
		h.test.Errorf("got %v, want %s with status 400", err, exception)
	}
}

// call calls an operation with a JSON input.
func (h *hall) call(c *client.Client, operation, in string) error {
	h.test.Helper()
	op := wire.ByName(operation)
	input := op.Input()
	if err := wire.Decode([]byte(in), input); err != nil {
		h.test.Fatal(err)
	}
	r, err := c.Stream(h.test.Context(), op, input)
	if err == nil {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	return err
}

// calls are one call of each operation whose rate is limited. $NAME and $ARN are the
// stream's, $CHANNEL is the channel's ARN; a stale version makes the call change nothing.
var calls = map[string]string{
	"CreateStream":                        `{"StreamName":"$NAME"}`,
	"ListStreams":                         `{"MaxResults":1}`,
	"DescribeStream":                      `{"StreamName":"$NAME"}`,
	"DeleteStream":                        `{"StreamARN":"$ARN","CurrentVersion":"stale"}`,
	"UpdateStream":                        `{"StreamName":"$NAME","CurrentVersion":"stale","DeviceName":"cam"}`,
	"UpdateDataRetention":                 `{"StreamName":"$NAME","CurrentVersion":"stale","Operation":"INCREASE_DATA_RETENTION","DataRetentionChangeInHours":1}`,
	"DescribeStreamStorageConfiguration":  `{"StreamName":"$NAME"}`,
	"UpdateStreamStorageConfiguration":    `{"StreamName":"$NAME","CurrentVersion":"stale","StreamStorageConfiguration":{"DefaultStorageTier":"WARM"}}`,
	"TagStream":                           `{"StreamName":"$NAME","Tags":{"a":"b"}}`,
	"UntagStream":                         `{"StreamName":"$NAME","TagKeyList":["a"]}`,
	"ListTagsForStream":                   `{"StreamName":"$NAME"}`,
	"TagResource":                         `{"ResourceARN":"$ARN","Tags":[{"Key":"a","Value":"b"}]}`,
	"UntagResource":                       `{"ResourceARN":"$ARN","TagKeyList":["a"]}`,
	"ListTagsForResource":                 `{"ResourceARN":"$ARN"}`,
	"GetDataEndpoint":                     `{"StreamName":"$NAME","APIName":"GET_MEDIA"}`,
	"GetHLSStreamingSessionURL":           `{"StreamName":"$NAME"}`,
	"GetDASHStreamingSessionURL":          `{"StreamName":"$NAME"}`,
	"CreateSignalingChannel":              `{"ChannelName":"$NAME"}`,
	"ListSignalingChannels":               `{"MaxResults":1}`,
	"DescribeSignalingChannel":            `{"ChannelARN":"$CHANNEL"}`,
	"UpdateSignalingChannel":              `{"ChannelARN":"$CHANNEL","CurrentVersion":"stale","SingleMasterConfiguration":{"MessageTtlSeconds":5}}`,
	"DeleteSignalingChannel":              `{"ChannelARN":"$CHANNEL","CurrentVersion":"stale"}`,
	"DescribeMediaStorageConfiguration":   `{"ChannelARN":"$CHANNEL"}`,
	"UpdateMediaStorageConfiguration":     `{"ChannelARN":"$CHANNEL","MediaStorageConfiguration":{"Status":"DISABLED"}}`,
	"DescribeMappedResourceConfiguration": `{"StreamName":"$NAME"}`,
	"GetSignalingChannelEndpoint":         `{"ChannelARN":"$CHANNEL"}`,
	"GetIceServerConfig":                  `{"ChannelARN":"$CHANNEL"}`,
	"SendAlexaOfferToMaster":              `{"ChannelARN":"$CHANNEL","SenderClientId":"alexa","MessagePayload":"a"}`,
	"ConnectAsMaster":                     "-",
	"ConnectAsViewer":                     "-",
	"GetMedia":                            `{"StreamName":"$NAME","StartSelector":{"StartSelectorType":"FRAGMENT_NUMBER"}}`,
}

// floods calls as often as the limit allows, and once more.
func floods(h *hall, l *quota.Limit) {
	a, who := kvs.AccountID(config.DevAccount), h.Client
	if l.Scope == quota.Account {
		a, who = crowd, h.second
	}
	s := h.stream(a, strings.ReplaceAll(l.Name, ".", "-"), 24)
	ch := h.channel(a, s.Name)
	once := func() error {
		if l.Operation == "PutMedia" {
			u, err := who.PutMedia(h.test.Context(), client.PutMediaRequest{StreamName: s.Name, Body: strings.NewReader("")})
			if err == nil {
				_ = u.Close()
			}
			return err
		}
		if wire.IsSocket(l.Operation) {
			ws, err := h.knock(who, ch.ARN().String(), map[string]string{"ConnectAsViewer": "anna"}[l.Operation])
			if err == nil {
				_ = ws.CloseNow()
			}
			return err
		}
		return h.call(who, l.Operation, strings.NewReplacer("$NAME", s.Name, "$ARN", s.ARN().String(), "$CHANNEL", ch.ARN().String()).Replace(calls[l.Operation]))
	}
	const exception = "ClientLimitExceededException"
	for i := range int(l.AWS) {
		if e, ok := errors.AsType[*client.Error](once()); ok && e.Exception == exception {
			h.test.Fatalf("call %d of %v allowed ones was refused: %v", i+1, l.AWS, e)
		}
	}
	err := once()
	h.refused(err, exception)
	subject := map[quota.Scope]string{quota.Account: "account '" + string(crowd), quota.Stream: "resource '" + s.Name, quota.Channel: "resource '" + ch.Name}[l.Scope]
	if want := "Limit exceeded on number of requests for " + l.Operation + " API for " + subject + "'"; err == nil || !strings.HasSuffix(err.Error(), want) {
		h.test.Errorf("got %v, want %s", err, want)
	}
}

// breaches and waited are what the metrics say about a limit.
func (h *hall) breaches(l *quota.Limit) float64 {
	return h.gauge(`millrace_limit_breaches_total{limit="` + l.Name + `"}`)
}

func (h *hall) waited(l *quota.Limit) float64 {
	return h.gauge(`millrace_limit_wait_seconds_total{limit="` + l.Name + `"}`)
}
