package consumer

import (
	"fmt"
	"io"

	"github.com/millrace/millrace/mkv"
)

// heading reads a chunk up to its cluster's timecode.
type heading struct {
	*Reader
	f      *Fragment
	begun  bool   // something that belongs to the chunk has come
	first  []byte // of the cluster
	failed error  // what the server put in place of the fragment
	done   bool
}

// step handles one item. io.EOF says that the input ended where no chunk has begun.
func (h *heading) step() error {
	it, err := h.item()
	if err == io.EOF && h.begun {
		h.done = true
		return nil
	}
	if err != nil {
		return err
	}
	if len(h.header)+len(h.f.TagBytes)+len(h.first)+len(it.Raw) > maxHead {
		return fmt.Errorf("a chunk has more than %d bytes in front of its cluster's timecode", maxHead)
	}
	switch {
	case it.Kind == mkv.EBML && h.begun:
		h.ahead, h.done = it, true
	case it.Kind == mkv.EBML:
		h.document = document{inHeader: true}
		h.begun = true
		h.inDocument(it)
	case it.Kind == mkv.TagsElement:
		return h.tags(it)
	case it.Kind == mkv.ClusterStart && h.first != nil:
		h.ahead, h.done = it, true
	case it.InCluster:
		h.inCluster(it)
	case h.inHeader:
		h.inDocument(it)
	}
	return nil
}

// inDocument keeps an element of the header.
func (h *heading) inDocument(it *mkv.Item) {
	switch it.Kind {
	case mkv.InfoElement:
		h.info = it.Info
	case mkv.TracksElement:
		h.tracks = it.Tracks
	}
	h.header = append(h.header, it.Raw...)
}

// tags handles tags in front of the cluster. Without a cluster the service's closing
// tags end the chunk.
func (h *heading) tags(it *mkv.Item) error {
	s, ours := serviceTags(it.Tags)
	if !ours {
		h.f.Tags = append(h.f.Tags, it.Tags...)
		h.f.TagBytes = append(h.f.TagBytes, it.Raw...)
		return nil
	}
	if h.failed = s.failure(); h.failed != nil {
		h.done = true
		return nil
	}
	if !h.begun && !s.begins() {
		return nil // left over from the chunk before
	}
	h.begun = true
	if s.ends() {
		h.f.Complete, h.done = true, true
	}
	return h.f.learn(s)
}

// inCluster keeps the cluster's first bytes, up to the timecode.
func (h *heading) inCluster(it *mkv.Item) {
	switch {
	case it.Kind == mkv.ClusterStart:
		h.inHeader, h.begun = false, true
		h.first = append([]byte{}, it.Raw...)
	case h.first == nil: // left over from the chunk before
	default:
		h.first = append(h.first, it.Raw...)
		if it.Kind == mkv.ClusterTimecode {
			h.f.Timecode, h.done = int64(it.Timecode), true
		}
	}
}
