package signaling

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/sigv4"
)

// clear takes the AWS variables away.
func clear(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KINESIS_VIDEO",
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"} {
		t.Setenv(name, "")
	}
}

func TestOptions(t *testing.T) {
	clear(t)
	for want, o := range map[string]Options{
		"no channel":        {},
		"no region":         {Channel: "door"},
		"AWS_ACCESS_KEY_ID": {Channel: "door", Region: "eu-west-1"},
		"a client id is":    {Channel: "door", Region: "eu-west-1", ClientID: "aws_me", Credentials: new(keys).get},
	} {
		if _, err := NewViewer(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	p, err := NewViewer(Options{Channel: "door", Region: "cn-north-1", Credentials: new(keys).get})
	if err != nil || p.o.Endpoint != "https://kinesisvideo.cn-north-1.amazonaws.com.cn" || !strings.HasPrefix(p.ClientID(), "viewer-") {
		t.Errorf("%+v %v", p, err)
	}
	t.Setenv("AWS_DEFAULT_REGION", "eu-west-1")
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
	p, err = NewMaster(Options{Channel: "door"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.o.Credentials(t.Context())
	if err != nil || c != (sigv4.Credentials{AccessKey: "a", Secret: "b"}) || p.o.Endpoint != "http://127.0.0.1:1" || p.ClientID() != "" {
		t.Errorf("%+v %v %+v", c, err, p.o)
	}
}
