package kvs

import "testing"

func TestARNOfAChannel(t *testing.T) {
	c := Channel{Account: "111122223333", Region: "eu-central-1", Name: "front-door", Created: 1_735_442_939_457}
	const want = "arn:aws:kinesisvideo:eu-central-1:111122223333:channel/front-door/1735442939457"
	if got := c.ARN().String(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if arn, ok := ParseARN(want); !ok || arn != c.ARN() || arn.Kind != ChannelResource {
		t.Errorf("read again: %+v", arn)
	}
}
