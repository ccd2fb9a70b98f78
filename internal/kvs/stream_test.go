package kvs

import "testing"

// TestBefore: whoever goes on after f.Before() begins with f, whatever its time and
// random bits are, and passes over everything with a smaller counter.
func TestBefore(t *testing.T) {
	for _, f := range []FragmentNumber{{N: 1}, {5, 1600995182282, 244336946}, {last, last, RandomMask}} {
		before := f.Before()
		if !before.Less(f) || !before.Less(FragmentNumber{N: f.N}) {
			t.Errorf("%+v is not before %+v", before, f)
		}
		if greatest := (FragmentNumber{f.N - 1, last, RandomMask}); before.Less(greatest) {
			t.Errorf("%+v is before %+v", before, greatest)
		}
	}
}

func TestStreamFacts(t *testing.T) {
	s := Stream{Account: "111122223333", Region: "us-west-2", Name: "garden", Created: 1511852109126, Retention: 2}
	const arn = "arn:aws:kinesisvideo:us-west-2:111122223333:stream/garden/1511852109126"
	if got := s.ARN().String(); got != arn {
		t.Error(got)
	}
	if got := s.RetentionMillis(); got != 7_200_000 {
		t.Errorf("two hours are %d ms", got)
	}
	if got := s.Horizon(10_000_000); got != 2_800_000 {
		t.Errorf("the horizon is %d", got)
	}
	for tag, want := range map[string]bool{"1": true, "0": false, "": false, "true": false} {
		s.Tags = map[string]string{"millrace:lenient-tracks": tag}
		if got := s.LenientTracks(); got != want {
			t.Errorf("lenient with the tag %q: %v", tag, got)
		}
	}
}

func TestFragmentTimes(t *testing.T) {
	f := Fragment{Number: FragmentNumber{N: 1, Server: 20}, Producer: 10}
	if f.At(ServerClock) != 20 || f.At(ProducerClock) != 10 {
		t.Errorf("server %d, producer %d", f.At(ServerClock), f.At(ProducerClock))
	}
}
