package front

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/server"
	"github.com/millrace/millrace/sigv4"
)

// answer is a response writer in memory.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header              { return a.header }
func (a *answer) WriteHeader(status int)           { a.status = status }
func (a *answer) Write(b []byte) (int, error)      { return a.body.Write(b) }
func (a *answer) SetWriteDeadline(time.Time) error { return nil }
func (a *answer) reset()                           { clear(a.header); a.status = 0; a.body.Reset() }

// frontStreams is how many streams the calls are about, in turn.
const frontStreams = 64

// front is a server whose handler is called without a network.
type front struct {
	handler     http.Handler
	credentials aws.Credentials
	signer      *v4.Signer
	answer      answer
}

func newFront(b *testing.B) *front {
	b.Helper()
	c := config.Default()
	c.Data, c.HTTP, c.HTTPS, c.Account, c.Profile = b.TempDir(), "127.0.0.1:0", "", "123456789012", quota.AWS
	// The limits are checked, and never reached.
	c.Limits = map[string]string{"GetDataEndpoint.account-rate": "1000000/s", "GetDataEndpoint.stream-rate": "1000000/s",
		"CreateStream.account-rate": "1000000/s"}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.New(ctx, c, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	k := s.RootKey()
	f := &front{handler: s.Handler(), signer: v4.NewSigner(), answer: answer{header: http.Header{}},
		credentials: aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: k.Secret}}
	for i := range frontStreams {
		f.call(b, f.request(b, "/createStream", fmt.Sprintf(`{"StreamName":"front-%d"}`, i)))
	}
	return f
}

// request is a signed one as the server sees it.
func (f *front) request(b *testing.B, path, body string) *http.Request {
	b.Helper()
	r, err := http.NewRequest(http.MethodPost, "https://millrace.example:8443"+path, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "aws-sdk-go-v2/1.45.0 ua/2.1 os/linux lang/go#1.26.8 md/GOOS#linux md/GOARCH#amd64 api/kinesisvideo#1.33.0")
	r.Header.Set("Amz-Sdk-Invocation-Id", "b3b4f9b6-5f4d-4f9e-8d0e-2f6a1c1e7d10")
	r.Header.Set("Amz-Sdk-Request", "attempt=1; max=3")
	r.Header.Set("Accept-Encoding", "identity")
	f.sign(b, r, body, time.Now())
	r.RequestURI, r.Host, r.RemoteAddr = r.URL.RequestURI(), r.URL.Host, "192.0.2.7:40404"
	return r
}

func (f *front) sign(b *testing.B, r *http.Request, body string, at time.Time) {
	if err := f.signer.SignHTTP(context.Background(), f.credentials, r, sigv4.PayloadHash([]byte(body)), "kinesisvideo", "us-east-1", at); err != nil {
		b.Fatal(err)
	}
}

func (f *front) call(b *testing.B, r *http.Request) {
	f.answer.reset()
	if f.handler.ServeHTTP(&f.answer, r); f.answer.status != http.StatusOK {
		b.Fatalf("%d %s", f.answer.status, f.answer.body.String())
	}
}

// BenchmarkFront compares a GetDataEndpoint call, from the request's head to the answer
// written, with one signing of the same request by the AWS SDK. The two take turns, and
// the median of the turns' ratios counts.
func BenchmarkFront(b *testing.B) {
	const turns, calls = 21, 1000
	f := newFront(b)
	var requests []*http.Request
	var bodies []string
	for i := range frontStreams {
		bodies = append(bodies, fmt.Sprintf(`{"APIName":"PUT_MEDIA","StreamName":"front-%d"}`, i))
		requests = append(requests, f.request(b, "/getDataEndpoint", bodies[i]))
	}
	again := make([]http.Request, frontStreams)
	for i, r := range requests {
		again[i] = *r
		again[i].Header = r.Header.Clone()
	}
	serve := func(i int) {
		r := *requests[i%frontStreams] // each call has a request of its own
		r.Body = io.NopCloser(strings.NewReader(bodies[i%frontStreams]))
		f.call(b, &r)
	}
	start := time.Now()
	sign := func(i int) {
		r := &again[i%frontStreams]
		hash := sigv4.EmptyPayload // the SDK's signer is given the digest
		if err := f.signer.SignHTTP(context.Background(), f.credentials, r, hash, "kinesisvideo", "us-east-1", start.Add(time.Duration(i)*time.Millisecond)); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		var ratios, fronts, signings []float64
		for range turns {
			front, signing := timed(calls, serve), timed(calls, sign)
			fronts, signings = append(fronts, front), append(signings, signing)
			ratios = append(ratios, front/signing)
		}
		b.ReportMetric(median(fronts), "front-µs")
		b.ReportMetric(median(signings), "sdk-signing-µs")
		b.ReportMetric(testing.AllocsPerRun(1000, func() { serve(1) }), "front-allocs")
		b.ReportMetric(testing.AllocsPerRun(1000, func() { sign(1) }), "sdk-allocs")
		b.ReportMetric(slices.Min(ratios), "ratio-min")
		b.ReportMetric(slices.Max(ratios), "ratio-max")
		b.ReportMetric(median(ratios), "ratio")
		if got := median(ratios); got > 6 {
			b.Errorf("GOAL MISSED: a call costs %.1f signings of the SDK, at most 6 are wanted", got)
		}
	}
}

// timed is how long one call of do takes, in microseconds.
func timed(calls int, do func(i int)) float64 {
	start := time.Now()
	for i := range calls {
		do(i)
	}
	return float64(time.Since(start).Nanoseconds()) / 1000 / float64(calls)
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}
