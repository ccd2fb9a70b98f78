package play

import (
	"context"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/playback"
)

// errGone says that the stream of a good session was deleted.
var errGone = kvs.Errorf(kvs.NotFound, "The stream of this streaming session was deleted.")

// Invalid is the answer to a token that nobody here made; Expired that to one whose time is
// over. They tell nothing about the stream, nor what was wrong.
func Invalid() error { return kvs.Errorf(kvs.Denied, "Streaming session token is invalid") }

// Expired is described with [Invalid].
func Expired() error { return kvs.Errorf(kvs.Denied, "Streaming session token is expired") }

// enter reads the token of a visit and decides whether it is good. Whether there is such a
// stream is told to holders of a good one only.
func (r *room) enter(ctx context.Context, v *visit, kind playback.Protocol) error {
	if v.token = v.query.get("SessionToken"); v.token == "" {
		return kvs.Errorf(kvs.Denied, "Streaming session token is missing: the URL needs SessionToken=...")
	}
	b, err := r.Open(v.token)
	if err != nil {
		return err
	}
	if v.ses, err = playback.ParseSession(b); err != nil || v.ses.Kind != kind {
		return Invalid()
	}
	if v.now >= v.ses.Expires {
		return Expired()
	}
	s, err := r.Stream(ctx, v.ses.Stream)
	if kvs.KindOf(err) == kvs.NotFound && err != nil {
		_ = v.Trust(ctx, kvs.Stream{})
		return errGone
	}
	if err != nil {
		return err
	}
	if s.Created != v.ses.StreamCreated {
		return Invalid()
	}
	if v.ses.Created < s.SessionsFrom {
		return kvs.Errorf(kvs.Denied, "Streaming session token is revoked")
	}
	if err := v.Trust(ctx, s); err != nil {
		return err
	}
	return v.readOptions()
}

// readOptions reads our own options, which are query parameters of the session URL.
func (v *visit) readOptions() error {
	switch v.query.get("LivePause") {
	case "":
	case "BREAK":
		v.ses.Break = true
	case "SURVIVE":
		v.ses.Break = false
	default:
		return kvs.Errorf(kvs.InvalidArgument, "LivePause must be BREAK or SURVIVE.")
	}
	return nil
}

// carry returns the token with the options that playlists hand on to the URLs in them.
func (v *visit) carry() string {
	if p := v.query.get("LivePause"); p != "" {
		return v.token + "&LivePause=" + p
	}
	return v.token
}
