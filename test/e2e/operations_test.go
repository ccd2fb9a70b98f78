package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// streamInfo is a stream as the SDK decodes it.
type streamInfo struct {
	StreamName, StreamARN, Version, Status string
	DeviceName, MediaType, KmsKeyId        *string
	DataRetentionInHours                   int
	CreationTime                           struct {
		Date time.Time `json:"$date"`
	}
}

// book makes calls with the SDK and writes each into a transcript.
type book struct {
	*testing.T
	who caller
	transcript
	made map[string]bool
}

func newBook(t *testing.T, s *server) *book {
	return &book{T: t, who: s.caller(t), made: map[string]bool{}}
}

// call makes a call that succeeds.
func (b *book) call(title, operation string, input object, out any) answer {
	b.Helper()
	a := b.who.must(b, operation, input, out)
	b.add(title, operation, input, a)
	b.made[operation] = true
	return a
}

func (b *book) describe(name string) streamInfo {
	b.Helper()
	var out struct{ StreamInfo streamInfo }
	b.who.must(b, "DescribeStream", object{"StreamName": name}, &out)
	return out.StreamInfo
}

// Every operation of the control plane and of media once and more, with the values that
// the SDK decodes and the bytes they were in.
func TestEveryOperationWithTheJavaScriptSDK(t *testing.T) {
	s := serve(t)
	b := newBook(t, s)
	naming(b)
	changes(b)
	tagging(b)
	endpoints(b, s)
	mediaOf(b, s)
	served := []string{"CreateStream", "DescribeStream", "ListStreams", "UpdateStream", "DeleteStream", "UpdateDataRetention",
		"TagStream", "UntagStream", "ListTagsForStream", "TagResource", "UntagResource", "ListTagsForResource", "GetDataEndpoint",
		"DescribeStreamStorageConfiguration", "UpdateStreamStorageConfiguration", "GetMedia", "ListFragments", "GetMediaForFragmentList"}
	for _, op := range served {
		if !b.made[op] {
			t.Errorf("%s was not called", op)
		}
	}
	b.compare(t, "operations.txt")
}

func naming(b *book) {
	before := time.Now().Add(-time.Second)
	var made struct{ StreamARN string }
	b.call("a stream with everything", "CreateStream", object{"StreamName": "garden", "DeviceName": "door-cam", "MediaType": "video/h264,audio/aac",
		"KmsKeyId": "alias/aws/kinesisvideo", "DataRetentionInHours": 24, "Tags": object{"place": "süd", "empty": ""},
		"StreamStorageConfiguration": object{"DefaultStorageTier": "WARM"}}, &made)
	b.call("a stream with nothing", "CreateStream", object{"StreamName": "attic"}, nil)
	b.call("another one", "CreateStream", object{"StreamName": "garage"}, nil)
	var d struct{ StreamInfo streamInfo }
	b.call("by name", "DescribeStream", object{"StreamName": "garden"}, &d)
	i := d.StreamInfo
	created, now := i.CreationTime.Date, time.Now().Add(time.Second)
	if created.Before(before) || created.After(now) {
		b.Errorf("created %v, want between %v and %v", created, before, now)
	}
	if want := "/" + strconv.FormatInt(created.UnixMilli(), 10); !strings.HasSuffix(i.StreamARN, want) || i.StreamARN != made.StreamARN {
		b.Errorf("ARN %s, created as %s: want it to end in the creation time %s", i.StreamARN, made.StreamARN, want)
	}
	if !regexp.MustCompile(`^[A-Za-z0-9]{20}$`).MatchString(i.Version) {
		b.Errorf("version %q is not 20 letters and digits", i.Version)
	}
	b.call("by ARN", "DescribeStream", object{"StreamARN": i.StreamARN}, nil)
	b.call("one with defaults", "DescribeStream", object{"StreamName": "attic"}, nil)
	b.call("all", "ListStreams", object{}, nil)
	b.call("by prefix", "ListStreams", object{"StreamNameCondition": object{"ComparisonOperator": "BEGINS_WITH", "ComparisonValue": "ga"}}, nil)
	var page struct {
		NextToken      string
		StreamInfoList []streamInfo
	}
	b.call("first page", "ListStreams", object{"MaxResults": 2}, &page)
	first := len(page.StreamInfoList)
	token := page.NextToken
	page.NextToken = ""
	b.call("second page", "ListStreams", object{"MaxResults": 2, "NextToken": token}, &page)
	if first != 2 || len(page.StreamInfoList) != 1 || page.NextToken != "" {
		b.Errorf("pages of %d and %d with token %q, want 2 and 1 and no further token", first, len(page.StreamInfoList), page.NextToken)
	}
	b.call("without a version", "DeleteStream", object{"StreamARN": b.describe("garage").StreamARN}, nil)
	if a := b.who.call(b, "DescribeStream", object{"StreamName": "garage"}); a.Error == nil || a.Error.Name != "ResourceNotFoundException" {
		b.Errorf("a deleted stream is described: %+v", a)
	}
}

func changes(b *book) {
	v := b.describe("garden").Version
	next := func(what string) {
		b.Helper()
		i := b.describe("garden")
		if i.Version == v {
			b.Errorf("%s kept version %s", what, v)
		}
		v = i.Version
	}
	b.call("the device", "UpdateStream", object{"StreamName": "garden", "CurrentVersion": v, "DeviceName": "gate-cam"}, nil)
	next("UpdateStream")
	b.call("the media type", "UpdateStream", object{"StreamARN": b.describe("garden").StreamARN, "CurrentVersion": v, "MediaType": "video/h265"}, nil)
	next("UpdateStream")
	b.call("more hours", "UpdateDataRetention", object{"StreamName": "garden", "CurrentVersion": v, "Operation": "INCREASE_DATA_RETENTION", "DataRetentionChangeInHours": 26}, nil)
	next("UpdateDataRetention")
	b.call("fewer hours", "UpdateDataRetention", object{"StreamName": "garden", "CurrentVersion": v, "Operation": "DECREASE_DATA_RETENTION", "DataRetentionChangeInHours": 2}, nil)
	next("UpdateDataRetention")
	b.call("as it was made", "DescribeStreamStorageConfiguration", object{"StreamName": "garden"}, nil)
	b.call("the other tier", "UpdateStreamStorageConfiguration", object{"StreamName": "garden", "CurrentVersion": v,
		"StreamStorageConfiguration": object{"DefaultStorageTier": "HOT"}}, nil)
	next("UpdateStreamStorageConfiguration")
	b.call("changed", "DescribeStreamStorageConfiguration", object{"StreamARN": b.describe("garden").StreamARN}, nil)
	b.call("after all changes", "DescribeStream", object{"StreamName": "garden"}, nil)
}

func tagging(b *book) {
	arn := b.describe("garden").StreamARN
	b.call("as it was made", "ListTagsForStream", object{"StreamName": "garden"}, nil)
	b.call("one more, one new", "TagStream", object{"StreamName": "garden", "Tags": object{"place": "nord", "owner": "we = us/them"}}, nil)
	b.call("changed", "ListTagsForStream", object{"StreamARN": arn}, nil)
	b.call("without two, one of which is not there", "UntagStream", object{"StreamName": "garden", "TagKeyList": []string{"empty", "nothing"}}, nil)
	b.call("by the other family", "TagResource", object{"ResourceARN": arn, "Tags": []object{{"Key": "via", "Value": "resource"}}}, nil)
	b.call("seen by the other family", "ListTagsForResource", object{"ResourceARN": arn}, nil)
	b.call("without one", "UntagResource", object{"ResourceARN": arn, "TagKeyList": []string{"via"}}, nil)
	b.call("in the end", "ListTagsForStream", object{"StreamName": "garden"}, nil)
	b.call("of a stream without any", "ListTagsForStream", object{"StreamName": "attic"}, nil)
}

func endpoints(b *book, s *server) {
	for _, name := range []string{"PUT_MEDIA", "GET_MEDIA", "LIST_FRAGMENTS", "GET_MEDIA_FOR_FRAGMENT_LIST",
		"GET_HLS_STREAMING_SESSION_URL", "GET_DASH_STREAMING_SESSION_URL", "GET_CLIP", "GET_IMAGES"} {
		var out struct{ DataEndpoint string }
		b.call("for "+name, "GetDataEndpoint", object{"StreamName": "garden", "APIName": name}, &out)
		if out.DataEndpoint != s.https {
			b.Errorf("%s is at %s, want %s", name, out.DataEndpoint, s.https)
		}
	}
}

func mediaOf(b *book, s *server) {
	sent := seconds(5, 0)
	numbers := s.put(b, "garden", sent...)
	inRange := object{"FragmentSelectorType": "PRODUCER_TIMESTAMP",
		"TimestampRange": object{"StartTimestamp": date(began.Add(time.Second)), "EndTimestamp": date(began.Add(3 * time.Second))}}
	list := fragments(b, s, "garden", numbers)
	b.call("by producer time, both ends included", "ListFragments", object{"StreamName": "garden", "FragmentSelector": inRange}, nil)
	b.call("with nothing in the range", "ListFragments", object{"StreamName": "garden", "FragmentSelector": object{"FragmentSelectorType": "SERVER_TIMESTAMP",
		"TimestampRange": object{"StartTimestamp": date(began), "EndTimestamp": date(began)}}}, nil)
	var page struct {
		NextToken string
		Fragments []fragmentInfo
	}
	b.call("a page", "ListFragments", object{"StreamName": "garden", "FragmentSelector": inRange, "MaxResults": 2}, &page)
	token := page.NextToken
	page.NextToken = ""
	b.call("the next page", "ListFragments", object{"StreamARN": b.describe("garden").StreamARN, "NextToken": token}, &page)
	if page.NextToken != "" || len(page.Fragments) != 1 || page.Fragments[0].FragmentNumber != numbers[3] {
		b.Errorf("the next page has %v and token %q, want fragment 3 alone", page.Fragments, page.NextToken)
	}
	for i, f := range list {
		if at := began.Add(time.Duration(i) * time.Second); !f.ProducerTimestamp.Date.Equal(at) || f.FragmentLengthInMilliseconds != 1000 || f.FragmentSizeInBytes < int64(len(sent[i])) {
			b.Errorf("fragment %d is listed as %+v; it began at %v and has %d bytes", i, f, at, len(sent[i]))
		}
	}

	everything := b.who.stream(b, "GetMedia", object{"StreamName": "garden", "StartSelector": object{"StartSelectorType": "EARLIEST"}})
	got := all(b.T, everything)
	everything.ended(b)
	b.add("from the first fragment", "GetMedia", object{"StreamName": "garden", "StartSelector": object{"StartSelectorType": "EARLIEST"}}, everything.began)
	b.made["GetMedia"] = true
	sameClusters(b.T, got, sent)
	show(b, got)

	order := []string{numbers[3], numbers[0], numbers[3]}
	in := object{"StreamName": "garden", "Fragments": order}
	some := b.who.stream(b, "GetMediaForFragmentList", in)
	got = all(b.T, some)
	some.ended(b)
	b.add("three, one of them twice", "GetMediaForFragmentList", in, some.began)
	b.made["GetMediaForFragmentList"] = true
	sameClusters(b.T, got, [][]byte{sent[3], sent[0], sent[3]})
	show(b, got)
	unknown := numbers[0][:46] + string('0'+(numbers[0][46]-'0'+1)%10)
	missing := b.who.stream(b, "GetMediaForFragmentList", object{"StreamName": "garden", "Fragments": []string{numbers[1], unknown}})
	text := readAll(b, missing)
	missing.ended(b)
	if !bytes.Contains(text, []byte("AWS_KINESISVIDEO_EXCEPTION_ERROR_CODE")) || !bytes.Contains(text, []byte(unknown)) || !bytes.Contains(text, sent[1]) {
		b.Errorf("the answer for a known and an unknown number, %d bytes, lacks the fragment or the exception", len(text))
	}
}

// show writes the service's tags of chunks into the transcript.
func show(b *book, cs []*chunk) {
	for _, c := range cs {
		numbered(b.T, c)
		line, _ := json.Marshal(c.tags)
		text := regexp.MustCompile(`"(AWS_KINESISVIDEO_SERVER_TIMESTAMP)","\d{10}\.\d{3}"`).ReplaceAllString(normal(string(line)), `"$1","<seconds>"`)
		text = regexp.MustCompile(`"(AWS_KINESISVIDEO_MILLIS_BEHIND_NOW)","\d+"`).ReplaceAllString(text, `"$1","<milliseconds>"`)
		fmt.Fprintf(&b.b, "chunk   %d bytes of header, timecode %d, tags %s\n", len(c.header), c.timecode, text)
	}
	b.b.WriteByte('\n')
}

// fragmentInfo is a fragment as the SDK decodes it.
type fragmentInfo struct {
	FragmentNumber               string
	FragmentSizeInBytes          int64
	FragmentLengthInMilliseconds int64
	ProducerTimestamp            struct {
		Date time.Time `json:"$date"`
	}
	ServerTimestamp struct {
		Date time.Time `json:"$date"`
	}
}

// fragments lists all fragments of a stream and fails the test unless these are they.
func fragments(t testing.TB, s *server, stream string, want []string) []fragmentInfo {
	t.Helper()
	var out struct{ Fragments []fragmentInfo }
	s.caller(t).must(t, "ListFragments", object{"StreamName": stream, "MaxResults": 1000, "FragmentSelector": object{"FragmentSelectorType": "SERVER_TIMESTAMP",
		"TimestampRange": object{"StartTimestamp": date(time.Unix(0, 0)), "EndTimestamp": date(time.Now().Add(time.Hour))}}}, &out)
	var got []string
	for _, f := range out.Fragments {
		got = append(got, f.FragmentNumber)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("listed %d fragments\n%v\nwant %d\n%v", len(got), got, len(want), want)
	}
	return out.Fragments
}
