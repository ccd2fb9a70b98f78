package quota

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/metrics"
)

// Origin says where a limit in force comes from.
type Origin string

// The origins, in rising precedence.
const (
	FromProfile  Origin = "profile"
	FromSettings Origin = "settings"
	FromAccount  Origin = "account"
	FromStream   Origin = "stream"
)

// InForce is a limit with the value that holds.
type InForce struct {
	Limit *Limit
	Value Value
	From  Origin
	// Default is the value that the profile has.
	Default Value
	// Differs says that the profile is aws and the value is one that the original service
	// has for nobody.
	Differs bool
}

// Target is what a limit is set for: an account, or one of its streams.
type Target struct {
	Account kvs.AccountID
	Stream  kvs.StreamID // 0 = the account
}

// BookOptions are what a book is made of. The zero value is the profile open.
type BookOptions struct {
	Profile  Profile
	Region   string            // the server's own, which some quotas depend on; "" = a large one
	Settings map[string]string // values by the names of limits, for the whole server
	DB       *db.DB            // opened with [Migrations]; nil = what is set is forgotten with the book
	Now      func() time.Time  // nil = time.Now
	Metrics  *metrics.Set      // nil = nothing is counted
	Logger   *slog.Logger      // nil = silent
}

// Book knows the limits in force and what was used of them. What is set for a stream
// goes before what is set for its account, that before the settings, those before the
// profile. Changes hold at once: for new sessions, and for open ones at their next look.
type Book struct {
	now     func() time.Time
	log     *slog.Logger
	metrics *metrics.Set
	db      *db.DB
	region  string
	epoch   time.Time // what the clock of the buckets counts from
	made    time.Time // likewise that of the pipes

	current atomic.Pointer[inForce]
	change  sync.Mutex // held while current is replaced

	accounts    *index[kvs.AccountID]
	streams     *index[kvs.StreamID]
	connections connections
	pipes       pipes
}

// NewBook makes the book, with the limits that were set for accounts and streams in
// earlier runs.
func NewBook(ctx context.Context, o BookOptions) (*Book, error) {
	b := &Book{accounts: newIndex[kvs.AccountID](accountSlots), streams: newIndex[kvs.StreamID](streamSlots), made: time.Now(), now: o.Now, db: o.DB, region: o.Region, metrics: o.Metrics, log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler))}
	if b.now == nil {
		b.now = time.Now
	}
	b.epoch = b.now()
	b.current.Store(&inForce{})
	if err := b.Configure(o.Profile, o.Settings); err != nil {
		return nil, err
	}
	return b, b.load(ctx)
}

// inForce is all that decides which values hold. It is replaced as a whole, never
// modified.
type inForce struct {
	profile  Profile
	server   resolved // for accounts and streams for which nothing was set
	settings map[int]bool
	accounts map[kvs.AccountID]overrides
	streams  map[kvs.StreamID]overrides
}

// overrides are values by the index of their rows.
type overrides map[int]Value

// resolved is the values that hold for one account or stream.
type resolved struct {
	of     *inForce
	values []Value
}

func (r *resolved) fill(o overrides) {
	for i, v := range o {
		r.values[i] = v
	}
}

// resolve returns what holds for a stream, or for an account when id is 0.
func (f *inForce) resolve(a kvs.AccountID, id kvs.StreamID) *resolved {
	account, stream := f.accounts[a], f.streams[id]
	if len(account) == 0 && len(stream) == 0 {
		return &f.server
	}
	r := &resolved{of: f, values: slices.Clone(f.server.values)}
	r.fill(account)
	r.fill(stream)
	return r
}

// Check says what is wrong with a value for the limit of a name, and what would be right.
func Check(name, value string) error {
	_, _, err := parse(name, value)
	return err
}

func parseSettings(settings map[string]string) (overrides, error) {
	o := overrides{}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		l, v, err := parse(name, settings[name])
		if err != nil {
			return nil, err
		}
		o[l.index] = v
	}
	return o, nil
}

func parse(name, text string) (*Limit, Value, error) {
	l, ok := Lookup(name)
	if !ok {
		return nil, 0, fmt.Errorf("there is no limit named %q: %s", name, Suggest(name))
	}
	v, err := l.Parse(text)
	return l, v, err
}

// Configure replaces profile and settings: all of them, or none when one is wrong. What
// was set for accounts and streams stays.
func (b *Book) Configure(p Profile, settings map[string]string) error {
	enforce, err := b.Prepare(p, settings)
	if err == nil {
		enforce()
	}
	return err
}

// Prepare is the part of [Book.Configure] that can fail; what it returns does the rest.
// Nothing holds until then, so other things that must change with the limits may fail in
// between.
func (b *Book) Prepare(p Profile, settings map[string]string) (enforce func(), err error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	o, err := parseSettings(settings)
	if err != nil {
		return nil, err
	}
	return func() { b.enforce(cmp.Or(p, Open), o) }, nil
}

func (b *Book) enforce(p Profile, o overrides) {
	b.change.Lock()
	defer b.change.Unlock()
	old := b.current.Load()
	f := &inForce{profile: p, settings: map[int]bool{}, accounts: old.accounts, streams: old.streams}
	f.server = resolved{of: f, values: make([]Value, len(table))}
	for _, l := range table {
		f.server.values[l.index] = l.Default(p, b.region)
	}
	f.server.fill(o)
	for i := range o {
		f.settings[i] = true
	}
	b.current.Store(f)
}

// Profile is the profile in force.
func (b *Book) Profile() Profile { return b.current.Load().profile }

// List returns every limit in force for a stream, or for an account when id is 0, in the
// order of [Table].
func (b *Book) List(a kvs.AccountID, id kvs.StreamID) []InForce {
	f := b.current.Load()
	values := f.resolve(a, id).values
	all := make([]InForce, 0, len(table))
	for _, l := range Table() {
		v := InForce{Limit: l, Value: values[l.index], From: FromProfile, Default: l.Default(f.profile, b.region)}
		if f.settings[l.index] {
			v.From = FromSettings
		}
		if _, ok := f.accounts[a][l.index]; ok {
			v.From = FromAccount
		}
		if _, ok := f.streams[id][l.index]; ok {
			v.From = FromStream
		}
		v.Differs = f.profile == AWS && l.Hard && v.Value != v.Default
		all = append(all, v)
	}
	return all
}

// Set sets a limit for an account or a stream, durably. Errors of the kind
// InvalidArgument say what would be right.
func (b *Book) Set(ctx context.Context, t Target, name, value string) error {
	l, v, err := parse(name, value)
	if err == nil {
		err = l.settable(t)
	}
	if err != nil {
		return kvs.Errorf(kvs.InvalidArgument, "%s", err.Error())
	}
	b.change.Lock()
	defer b.change.Unlock()
	if err := b.store(ctx, t, l, v); err != nil {
		return err
	}
	b.replace(t, func(o overrides) { o[l.index] = v })
	return nil
}

// settable says why the limit cannot be set for t.
func (l *Limit) settable(t Target) error {
	switch {
	case l.Scope == Server:
		return fmt.Errorf("%s holds for the whole server: set it under limits in the settings", l.Name)
	case l.Scope != Stream && t.Stream != 0:
		return fmt.Errorf("%s cannot be set for a stream: set it for the account", l.Name)
	case t.Account == "":
		return errors.New("a limit is set for an account")
	}
	return nil
}

// Reset takes back what was set for an account or a stream: one limit, or all of them
// when name is empty. What was not set is no error.
func (b *Book) Reset(ctx context.Context, t Target, name string) error {
	l, ok := Lookup(name)
	if !ok && name != "" {
		return kvs.Errorf(kvs.InvalidArgument, "there is no limit named %q: %s", name, Suggest(name))
	}
	b.change.Lock()
	defer b.change.Unlock()
	if err := b.remove(ctx, t, name); err != nil {
		return err
	}
	b.replace(t, func(o overrides) {
		if l == nil {
			clear(o)
			return
		}
		delete(o, l.index)
	})
	return nil
}

// Without returns the value that would hold for an account or a stream if nothing were set
// for it.
func (b *Book) Without(t Target, l *Limit) Value {
	f := b.current.Load()
	if t.Stream == 0 {
		return f.server.values[l.index]
	}
	return f.resolve(t.Account, 0).values[l.index]
}

// Forget takes back everything that was set for a stream that is gone.
func (b *Book) Forget(ctx context.Context, id kvs.StreamID) error {
	b.change.Lock()
	defer b.change.Unlock()
	if len(b.current.Load().streams[id]) == 0 {
		return nil
	}
	if err := b.removeStream(ctx, id); err != nil {
		return err
	}
	b.replace(Target{Stream: id}, func(o overrides) { clear(o) })
	return nil
}

// replace changes what was set for t. Callers hold b.change.
func (b *Book) replace(t Target, edit func(overrides)) {
	old := b.current.Load()
	f := &inForce{profile: old.profile, settings: old.settings, accounts: old.accounts, streams: old.streams}
	f.server = resolved{of: f, values: old.server.values}
	if t.Stream != 0 {
		f.streams = edited(old.streams, t.Stream, edit)
	} else {
		f.accounts = edited(old.accounts, t.Account, edit)
	}
	b.current.Store(f)
}

// edited copies what changes.
func edited[K comparable](all map[K]overrides, key K, edit func(overrides)) map[K]overrides {
	all, o := maps.Clone(all), maps.Clone(all[key])
	if all == nil {
		all = map[K]overrides{}
	}
	if o == nil {
		o = overrides{}
	}
	edit(o)
	if all[key] = o; len(o) == 0 {
		delete(all, key)
	}
	return all
}
