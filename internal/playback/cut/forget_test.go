package cut

import "testing"

// Nothing of a stream stays in memory once it is forgotten, not even what was being cut
// then; other streams keep theirs, and what is being sent is sent.
func TestForgottenStreamsLeaveNothing(t *testing.T) {
	s := newStudio(t)
	k := s.clip("ffmpeg-h264")
	c := New(Options{Source: s})
	segment := func(i int) *Segment {
		t.Helper()
		got, err := c.Segment(t.Context(), k[i].Stored, 1, FMP4, 0)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := segment(0)
	c.Forget(streamID + 1)
	if got := c.Stats(); got.Kept != 1 || got.Bytes == 0 {
		t.Errorf("another stream was forgotten: %+v", got)
	}
	c.Forget(streamID)
	if got := c.Stats(); got.Kept != 0 || got.Bytes != 0 {
		t.Errorf("%+v are kept", got)
	}
	if n, _ := c.headers.held(); n != 0 {
		t.Errorf("%d headers are kept", n)
	}
	if int64(len(contents(t, first))) != first.Size() {
		t.Error("what is being sent broke off")
	}

	s.hook = func() { c.Forget(streamID) }
	segment(1)
	s.hook = nil
	if got := c.Stats(); got.Kept != 0 || got.Bytes != 0 {
		t.Errorf("what was cut meanwhile is kept: %+v", got)
	}
	segment(1)
	if got := c.Stats(); got.Kept != 1 || got.Cuts != 3 {
		t.Errorf("%+v", got)
	}
}
