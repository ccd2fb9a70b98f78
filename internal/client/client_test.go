package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

func TestCall(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != "POST" || r.URL.Path != "/base/describeStream" || string(body) != `{"StreamName":"demo"}` {
			t.Errorf("%s %s %s", r.Method, r.URL.Path, body)
		}
		if r.UserAgent() != "test/1" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("header %v", r.Header)
		}
		io.WriteString(w, `{"StreamInfo":{"CreationTime":1.735442939457E9,"DeviceName":null,"Status":"ACTIVE"}}`)
	})
	c.Endpoint += "/base/"
	c.UserAgent = "test/1"
	var out wire.DescribeStreamOutput
	if err := c.Call(t.Context(), wire.DescribeStream, &wire.DescribeStreamInput{StreamName: new("demo")}, &out); err != nil {
		t.Fatal(err)
	}
	if info := out.StreamInfo; info == nil || *info.CreationTime != kvs.Millis(1735442939457) || *info.Status != wire.StatusActive || info.DeviceName != nil {
		t.Errorf("%+v", out.StreamInfo)
	}
}

func TestCallRefused(t *testing.T) {
	day := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		want    Error
		text    string
	}{
		{"modelled", text(404, `{"Message":"Stream demo is not here."}`, "x-amzn-ErrorType",
			"ResourceNotFoundException:https://kinesisvideo.amazonaws.com/doc/2017-09-30/", "x-amzn-RequestId", "id-1"),
			Error{"DeleteStream", "ResourceNotFoundException", "Stream demo is not here.", 404, "id-1", day},
			"DeleteStream: ResourceNotFoundException (status 404): Stream demo is not here."},
		{"signature", text(403, `{"message":"The security token included in the request is invalid."}`),
			Error{"DeleteStream", "", "The security token included in the request is invalid.", 403, "", day},
			"DeleteStream: Forbidden (status 403): The security token included in the request is invalid."},
		{"type in body", text(400, `{"__type":"com.amazon.coral#InvalidArgumentException"}`),
			Error{"DeleteStream", "InvalidArgumentException", "", 400, "", day}, "DeleteStream: InvalidArgumentException (status 400)"},
		{"no JSON", text(502, " bad gateway\n"), Error{"DeleteStream", "", "bad gateway", 502, "", day}, "DeleteStream: Bad Gateway (status 502): bad gateway"},
		{"redirect", text(302, "", "Location", "/elsewhere"), Error{"DeleteStream", "", "", 302, "", day}, "DeleteStream: Found (status 302)"},
		{"unknown path", text(200, `{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}`),
			Error{"DeleteStream", "UnknownOperationException", "the server has no operation at /deleteStream", 200, "", day},
			"DeleteStream: UnknownOperationException (status 200): the server has no operation at /deleteStream"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Date", day.Format(http.TimeFormat))
				test.handler(w, r)
			})
			c.HTTP = NewHTTP(nil)
			err := c.Call(t.Context(), wire.DeleteStream, &wire.DeleteStreamInput{}, nil)
			e, ok := errors.AsType[*Error](err)
			if !ok || *e != test.want {
				t.Fatalf("%+v, want %+v", err, test.want)
			}
			if e.Error() != test.text {
				t.Errorf("%s\nwant\n%s", e, test.text)
			}
		})
	}
}

func TestCallFails(t *testing.T) {
	in := &wire.ListStreamsInput{}
	c := serve(t, text(200, "<html>"))
	if err := c.Call(t.Context(), wire.ListStreams, in, new(wire.ListStreamsOutput)); err == nil || !strings.Contains(err.Error(), "ListStreams: the answer") {
		t.Errorf("an answer that is no JSON: %v", err)
	}
	if err := c.At(":").Call(t.Context(), wire.ListStreams, in, nil); err == nil {
		t.Error("an endpoint that is no URL was called")
	}
	c = serve(t, text(200, "{}", "Content-Length", "10"))
	if err := c.Call(t.Context(), wire.ListStreams, in, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a short answer: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Call(ctx, wire.ListStreams, in, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call: %v", err)
	}
	c.Credentials = sigv4.Credentials{}
	if err := c.Call(t.Context(), wire.ListStreams, in, nil); err == nil || !strings.Contains(err.Error(), "key") {
		t.Errorf("without keys: %v", err)
	}
}

func TestStream(t *testing.T) {
	c := serve(t, text(200, "\x1aE\xdf\xa3...", "Content-Type", "video/webm"))
	resp, err := c.Stream(t.Context(), wire.GetMedia, &wire.GetMediaInput{StreamName: new("demo")})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "\x1aE\xdf\xa3..." || resp.Header.Get("Content-Type") != "video/webm" {
		t.Errorf("%q, %v", body, err)
	}
}

func TestDataEndpoint(t *testing.T) {
	asked := []string{}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, string(body))
		io.WriteString(w, `{"DataEndpoint":"https://s-1.example"}`)
	})
	now := time.Now()
	c.Now = func() time.Time { return now }
	ask := func(api, stream string) {
		t.Helper()
		if got, err := c.DataEndpoint(t.Context(), api, stream); err != nil || got != "https://s-1.example" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	ask(wire.APINamePutMedia, "demo")
	ask(wire.APINamePutMedia, "demo") // remembered
	ask(wire.APINameGetMedia, "demo")
	ask(wire.APINameGetMedia, "arn:aws:x")
	now = now.Add(endpointLife)
	ask(wire.APINamePutMedia, "demo") // too old
	ask(wire.APINamePutMedia, "demo")
	c.Forget(wire.APINamePutMedia, "demo")
	ask(wire.APINamePutMedia, "demo")
	want := []string{
		`{"APIName":"PUT_MEDIA","StreamName":"demo"}`, `{"APIName":"GET_MEDIA","StreamName":"demo"}`,
		`{"APIName":"GET_MEDIA","StreamARN":"arn:aws:x"}`, `{"APIName":"PUT_MEDIA","StreamName":"demo"}`,
		`{"APIName":"PUT_MEDIA","StreamName":"demo"}`,
	}
	if strings.Join(asked, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked\n%s", strings.Join(asked, "\n"))
	}
}

func TestDataEndpointFails(t *testing.T) {
	if _, err := serve(t, text(200, "{}")).DataEndpoint(t.Context(), "PUT_MEDIA", "demo"); err == nil {
		t.Error("an answer without an endpoint was taken")
	}
	c := serve(t, text(404, "{}"))
	for range 2 { // a failure is not remembered
		_, err := c.DataEndpoint(t.Context(), "PUT_MEDIA", "demo")
		if e, ok := errors.AsType[*Error](err); !ok || e.Status != 404 {
			t.Errorf("%v", err)
		}
	}
}
