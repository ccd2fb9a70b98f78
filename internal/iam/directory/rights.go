package directory

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"strings"

	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/policy"
)

// Rights returns the policies that stand for a principal, compiled; the set is shared and
// must not be changed. NotFound when its user, role or account is gone, or a session
// policy whose time was over. Trust and Listener are for the caller to fill in, in a copy.
func (d *Directory) Rights(ctx context.Context, p kvs.Principal) (*policy.Set, error) {
	e, err := d.entry(ctx, p)
	if err != nil {
		return nil, err
	}
	return e.set, nil
}

// PrincipalTags returns the tags of a user or role, for aws:PrincipalTag; those of its session
// are in the principal itself. The map is shared and must not be changed.
func (d *Directory) PrincipalTags(ctx context.Context, p kvs.Principal) (map[string]string, error) {
	e, err := d.entry(ctx, p)
	if err != nil {
		return nil, err
	}
	return e.tags, nil
}

// Named returns the name and the path that a principal's user or role has now; of the
// principal account, kind, unique id and session policies must be known. NotFound as of
// [Directory.Rights].
func (d *Directory) Named(ctx context.Context, p kvs.Principal) (name, path string, err error) {
	e, err := d.entry(ctx, p)
	if err != nil {
		return "", "", err
	}
	return e.name, e.path, nil
}

// Valid says whether credentials are still good: user or role are there, the account is
// enabled, and temporary ones were neither revoked nor ended. The kind is NotFound when
// they are not; other kinds mean that it could not be found out.
func (d *Directory) Valid(ctx context.Context, p kvs.Principal) error {
	e, err := d.entry(ctx, p)
	switch {
	case err != nil:
		return err
	case e.disabled:
		return kvs.Errorf(kvs.NotFound, "The account of the credentials is disabled.")
	case !p.Temporary():
		return nil
	case p.Issued < e.notBefore:
		return kvs.Errorf(kvs.NotFound, "The credentials were revoked.")
	}
	return d.checkEnded(ctx, p.AccessKey)
}

func (d *Directory) entry(ctx context.Context, p kvs.Principal) (*entry, error) {
	k := entryKey{account: p.Account, kind: p.Kind, sessions: strings.Join(p.SessionPolicies, " ")}
	if p.Kind == kvs.UserPrincipal || p.Kind == kvs.RolePrincipal {
		k.id = p.ID
	}
	if e := d.memory.recall(k); e != nil {
		return e, nil
	}
	return d.memory.get(ctx, k, func(ctx context.Context) (*entry, error) { return d.load(ctx, k) })
}

// load reads everything about a principal as it is at one moment: rights must never be a
// mixture of before and after a change.
func (d *Directory) load(ctx context.Context, k entryKey) (e *entry, err error) {
	tx, err := d.db.Read().BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	l := loader{tx, &d.memory, k, &entry{set: &policy.Set{}}}
	for _, step := range []func() error{l.account, l.principal, l.sessions} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return l.entry, nil
}

// loader fills an entry.
type loader struct {
	tx     *sql.Tx
	memory *memory
	key    entryKey
	entry  *entry
}

// The statements of a load. Those about groups find nothing for a role.
const (
	accountFacts = "SELECT disabled, boundary FROM account WHERE id = $1"
	ownFacts     = "SELECT kind, name, path, boundary, not_before FROM entity WHERE id = $1 AND account = $2"
	inlineTexts  = `SELECT 0, '', name, text FROM inline_policy WHERE owner = $1
		UNION ALL SELECT 1, g.name, i.name, i.text FROM membership m JOIN inline_policy i ON i.owner = m.grp JOIN entity g ON g.id = m.grp WHERE m.member = $1
		ORDER BY 1, 2, 3`
	managedFacts = `SELECT 0, '', t.policy, COALESCE(p.account, ''), COALESCE(p.path, ''), COALESCE(p.name, ''), COALESCE(p.version, 0)
		FROM attachment t LEFT JOIN entity p ON p.id = t.policy WHERE t.owner = $1
		UNION ALL SELECT 1, g.name, t.policy, COALESCE(p.account, ''), COALESCE(p.path, ''), COALESCE(p.name, ''), COALESCE(p.version, 0)
		FROM membership m JOIN attachment t ON t.owner = m.grp JOIN entity g ON g.id = m.grp LEFT JOIN entity p ON p.id = t.policy WHERE m.member = $1
		ORDER BY 1, 2, 3`
	policyFacts = "SELECT id, account, path, name, version FROM entity WHERE id = $1"
	sessionText = "SELECT text FROM session_policy WHERE hash = $1"
)

// account reads what holds for everybody in it.
func (l *loader) account() error {
	var boundary string
	err := l.tx.QueryRow(accountFacts, string(l.key.account)).Scan(&l.entry.disabled, &boundary)
	if errors.Is(err, sql.ErrNoRows) {
		return kvs.Errorf(kvs.NotFound, "there is no account %q", string(l.key.account))
	}
	if err != nil || boundary == "" {
		return err
	}
	l.entry.set.Account, err = l.source("boundary of account "+string(l.key.account), boundary)
	return err
}

// source compiles a policy that has no version.
func (l *loader) source(name, text string) (*policy.Source, error) {
	l.entry.text += len(text)
	doc, err := l.memory.compile(textKey(policy.Identity, text), policy.Identity, text)
	return &policy.Source{Name: name, Document: doc}, err
}

// principal reads what a user or role may do by itself.
func (l *loader) principal() error {
	switch l.key.kind {
	case kvs.RootPrincipal:
		l.entry.set.Root = true
		return nil
	case kvs.UserPrincipal, kvs.RolePrincipal:
	default:
		return nil
	}
	var kind OwnerKind
	var boundary string
	e := l.entry
	err := l.tx.QueryRow(ownFacts, l.key.id, string(l.key.account)).Scan(&kind, &e.name, &e.path, &boundary, &e.notBefore)
	want := map[kvs.PrincipalKind]OwnerKind{kvs.UserPrincipal: UserOwner, kvs.RolePrincipal: RoleOwner}[l.key.kind]
	if errors.Is(err, sql.ErrNoRows) || err == nil && kind != want {
		return unknown(want, l.key.id)
	}
	if err != nil {
		return err
	}
	if boundary != "" {
		if l.entry.set.Boundary, err = l.byID("", boundary); err != nil {
			return err
		}
	}
	if err := l.identity(string(kind) + "/" + e.name); err != nil {
		return err
	}
	tags, err := allTags(l.tx, l.key.id)
	l.entry.tags = maps.Collect(func(yield func(string, string) bool) {
		for _, t := range tags {
			if !yield(t.Key, t.Value) {
				return
			}
		}
	})
	return err
}

// identity reads inline and managed policies of the principal and its groups.
func (l *loader) identity(own string) error {
	texts, err := collect(l.tx, scanInline, inlineTexts, l.key.id)
	if err != nil {
		return err
	}
	for _, t := range texts {
		s, err := l.source(whose(own, t.group)+" inline "+t.name, t.text)
		if err != nil {
			return err
		}
		l.entry.set.Identity = append(l.entry.set.Identity, *s)
	}
	managed, err := collect(l.tx, scanManaged, managedFacts, l.key.id)
	if err != nil {
		return err
	}
	for _, m := range managed {
		s, err := l.managed(whose(own, m.group)+" ", m)
		if err != nil {
			return err
		}
		l.entry.set.Identity = append(l.entry.set.Identity, s)
	}
	return nil
}

// inline is an inline policy that a principal has, or one of its groups.
type inline struct{ group, name, text string }

func scanInline(scan func(...any) error) (i inline, err error) {
	var order int
	return i, scan(&order, &i.group, &i.name, &i.text)
}

// whose tells in an explanation whose policy it is.
func whose(own, group string) string {
	if group != "" {
		return "group/" + group
	}
	return own
}

// managed is a managed policy that a principal has, or one of its groups.
type managed struct {
	group, id string
	naming.Name
	version int64
}

func scanManaged(scan func(...any) error) (m managed, err error) {
	var order int
	m.Kind = naming.Policy
	return m, scan(&order, &m.group, &m.id, &m.Account, &m.Path, &m.Name.Name, &m.version)
}

// byID reads a managed policy that stands alone: a boundary, or that of a session.
func (l *loader) byID(whose, id string) (*policy.Source, error) {
	m := managed{id: id}
	m.Kind = naming.Policy
	if builtInByID(id) == nil {
		if err := l.tx.QueryRow(policyFacts, id).Scan(&m.id, &m.Account, &m.Path, &m.Name.Name, &m.version); err != nil {
			return nil, err
		}
	}
	s, err := l.managed(whose, m)
	return &s, err
}

// managed returns the default version of a managed policy; the text is read only when it
// is not compiled yet.
func (l *loader) managed(whose string, m managed) (policy.Source, error) {
	if b := builtInByID(m.id); b != nil {
		return policy.Source{Name: whose + "managed " + b.arn(), Document: b.doc}, nil
	}
	k := documentKey{m.id, m.version}
	s := policy.Source{Name: whose + "managed " + m.ARN(), Document: l.memory.document(k)}
	if s.Document != nil {
		return s, nil
	}
	var text string
	var created kvs.Millis
	err := l.tx.QueryRow(versionText, m.id, m.version).Scan(&text, &created)
	if err == nil {
		s.Document, err = l.memory.compile(k, policy.Identity, text)
	}
	return s, err
}

// sessions reads the session policies.
func (l *loader) sessions() error {
	if l.key.sessions == "" {
		return nil
	}
	for _, hash := range strings.Split(l.key.sessions, " ") {
		if kind, ok := naming.KindOf(hash); ok && kind == naming.Policy {
			if err := l.managedSession(hash); err != nil {
				return err
			}
			continue
		}
		var text string
		err := l.tx.QueryRow(sessionText, hash).Scan(&text)
		if errors.Is(err, sql.ErrNoRows) {
			return kvs.Errorf(kvs.NotFound, "A session policy of the credentials is gone.")
		}
		if err != nil {
			return err
		}
		s, err := l.source("session policy", text)
		if err != nil {
			return err
		}
		l.entry.set.Session = append(l.entry.set.Session, *s)
	}
	return nil
}

// managedSession adds a managed policy that bounds a session, as it is now.
func (l *loader) managedSession(id string) error {
	s, err := l.byID("session policy ", id)
	if errors.Is(err, sql.ErrNoRows) {
		return kvs.Errorf(kvs.NotFound, "A session policy of the credentials is gone.")
	}
	if err == nil {
		l.entry.set.Session = append(l.entry.set.Session, *s)
	}
	return err
}
