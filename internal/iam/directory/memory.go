package directory

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/policy"
)

const (
	// maxAge is how long rights may be served from memory. Changes made through this
	// directory show at once; those another process makes, after this time.
	maxAge = 10 * time.Second
	// maxEntries bounds how many principals, and how many temporary credentials, are
	// remembered; maxText how many bytes of policies, once for those that are shared and
	// once for those that principals have for themselves. A compiled policy takes some six
	// times its text.
	maxEntries = 10_000
	maxText    = 8 << 20
)

// entryKey is a principal as far as its rights depend on it.
type entryKey struct {
	account  kvs.AccountID
	kind     kvs.PrincipalKind
	id       string
	sessions string // hashes of the session policies
}

// entry is what is known of a principal. It never changes.
type entry struct {
	set       *policy.Set
	name      string // of the user or role
	path      string
	tags      map[string]string
	notBefore kvs.Millis
	disabled  bool // the account is
	text      int  // bytes of inline and session policies
	until     time.Time
}

// flight is a load that several callers wait for.
type flight struct {
	landed chan struct{} // closed when the result is there
	entry  *entry
	err    error
}

// documentKey names a compiled policy: a version of a managed one, or the hash of a text
// with a number below zero.
type documentKey struct {
	id      string
	version int64
}

// memory holds what was read and compiled. Its zero value needs now.
type memory struct {
	now func() time.Time

	mu        sync.RWMutex
	entries   map[entryKey]*entry
	held      int // bytes of text of entries
	flights   map[entryKey]*flight
	living    map[string]time.Time // access key ids of credentials that were not ended, until when that holds
	ends      uint64               // counts credentials that were ended
	documents map[documentKey]*policy.Document
	text      int // bytes of documents
}

// recall returns what is remembered of a principal, nil if that is nothing or too old.
func (m *memory) recall(k entryKey) *entry {
	m.mu.RLock()
	e := m.entries[k]
	m.mu.RUnlock()
	if e == nil || !m.now().Before(e.until) {
		return nil
	}
	return e
}

// get returns what is remembered of a principal, or loads it: one load serves all who
// wait for it, and whoever comes after a change never joins one from before it. The
// load does not end with the caller's ctx, because others may be waiting.
func (m *memory) get(ctx context.Context, k entryKey, load func(context.Context) (*entry, error)) (*entry, error) {
	if e := m.recall(k); e != nil {
		return e, nil
	}
	now := m.now()
	m.mu.Lock()
	f := m.flights[k]
	if f != nil {
		m.mu.Unlock()
		select {
		case <-f.landed:
			return f.entry, f.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	f = &flight{landed: make(chan struct{}), err: errAborted}
	if m.flights == nil {
		m.flights = map[entryKey]*flight{}
	}
	m.flights[k] = f
	m.mu.Unlock()
	defer m.land(k, f)
	f.entry, f.err = load(context.WithoutCancel(ctx))
	if f.err == nil {
		f.entry.until = now.Add(maxAge)
	}
	return f.entry, f.err
}

// errAborted is what waiting callers get of a load that ended by a panic.
var errAborted = kvs.Errorf(kvs.Internal, "reading the rights of a principal was aborted")

// land ends a flight and remembers its result, unless it was dropped meanwhile: then what
// was read may be old.
func (m *memory) land(k entryKey, f *flight) {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(f.landed)
	if m.flights[k] != f {
		return
	}
	delete(m.flights, k)
	m.without(k)
	if f.err != nil {
		return
	}
	if m.entries == nil {
		m.entries = map[entryKey]*entry{}
	}
	for other := range m.entries { // any one: the order of a map is random
		if len(m.entries) < maxEntries && m.held+f.entry.text <= maxText {
			break
		}
		m.without(other)
	}
	m.entries[k] = f.entry
	m.held += f.entry.text
}

// without drops an entry, if there is one.
func (m *memory) without(k entryKey) {
	if e := m.entries[k]; e != nil {
		m.held -= e.text
		delete(m.entries, k)
	}
}

// forget drops what is known of a user or role, "" for nobody.
func (m *memory) forget(id string) {
	if id != "" {
		m.drop(func(k entryKey) bool { return k.id == id })
	}
}

// forgetAccount drops what is known of everybody in an account.
func (m *memory) forgetAccount(account kvs.AccountID) {
	m.drop(func(k entryKey) bool { return k.account == account })
}

// forgetAll drops what is known of everybody. Compiled policies stay: they never change.
func (m *memory) forgetAll() { m.drop(func(entryKey) bool { return true }) }

func (m *memory) drop(concerned func(entryKey) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.entries {
		if concerned(k) {
			m.without(k)
		}
	}
	maps.DeleteFunc(m.flights, func(k entryKey, _ *flight) bool { return concerned(k) })
}

// document returns a compiled policy that is remembered, nil if none is.
func (m *memory) document(k documentKey) *policy.Document {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.documents[k]
}

// compile returns a policy from memory, or compiles and remembers it. Two that come at
// the same time may both compile; they get the same one all the same.
func (m *memory) compile(k documentKey, kind policy.Kind, text string) (*policy.Document, error) {
	if doc := m.document(k); doc != nil {
		return doc, nil
	}
	doc, err := policy.Parse(kind, []byte(text))
	if err != nil {
		return nil, &kvs.Error{Kind: kvs.Internal, Message: "a stored policy cannot be read", Cause: err}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if first := m.documents[k]; first != nil {
		return first, nil
	}
	if m.documents == nil {
		m.documents = map[documentKey]*policy.Document{}
	}
	for other, d := range m.documents {
		if m.text+len(text) <= maxText {
			break
		}
		m.text -= len(d.Text())
		delete(m.documents, other)
	}
	m.documents[k] = doc
	m.text += len(doc.Text())
	return doc, nil
}

// lives reports whether credentials are known not to have been ended.
func (m *memory) lives(accessKey string) bool {
	now := m.now()
	m.mu.RLock()
	defer m.mu.RUnlock()
	return now.Before(m.living[accessKey])
}

// noteLiving remembers for a while that credentials were not ended, as read when ends was
// the count.
func (m *memory) noteLiving(accessKey string, read time.Time, ends uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ends != ends {
		return
	}
	if m.living == nil {
		m.living = map[string]time.Time{}
	}
	for other := range m.living {
		if len(m.living) < maxEntries {
			break
		}
		delete(m.living, other)
	}
	m.living[accessKey] = read.Add(maxAge)
}

// noteEnded forgets that credentials live.
func (m *memory) noteEnded(accessKey string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.living, accessKey)
	m.ends++
}

func (m *memory) endCount() uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.ends
}
