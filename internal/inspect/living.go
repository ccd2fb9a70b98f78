package inspect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// header is what is known of a header record.
type header struct {
	record segment.Record
	wrong  *Finding // what a fragment that needs it suffers from, nil = nothing
}

// maxHeaders bounds what is remembered of header records; beyond it they are read again.
const maxHeaders = 4096

// living checks a record that a row points to: its place, its header record, its keys
// and, if the check is deep, its bytes.
func (s *inspection) living(ctx context.Context, i *item, id fragmentID) error {
	if s.touched(i.position, i.position+i.Size()) {
		s.look.found(finding(refuse, 11, "a hole touches fragment %d of stream %d at byte %d of %s", id.n, id.stream, i.position, s.name).
			on(s.row.ID).of(id).losing(1))
		return nil
	}
	if err := s.key(ctx, i.Key, id); err != nil {
		return err
	}
	h, err := s.headerOf(ctx, i)
	if err != nil {
		return err
	}
	if h.wrong != nil {
		s.look.found(h.wrong.on(s.row.ID).of(id).losing(1))
	} else if s.head.Version != 1 && h.record.Fragment.Stream != id.stream {
		s.look.found(finding(refuse, 3, "the header record of fragment %d of stream %d is of stream %d", id.n, id.stream, h.record.Fragment.Stream).
			on(s.row.ID).of(id).losing(1))
	}
	if !s.Deep {
		return nil
	}
	if wrong, err := s.bytes(ctx, i.position, &i.Record); err != nil || wrong != "" {
		s.damaged(i.position, i.Size(), id, wrong)
		return err
	}
	return nil
}

// key checks that a data key is there and belongs to the stream. Those of a deleted
// stream go before its rows.
func (s *inspection) key(ctx context.Context, key uint64, id fragmentID) error {
	if key == 0 || s.keys.missing {
		return nil
	}
	there, at := s.keys.belongs(key, id.stream)
	if there && at > 0 {
		return nil
	}
	if gone, err := s.isDeleted(ctx, id.stream); gone || err != nil {
		return err
	}
	switch {
	case !there:
		s.look.found(finding(refuse, 12, "data key %d of fragment %d of stream %d is not in keys", key, id.n, id.stream).on(s.row.ID).of(id).losing(1))
	case at == 0:
		s.look.found(finding(refuse, 12, "data key %d of fragment %d of stream %d belongs to another stream", key, id.n, id.stream).
			on(s.row.ID).of(id).losing(1))
	}
	return nil
}

// headerOf checks the header record of a fragment.
func (s *inspection) headerOf(ctx context.Context, i *item) (*header, error) {
	if h := s.headers[i.Header]; h != nil {
		return h, nil
	}
	if len(s.headers) >= maxHeaders {
		clear(s.headers)
	}
	h := &header{}
	s.headers[i.Header] = h
	suffers := func(invariant int, format string, args ...any) {
		f := finding(refuse, invariant, format, args...)
		h.wrong = &f
	}
	rec, ok, err := segment.ReadRecord(s.f, s.head, i.Header, s.size)
	if err != nil && !isShort(err) {
		ok = false
	}
	h.record = rec
	switch {
	case !ok && s.touched(i.Header, i.Header+segment.RecordHeadSize), ok && s.touched(i.Header, i.Header+rec.Size()):
		suffers(11, "a hole touches the header record at byte %d of %s, which live fragments need", i.Header, s.name)
	case !ok || rec.Kind != segment.HeaderRecord || i.Header >= i.position:
		suffers(3, "there is no intact header record at byte %d of %s, where fragments look for it", i.Header, s.name)
	case i.orphan && s.head.Version != 1 && rec.Fragment.Stream != i.Fragment.Stream:
	case i.orphan:
		suffers(3, "the header record at byte %d of %s is damaged", i.Header, s.name)
	}
	if h.wrong != nil {
		return h, nil
	}
	if err := s.key(ctx, rec.Key, fragmentID{i.Fragment.Stream, i.Fragment.Number.N}); err != nil {
		return nil, err
	}
	if s.Deep {
		wrong, err := s.bytes(ctx, i.Header, &rec)
		if err != nil {
			return nil, err
		}
		if wrong != "" {
			suffers(3, "the header record at byte %d of %s: %s", i.Header, s.name, wrong)
		}
	}
	return h, nil
}

// damaged reports a record whose bytes are wrong. A page of zeros in it is a hole that a
// copy of the file has filled.
func (s *inspection) damaged(position, size int64, id fragmentID, wrong string) {
	number := 4
	if s.head.Version != 1 && s.zeros(position, position+size) {
		number, wrong = 11, "there is a page of zeros in it, as a hole leaves"
	}
	s.look.found(finding(refuse, number, "fragment %d of stream %d at byte %d of %s: %s", id.n, id.stream, position, s.name, wrong).
		on(s.row.ID).of(id).losing(1))
}

// bytes compares a record with its checksums and unseals it, if there is a key. It says
// what is wrong, "" for nothing.
func (s *inspection) bytes(ctx context.Context, position int64, rec *segment.Record) (wrong string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	s.look.read += rec.Size()
	if s.Progress != nil {
		s.Progress(Progress{s.state.Done + position, s.state.Total})
	}
	whole, err := segment.Verify(s.f, position, rec)
	switch {
	case err != nil:
		return fmt.Sprintf("it cannot be read: %v", err), nil
	case !whole:
		return "its checksums do not fit", nil
	case rec.Key == 0 || s.Unwrap == nil:
		return "", nil
	}
	key, err := s.unwrap(ctx, rec.Fragment.Stream, rec.Key)
	if err != nil {
		if gone, catalogErr := s.isDeleted(ctx, rec.Fragment.Stream); gone || catalogErr != nil {
			return "", catalogErr
		}
		s.sealedFor(ctx, rec, err)
		return "", ctx.Err()
	}
	if wrong = s.unseal(key, position, rec); wrong == "" && rec.Kind == segment.FragmentRecord {
		s.look.unsealed++
	}
	return wrong, nil
}

// lock is a data key that could not be had.
type lock struct {
	stream kvs.StreamID
	key    uint64
}

// sealedFor tells once that a key could not be had. It is a finding when its wrapping key
// is another one or gone, and a note when that may be meant, as of a disabled one.
func (s *inspection) sealedFor(ctx context.Context, rec *segment.Record, err error) {
	k := lock{rec.Fragment.Stream, rec.Key}
	if first, ok := s.locked[k]; ok && first != s.row.ID {
		return
	}
	s.locked[k] = s.row.ID
	text := fmt.Sprintf("data key %d of %s could not be had, so that what it seals, in %s first, was not unsealed: %v",
		rec.Key, s.nameOf(ctx, rec.Fragment.Stream), s.name, err)
	failed, ok := errors.AsType[*keyring.Error](err)
	if ok && (failed.Failure == keyring.Validation || failed.Failure == keyring.NotFound) {
		f := finding(refuse, 4, "%s", text).on(s.row.ID)
		f.Stream, f.Number = rec.Fragment.Stream, -int64(rec.Key) //nolint:gosec // tells keys apart
		s.look.found(f)
		return
	}
	if !slices.Contains(s.look.notes, text) {
		s.look.notes = append(s.look.notes, text)
	}
}

// unseal opens all chunks of a record and throws them away.
func (s *inspection) unseal(key segment.DataKey, position int64, rec *segment.Record) (wrong string) {
	o, err := segment.NewOpener(key, rec)
	if err != nil {
		return err.Error()
	}
	var plain []byte
	buf := make([]byte, segment.SealedChunk)
	for _, p := range []struct {
		part segment.Part
		at   int64
		size int64
	}{{segment.BodyPart, rec.BodyAt(), rec.Body}, {segment.FramesPart, rec.FramesAt(), rec.FrameTable}} {
		at := position + p.at
		for n := int64(0); n*segment.ChunkSize < p.size; n++ {
			length, _ := segment.ChunkLength(p.size, n)
			b := buf[:length+segment.SealedChunk-segment.ChunkSize]
			if _, err := s.f.ReadAt(b, at); err != nil {
				return err.Error()
			}
			at += int64(len(b))
			if plain, err = o.Chunk(plain[:0], b, p.part, n); err != nil {
				return fmt.Sprintf("%v (chunk %d)", err, n)
			}
		}
	}
	return ""
}

// isShort says whether a file ended before what was to be read.
func isShort(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) }
