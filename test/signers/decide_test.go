package signers

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/millrace/millrace/internal/authority"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/policy"
	"github.com/millrace/millrace/sigv4"
)

const garden = "arn:aws:kinesisvideo:us-east-1:111122223333:stream/garden/1574203743620"

// keys are what the front door knows of a call.
var keys = policy.MapKeys{
	"aws:currenttime": {"2026-05-17T08:30:15Z"}, "aws:epochtime": {"1779006615"}, "aws:securetransport": {"true"},
	"aws:sourceip": {"203.0.113.7"}, "aws:useragent": {"aws-sdk-go-v2/1.45.0"}, "aws:requestedregion": {"us-east-1"},
	"aws:principalarn": {"arn:aws:iam::111122223333:user/anna"}, "aws:principalaccount": {"111122223333"},
	"aws:username": {"anna"}, "aws:userid": {"AIDAAAAAAAAAAAAAAAAA"}, "aws:principaltag/site": {"north"},
	"aws:resourcetag/site": {"north"}, "aws:resourcetag/owner": {"bob"}, "millrace:listener": {"https"},
}

// tenStatements are those of one policy. None of them but the last of the last policy
// allows GetMedia of the garden; most speak of it and fail late, at their resource or
// condition.
func tenStatements(i int, grants bool) string {
	const stream = "arn:aws:kinesisvideo:us-east-1:111122223333:stream/"
	statements := []string{
		fmt.Sprintf(`{"Effect":"Allow","Action":["kinesisvideo:PutMedia","kinesisvideo:DescribeStream","kinesisvideo:GetDataEndpoint"],"Resource":"%scamera-%d/*"}`, stream, i),
		fmt.Sprintf(`{"Effect":"Allow","Action":"kinesisvideo:Get*","Resource":["%syard-%d/*","%s*-gate-%d/*"]}`, stream, i, stream, i),
		`{"Effect":"Allow","Action":"kinesisvideo:*","Resource":"arn:aws:kinesisvideo:*:*:stream/${aws:username}/*"}`,
		`{"Effect":"Allow","Action":"kinesisvideo:GetMedia","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/owner":"${aws:username}"}}}`,
		`{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":["203.0.113.0/24","2001:db8::/32"]}}}`,
		`{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`,
		`{"Effect":"Deny","NotAction":["kinesisvideo:Get*","kinesisvideo:List*","kinesisvideo:Describe*"],"Resource":"*","Condition":{"StringLike":{"aws:UserAgent":"*curl*"}}}`,
		`{"Effect":"Allow","Action":"kinesisvideo:Get*","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}}`,
		`{"Effect":"Allow","Action":["iam:Get*","iam:List*","sts:AssumeRole"],"Resource":"*"}`,
		fmt.Sprintf(`{"Effect":"Allow","Action":"kinesisvideo:GetMedia","Resource":"%s*%d/*"}`, stream, i),
	}
	if grants {
		statements[9] = `{"Effect":"Allow","Action":"kinesisvideo:GetMedia","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/site":"${aws:PrincipalTag/site}"}}}`
	}
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// twentyPolicies are those of a user; the last one allows.
func twentyPolicies(b *testing.B) *policy.Set {
	b.Helper()
	s := &policy.Set{}
	for i := range 20 {
		d, err := policy.Parse(policy.Identity, []byte(tenStatements(i, i == 19)))
		if err != nil {
			b.Fatal(err)
		}
		s.Identity = append(s.Identity, policy.Source{Name: fmt.Sprint("policy ", i), Document: d})
	}
	return s
}

// anna is the user that asks.
var anna = kvs.Principal{Account: "111122223333", Kind: kvs.UserPrincipal, ARN: "arn:aws:iam::111122223333:user/anna",
	ID: "AIDAAAAAAAAAAAAAAAAA", Name: "anna", Path: "/", AccessKey: "AKIDEXAMPLE", Home: true}

// BenchmarkDecide is a decision over 20 policies of 10 statements.
func BenchmarkDecide(b *testing.B) {
	set := twentyPolicies(b)
	beside(b, func() {
		r := &policy.Request{Action: "kinesisvideo:GetMedia", Resource: garden, Keys: keys,
			Principal: policy.Who{Account: string(anna.Account), ARN: anna.ARN, ID: anna.ID}}
		if d := policy.Decide(r, set); !d.Allowed || d.Source != "policy 19" {
			b.Fatalf("%+v", d)
		}
	})
}

// remembered is a directory that has the policies of the caller in memory.
type remembered struct{ *policy.Set }

func (r remembered) Rights(context.Context, kvs.Principal) (*policy.Set, error) { return r.Set, nil }
func (r remembered) Valid(context.Context, kvs.Principal) error                 { return nil }

// BenchmarkAuthorize is the whole question of a call about the same policies: conditions
// are asked of the request itself.
func BenchmarkAuthorize(b *testing.B) {
	tags := map[string]string{"site": "north"}
	a := authority.New(authority.Options{Directory: remembered{twentyPolicies(b)},
		Tags: func(context.Context, kvs.Principal) (map[string]string, error) { return tags, nil }})
	owned := map[string]string{"site": "north", "owner": "bob"}
	beside(b, func() {
		ask := &authority.Ask{Principal: &anna, Action: "kinesisvideo:GetMedia", Resource: garden, Owner: anna.Account, Tags: owned,
			Request: authority.Request{Time: now, Secure: true, Source: netip.AddrFrom4([4]byte{203, 0, 113, 7}), UserAgent: "aws-sdk-go-v2/1.45.0",
				Region: "us-east-1", Listener: "https"}}
		if err := a.Authorize(context.Background(), ask); err != nil {
			b.Fatal(err)
		}
	})
}

// beside compares decide with one signing of a request by the AWS SDK. The two take turns,
// and the median of the turns' ratios counts.
func beside(b *testing.B, decide func()) {
	b.Helper()
	const turns, calls = 21, 1000
	signer := v4.NewSigner()
	r, err := http.NewRequest(http.MethodPost, "https://millrace.example:8443/getMedia", strings.NewReader("{}"))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "aws-sdk-go-v2/1.45.0 ua/2.1 os/linux lang/go#1.26.8 api/kinesisvideomedia#1.33.0")
	resign := func() {
		if err := signer.SignHTTP(context.Background(), credentials, r, sigv4.EmptyPayload, "kinesisvideo", "us-east-1", now); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		var ratios, decisions, signings []float64
		for range turns {
			decision, signing := timed(calls, decide), timed(calls, resign)
			decisions, signings = append(decisions, decision), append(signings, signing)
			ratios = append(ratios, decision/signing)
		}
		allocations := testing.AllocsPerRun(1000, decide)
		b.ReportMetric(median(decisions), "decision-µs")
		b.ReportMetric(median(signings), "sdk-signing-µs")
		b.ReportMetric(allocations, "decision-allocs")
		b.ReportMetric(slices.Min(ratios), "ratio-min")
		b.ReportMetric(slices.Max(ratios), "ratio-max")
		b.ReportMetric(median(ratios), "ratio")
		if got := median(ratios); got > 4 || allocations >= 20 {
			b.Errorf("GOAL MISSED: a decision costs %.1f signings of the SDK and %v allocations; at most 4 and under 20 are wanted", got, allocations)
		}
	}
}

// timed is how long one call of do takes, in microseconds.
func timed(calls int, do func()) float64 {
	start := time.Now()
	for range calls {
		do()
	}
	return float64(time.Since(start).Nanoseconds()) / 1000 / float64(calls)
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}
