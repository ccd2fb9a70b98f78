package quota

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestProfiles(t *testing.T) {
	for _, p := range []Profile{"", Open} {
		l, err := For(p)
		if err != nil || l.Profile != Open {
			t.Fatalf("%q: %v, %v", p, l.Profile, err)
		}
	}
	if _, err := For("azure"); err == nil || !strings.Contains(err.Error(), `"azure"`) || !strings.Contains(err.Error(), `"aws"`) {
		t.Errorf("got %v; want an error that names the profile and those there are", err)
	}
}

// The open profile keeps what bounds memory and work, and nothing else.
func TestTheOpenProfileBoundsMemoryOnly(t *testing.T) {
	l, _ := For(Open)
	if l.FragmentBytes != 50_000_000 || l.FragmentDuration != 20*time.Second || l.Tracks != 3 || l.TagsPerStream != 50 ||
		l.FragmentTags != 10 || l.FragmentTagName != 128 || l.FragmentTagValue != 256 ||
		l.HostBufferBytes != 200_000_000 || l.Strangers != 1024 || l.HostBufferAge != 5*time.Minute {
		t.Errorf("what protects the server: %+v", l)
	}
	if l.Streams != 0 || l.FragmentMinDuration != 0 || l.FragmentsPerSecond != 0 || !l.FragmentOverlap || l.PutSessions != 0 ||
		l.PutSessionAge != 0 || l.PutIdle != 0 || l.GetSessions != 0 || l.ListSessions != 0 || len(l.Rates) != 0 {
		t.Errorf("limits that only copy the service: %+v", l)
	}
}

// The aws profile is the limits sheet, sections 2.1 and 3.
func TestTheAWSProfileIsTheLimitsSheet(t *testing.T) {
	l, _ := For(AWS)
	if l.Streams != 10_000 || l.FragmentMinDuration != time.Second || l.FragmentsPerSecond != 5 || l.FragmentOverlap ||
		l.PutSessions != 1 || l.PutSessionAge != 45*time.Minute || l.PutIdle != 30*time.Second ||
		l.GetSessions != 3 || l.ListSessions != 5 || l.FragmentBytes != 50_000_000 {
		t.Errorf("got %+v", l)
	}
	for operation, want := range map[string]Rate{
		"CreateStream": {Account: 50}, "ListStreams": {Account: 50},
		"DescribeStream": {Account: 300, Resource: 5}, "GetDataEndpoint": {Account: 300, Resource: 5},
		"DeleteStream": {Account: 50, Resource: 5}, "UpdateStream": {Account: 50, Resource: 5},
		"PutMedia": {Resource: 5}, "GetMedia": {Resource: 5},
	} {
		if got := l.Rates[operation]; got != want {
			t.Errorf("%s: %+v, want %+v", operation, got, want)
		}
	}
	for _, operation := range slices.Sorted(maps.Keys(l.Rates)) {
		if r := l.Rates[operation]; r.Account == 0 && r.Resource == 0 {
			t.Errorf("%s: a rate without a limit", operation)
		}
	}
}
