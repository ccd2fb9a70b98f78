package wire

import (
	"errors"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/wire/model"
)

// TestInputsAccepted builds the fullest input of every operation from the facts.
func TestInputsAccepted(t *testing.T) {
	count := 0
	forInputs(t, func(t *testing.T, op *Operation, input *model.Shape) {
		count++
		in := op.Input()
		if err := Decode(marshal(t, sample(t, input)), in); err != nil {
			t.Fatal(err)
		}
		if err := in.Check(); err != nil {
			t.Fatal(err)
		}
		for _, f := range in.fields() {
			if !f.value.present() {
				t.Errorf("%s was not decoded", f.name)
			}
		}
	})
	if count != 43 {
		t.Errorf("%d inputs, want 43", count)
	}
}

// TestInputsRefused breaks each single rule of each operation in turn.
func TestInputsRefused(t *testing.T) {
	count := 0
	forInputs(t, func(t *testing.T, op *Operation, input *model.Shape) {
		for _, b := range breaches(t, input) {
			if b.member == "" {
				continue // the body as a whole: TestDecodeRefuses
			}
			count++
			in := op.Input()
			err := Decode(marshal(t, b.value), in)
			if (err != nil) != b.decode {
				t.Errorf("%s %q: decoding gave %v", b.member, b.rule, err)
				continue
			}
			if err == nil {
				err = in.Check()
			}
			e, ok := errors.AsType[*CheckError](err)
			if !ok {
				t.Errorf("%s %q: accepted", b.member, b.rule)
			} else if e.Member != b.member || !strings.Contains(e.Error(), b.rule) {
				t.Errorf("error %q does not name %s and %q", e, b.member, b.rule)
			}
		}
	})
	if count < 1000 {
		t.Errorf("only %d breaches were tried", count)
	}
}

// TestRequiredOnly leaves out every member that may be absent.
func TestRequiredOnly(t *testing.T) {
	forInputs(t, func(t *testing.T, op *Operation, input *model.Shape) {
		object := sample(t, input).(map[string]any)
		for _, m := range input.Members {
			if !m.Required {
				delete(object, m.Name)
			}
		}
		in := op.Input()
		if err := Decode(marshal(t, object), in); err != nil {
			t.Fatal(err)
		}
		if err := in.Check(); err != nil {
			t.Error(err)
		}
	})
}

func TestCheckErrorText(t *testing.T) {
	arn := "arn:aws:kinesisvideo:us-east-1:000000000000:stream/demo/1"
	for _, test := range []struct {
		in   Input
		want string
	}{
		{&DescribeStreamInput{StreamName: new("a b")},
			"1 validation error detected: Value 'a b' at 'StreamName' failed to satisfy constraint: " +
				"Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"},
		{&CreateStreamInput{},
			"1 validation error detected: Value null at 'StreamName' failed to satisfy constraint: Member must not be null"},
		{&CreateStreamInput{StreamName: new(strings.Repeat("x", 300))},
			"1 validation error detected: Value '" + strings.Repeat("x", 100) + "...' at 'StreamName' failed to satisfy constraint: " +
				"Member must have length less than or equal to 256"},
		{&UntagStreamInput{TagKeyList: []string{"ok", "not\tok"}},
			"1 validation error detected: Value 'not\tok' at 'TagKeyList[1]' failed to satisfy constraint: " +
				"Member must satisfy regular expression pattern: ^([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*)$"},
		{&TagResourceInput{ResourceARN: &arn, Tags: []Tag{{Key: new("a"), Value: new("")}, {Key: new("b")}}},
			"1 validation error detected: Value null at 'Tags[1].Value' failed to satisfy constraint: Member must not be null"},
		{&TagStreamInput{Tags: map[string]string{"b": "", "": "x"}},
			"1 validation error detected: Value '' at 'Tags' failed to satisfy constraint: " +
				"Map keys must satisfy constraint: [Member must have length greater than or equal to 1]"},
		{&TagStreamInput{Tags: map[string]string{}},
			"1 validation error detected: Value of size 0 at 'Tags' failed to satisfy constraint: " +
				"Member must have length greater than or equal to 1"},
	} {
		if err := test.in.Check(); err == nil || err.Error() != test.want {
			t.Errorf("error\n%v\nwant\n%s", err, test.want)
		}
	}
}

// TestTagsOfAllScripts: the tag patterns speak of letters, not of ASCII.
func TestTagsOfAllScripts(t *testing.T) {
	in := &TagStreamInput{StreamName: new("demo"), Tags: map[string]string{"Größe": "大きい", "millrace:lenient-tracks": "1"}}
	if err := in.Check(); err != nil {
		t.Error(err)
	}
	if err := (&TagStreamInput{Tags: map[string]string{"k": "a;b"}}).Check(); err == nil {
		t.Error("a semicolon passed")
	}
}

// TestPatternsCoverTheWholeText: Java's matches needs no anchors.
func TestPatternsCoverTheWholeText(t *testing.T) {
	for _, arn := range []string{
		"arn:aws:kinesisvideo:us-east-1:1:stream/demo/1\n",
		" arn:aws:kinesisvideo:us-east-1:1:stream/demo/1",
		"arn:aws:kinesisvideo:us-east-1:1:stream/demo/1/2",
	} {
		if err := (&DescribeStreamInput{StreamARN: &arn}).Check(); err == nil {
			t.Errorf("%q passed", arn)
		}
	}
	for _, partition := range []string{"aws", "aws-cn", "aws-us-gov"} {
		arn := "arn:" + partition + ":kinesisvideo:us-east-1:000000000000:stream/demo/1"
		for _, in := range []Input{&GetMediaInput{StreamARN: &arn, StartSelector: &StartSelector{StartSelectorType: new("NOW")}},
			&GetIceServerConfigInput{ChannelARN: &arn}, &JoinStorageSessionInput{ChannelArn: &arn}, &DescribeStreamInput{StreamARN: &arn}} {
			if err := in.Check(); err != nil {
				t.Errorf("%T: %v", in, err)
			}
		}
	}
}

// TestSensitive: what the model calls sensitive never shows in an error.
func TestSensitive(t *testing.T) {
	const secret = "hunter2"
	for _, value := range []string{`"hunter2"`, `["hunter2"]`, `{"hunter2":"hunter2"}`} {
		for _, body := range []string{
			`{"EdgeConfig":{"HubDeviceArn":"arn:aws:iot:us-east-1:1:thing/hub","RecorderConfig":{"MediaSourceConfig":{"MediaUriSecretArn":` + value + `,"MediaUriType":"RTSP_URI"}}}}`,
			`{"EdgeConfig":{"RecorderConfig":[` + value + `]}}`,
			`{"EdgeConfig":` + value + `}`,
		} {
			in := new(StartEdgeConfigurationUpdateInput)
			err := Decode([]byte(body), in)
			if err == nil {
				err = in.Check()
			}
			if err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("%s: error %v", body, err)
			}
		}
	}
}
