package admin

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/sessions"
)

// SessionsInput is the input of ListSessions.
type SessionsInput struct {
	AnyStream
	Max int `json:",omitempty" help:"At most this many, the fastest first; 0 = 1000."`
}

// SessionsOutput is the output of ListSessions.
type SessionsOutput struct {
	Sessions []Session `help:"The open sessions, the fastest first."`
	More     int       `help:"Sessions of the account that are open and not in the list."`
	Unlisted int       `help:"Sessions of the server beyond the number that it keeps track of."`
	Now      time.Time `help:"The server's clock."`
}

// Session is one open PutMedia, GetMedia or GetMediaForFragmentList call.
type Session struct {
	StreamName     string     `help:"Name of the stream."`
	Operation      string     `help:"PutMedia, GetMedia or GetMediaForFragmentList."`
	RequestID      string     `json:"RequestId" help:"Id of the request, as in the log and in the answer's x-amzn-RequestId."`
	Client         string     `help:"Address of the client."`
	UserAgent      string     `help:"What the client calls itself."`
	AccessKey      string     `help:"Id of the access key that signed; empty for the server itself."`
	Since          time.Time  `help:"When the session began."`
	Bytes          int64      `help:"Bytes of Matroska read or sent."`
	BytesPerSecond float64    `help:"Bytes each second over the last minute."`
	Fragments      int64      `help:"Fragments received whole; for consumers, begun to be sent."`
	Persisted      int64      `help:"Fragments acknowledged as durable; PutMedia only."`
	Failed         int64      `help:"ERROR acknowledgements; PutMedia only."`
	LastAck        string     `help:"Type of the last acknowledgement; PutMedia only."`
	LastAckTime    *time.Time `help:"When it was written; null when there was none."`
	IdleSeconds    float64    `help:"Time since media moved last."`
	DelaySeconds   float64    `help:"PutMedia: delay of the last RECEIVED or PERSISTED. Consumers: age of the fragment being sent."`
	HeldSeconds    float64    `help:"How long the producer was held up in all, for want of memory, by the disk or by a limit."`
}

// maxSessions is how many sessions a call may ask for, defaultSessions how many it gets.
const (
	maxSessions     = 20_000
	defaultSessions = 1000
)

// Sessions makes the routes that show the open sessions of the registry.
func Sessions(r *sessions.Registry, now func() time.Time) []Route {
	return []Route{OnStream("ListSessions", "Shows the long calls that are open now: who sends or reads what, how fast, and how far behind.",
		SessionsOutput{}, func(_ context.Context, c *api.Call, in *SessionsInput) (any, error) {
			open, unlisted := r.List(c.Principal.Account)
			open = slices.DeleteFunc(open, func(s sessions.Status) bool { return c.Stream.Name != "" && s.Stream.ID != c.Stream.ID })
			slices.SortFunc(open, func(a, b sessions.Status) int {
				return cmp.Or(cmp.Compare(b.BytesPerSecond, a.BytesPerSecond), a.Since.Compare(b.Since), cmp.Compare(a.RequestID, b.RequestID))
			})
			shown := min(len(open), cmp.Or(min(max(in.Max, 0), maxSessions), defaultSessions))
			out := SessionsOutput{Sessions: make([]Session, shown), More: len(open) - shown, Unlisted: unlisted, Now: now()}
			for i := range out.Sessions {
				out.Sessions[i] = showSession(&open[i])
			}
			return out, nil
		})}
}

func showSession(s *sessions.Status) Session {
	out := Session{
		StreamName: s.Stream.Name, Operation: s.Operation, RequestID: s.RequestID, Client: s.Client, UserAgent: s.UserAgent,
		AccessKey: s.AccessKey, Since: s.Since.UTC(), Bytes: s.Bytes, BytesPerSecond: round(s.BytesPerSecond), Fragments: s.Fragments,
		Persisted: s.Persisted, Failed: s.Failed, LastAck: s.LastAck,
		IdleSeconds: s.Idle.Seconds(), DelaySeconds: s.Delay.Seconds(), HeldSeconds: s.Held.Seconds(),
	}
	if !s.LastAckTime.IsZero() {
		out.LastAckTime = new(s.LastAckTime.UTC())
	}
	return out
}

// round keeps two decimals: rates are not more exact than that.
func round(v float64) float64 { return float64(int64(v*100+0.5)) / 100 }
