package playback

import (
	"context"
	"errors"

	"github.com/millrace/millrace/internal/kvs"
)

// Pick sends the listed fragments from the archive as whole documents, in the order
// of the list, repeated ones repeatedly (GetMediaForFragmentList). A fragment that is
// not there or cannot be read is answered by a document that says so; the others
// follow. It returns the number of fragments sent.
func (p *Player) Pick(ctx context.Context, s Stream, numbers []string, out Output) (sent int, err error) {
	buf := make([]byte, bufferSize)
	for _, text := range numbers {
		if ctx.Err() != nil {
			return sent, nil
		}
		ok, err := p.pickOne(ctx, s, text, out, buf)
		if err != nil {
			return sent, err
		}
		if ok {
			sent++
		}
	}
	return sent, out.Flush()
}

func (p *Player) pickOne(ctx context.Context, s Stream, text string, out Output, buf []byte) (bool, error) {
	refuse := func(id errorID, why string) (bool, error) {
		_, err := out.Write(appendPickError(nil, text, id, why))
		return false, err
	}
	number, _ := kvs.ParseFragmentNumber(text)
	stored, ok, err := p.o.Archive.Get(ctx, s.Stream().ID, number, p.horizon(s))
	if err != nil {
		return refuse(internalError, "The fragment could not be looked up.")
	}
	if !ok {
		return refuse(fragmentNotFound, "The fragment does not exist or is no longer kept.")
	}
	if err := p.unlock(ctx, stored.Stream); err != nil {
		return refuse(explain(err, "The fragment could not be read."))
	}
	r, err := p.o.Archive.OpenRecord(ctx, stored)
	if kvs.KindOf(err) == kvs.NotFound { // it expired in between
		return refuse(fragmentNotFound, "The fragment is no longer kept.")
	}
	if err != nil {
		return refuse(explain(err, "The fragment could not be read."))
	}
	defer func() { _ = r.Close() }()
	f := follower{p: p, out: out, buf: buf}
	if err := out.Chunk(stored.Fragment); err != nil {
		return false, err
	}
	if err := f.copyHead(r, 0, stored.Fragment); err != nil {
		if e, damaged := errors.AsType[*readError](err); damaged {
			return refuse(explain(e.err, "The fragment could not be read."))
		}
		return false, err
	}
	return true, f.copyStored(ctx, r, 0)
}
