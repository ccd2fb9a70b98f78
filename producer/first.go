package producer

import (
	"bytes"
	"io"
	"time"

	"github.com/millrace/millrace/mkv"
)

// absoluteSince is the first time that is taken for one since 1970: 1973. As a time since
// the beginning of a recording it would be three years.
const absoluteSince = 100_000_000 * time.Second

// First is what the beginning of a document says.
type First struct {
	Timecode time.Duration // of the first cluster, since 1970 or since recording began
	Found    bool          // there is a cluster
}

// Absolute says whether timecodes count from 1970, judging by their size.
func (f First) Absolute() bool { return f.Found && f.Timecode > absoluteSince }

// Peek reads up to the first cluster's timecode and returns it with a reader of the whole
// input. Input that is no Matroska has no first cluster; only src's own errors come back.
func Peek(src io.Reader) (First, io.Reader, error) {
	var read bytes.Buffer
	var failed error
	source := readerFunc(func(p []byte) (int, error) {
		n, err := src.Read(p)
		read.Write(p[:n])
		if err != nil && err != io.EOF {
			failed = err
		}
		return n, err
	})
	items := mkv.NewReader(source, mkv.Options{Buffer: 4 << 10})
	scale := uint64(time.Millisecond)
	for {
		it, err := items.Next()
		switch {
		case err != nil:
			return First{}, io.MultiReader(&read, src), failed
		case it.Kind == mkv.InfoElement:
			scale = it.Info.TimecodeScale
		case it.Kind == mkv.ClusterTimecode:
			at := time.Duration(float64(it.Timecode) * float64(scale))
			return First{Timecode: at, Found: true}, io.MultiReader(&read, src), nil
		}
	}
}

// readerFunc is a function as an io.Reader.
type readerFunc func(p []byte) (int, error)

// Read calls f.
func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
