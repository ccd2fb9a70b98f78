package play

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// smallText is the size up to which compressing a list would save no packet.
const smallText = 1200

// sendText answers with a list. Lists change with time: nobody may store them. From here on
// the memory is that of the text, and what is compressed.
func (v *visit) sendText(contentType string, b []byte) error {
	if err := v.held.Set(v.Request.Context(), listWeight(int64(cap(b)+cap(b)/8))); err != nil {
		return err
	}
	h := v.header
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Encoding")
	tag := etag(b)
	zip := len(b) > smallText && takesGzip(v.Request.Header.Get("Accept-Encoding"))
	if zip {
		tag = strings.TrimSuffix(tag, `"`) + `-gzip"`
	}
	h.Set("ETag", tag)
	if matches(v.Request.Header.Get("If-None-Match"), tag) {
		h.Del("Content-Type")
		v.Writer.WriteHeader(http.StatusNotModified)
		return nil
	}
	if !zip {
		return v.send(b)
	}
	z := zippers.Get().(*zipper)
	defer zippers.Put(z)
	h.Set("Content-Encoding", "gzip")
	return v.send(z.zip(b))
}

// send writes a whole body, or its head alone.
func (v *visit) send(b []byte) error {
	v.header.Set("Content-Length", strconv.Itoa(len(b)))
	v.Writer.WriteHeader(http.StatusOK)
	if v.Request.Method == http.MethodHead {
		return nil
	}
	_, err := v.Writer.Write(b)
	return err
}

// matches is a condition of RFC 9110 section 13.1.2.
func matches(condition, tag string) bool {
	for one := range strings.SplitSeq(condition, ",") {
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		if one == tag || one == "*" {
			return true
		}
	}
	return false
}

// takesGzip reports whether a client takes compressed answers (RFC 9110 section 12.5.3).
func takesGzip(accepted string) bool {
	for one := range strings.SplitSeq(accepted, ",") {
		name, weight, _ := strings.Cut(one, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			weight = strings.ReplaceAll(weight, " ", "")
			return strings.Trim(strings.TrimPrefix(weight, "q="), "0.") != "" || weight == ""
		}
	}
	return false
}

// zipper compresses; its memory is used again.
type zipper struct {
	w *gzip.Writer
	b bytes.Buffer
}

var zippers = sync.Pool{New: func() any {
	z := &zipper{}
	z.w, _ = gzip.NewWriterLevel(&z.b, gzip.BestSpeed) // the level is a valid one
	return z
}}

// zip returns b compressed, until the next call.
func (z *zipper) zip(b []byte) []byte {
	z.b.Reset()
	z.w.Reset(&z.b)
	_, _ = z.w.Write(b) // a buffer takes everything
	_ = z.w.Close()
	return z.b.Bytes()
}
