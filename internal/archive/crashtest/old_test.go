package crashtest

import (
	"bytes"
	"errors"
	"path/filepath"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
	"github.com/millrace/millrace/internal/segment/segmenttest"
)

// inherit puts a segment of version 1 on the disk, as a program of that time leaves it:
// sealed, or open with something torn at its end.
func (h *history) inherit(id int64, sealed bool) error {
	old := segmenttest.New(segment.Head{Version: 1, Class: segment.Class(h.r.IntN(segment.Classes)), ID: id, Salt: h.r.Uint64(), Created: h.truth.now})
	headers := map[string]int64{}
	for range 1 + h.r.IntN(6) {
		r := h.truth.nextOf(h.r, 1+kvs.StreamID(h.r.IntN(int(h.ids))))
		at, ok := headers[string(r.Header)]
		if !ok {
			at = old.Header(0, segment.DataKey{}, r.Header)
			headers[string(r.Header)] = at
		}
		old.Fragment(segment.Record{Fragment: r.Fragment, Timecode: r.Timecode, Header: at}, segment.DataKey{}, bytes.Join(r.Body, nil), nil)
		h.truth.set(nameOf(r), kept)
	}
	if sealed {
		old.Seal()
	} else {
		old.Bytes = append(old.Bytes, old.Bytes[:h.r.IntN(200)]...)
	}
	dir := filepath.Join(h.temp, "segments")
	err := h.disk.MakeDir(dir)
	if err != nil {
		return err
	}
	f, err := h.disk.Create(filepath.Join(dir, segment.FileName(id)))
	if err != nil {
		return err
	}
	return errors.Join(f.Write([][]byte{old.Bytes}, 0), f.Sync(), f.Close(), h.disk.SyncDir(dir), h.disk.SyncDir(h.temp))
}
