package client

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestAdmin(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != "POST" || r.URL.Path != "/millrace/PaintFence" || r.Header.Get("Authorization") == "" {
			t.Errorf("%s %s %v", r.Method, r.URL.Path, r.Header)
		}
		w.Write(body)
	})
	var out struct{ Colour string }
	if err := c.Admin(t.Context(), "PaintFence", map[string]string{"Colour": "blue"}, &out); err != nil || out.Colour != "blue" {
		t.Errorf("%v %v", out, err)
	}
	if err := c.Admin(t.Context(), "PaintFence", nil, nil); err != nil {
		t.Error(err)
	}
	var number int
	if err := c.Admin(t.Context(), "PaintFence", nil, &number); err == nil || !strings.Contains(err.Error(), "PaintFence: the answer") {
		t.Errorf("an answer that does not fit: %v", err)
	}
	if err := c.Admin(t.Context(), "PaintFence", func() {}, nil); err == nil {
		t.Error("a function was sent")
	}
}

// A server without our operations, such as the original service, says so in its ways.
func TestAdminRefused(t *testing.T) {
	for _, answer := range []http.HandlerFunc{
		text(404, `{"Message":"There is no operation"}`, "x-amzn-ErrorType", "UnknownOperationException"),
		text(200, `{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}`),
	} {
		err := serve(t, answer).Admin(t.Context(), "PaintFence", nil, nil)
		if err == nil || !strings.Contains(err.Error(), "PaintFence: UnknownOperationException") {
			t.Errorf("%v", err)
		}
	}
}
