package iam

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/policy"
)

// Account is a tenant.
type Account struct {
	ID       kvs.AccountID
	Name     string // in the words of who made it; may be empty, need not be unique
	Home     bool   // the first one, whose root runs the installation
	Disabled bool   // its calls are refused as if its keys did not exist
	Boundary string // text of the policy that bounds everybody in it; "" = none
	Created  kvs.Millis
}

// Watch has f called after each change of an account made through this store, with its
// number. It is for the directory; call it before the store is in use.
func (s *Store) Watch(f func(kvs.AccountID)) { s.told = append(s.told, f) }

// changed makes what is remembered of an account be read anew.
func (s *Store) changed(account kvs.AccountID) {
	s.forgetAll()
	for _, tell := range s.told {
		tell(account)
	}
}

// AddAccount adds a further account with a name, which may be empty; id is its number,
// "" for a random one. InUse if the number is taken.
func (s *Store) AddAccount(ctx context.Context, name string, id kvs.AccountID) (Account, error) {
	if err := checkAccountName(name); err != nil {
		return Account{}, err
	}
	if id == "" {
		var err error
		if id, err = newAccountID(); err != nil {
			return Account{}, err
		}
	}
	if err := checkAccount(id); err != nil {
		return Account{}, err
	}
	a := Account{ID: id, Name: name, Created: s.millis()}
	err := s.changeAccount(ctx, kvs.Errorf(kvs.InUse, "account %q exists", string(id)),
		"INSERT INTO account (id, home, created, name) VALUES ($1, 0, $2, $3) ON CONFLICT (id) DO NOTHING", string(id), int64(a.Created), name)
	if err != nil {
		return Account{}, err
	}
	s.log.Info("made an account", "account", id)
	return a, nil
}

// maxAccountName is how many characters the name of an account may have.
const maxAccountName = 50

func checkAccountName(name string) error {
	if utf8.RuneCountInString(name) > maxAccountName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return kvs.Errorf(kvs.InvalidArgument, "the name of an account is one line of at most %d characters", maxAccountName)
	}
	return nil
}

const accountColumns = "SELECT id, name, home, disabled, boundary, created FROM account "

// accountPage is a page of the list of accounts.
const accountPage = accountColumns + "WHERE id > $1 ORDER BY id LIMIT $2"

// Accounts lists up to limit accounts by their numbers, those behind after; more says
// whether there are further ones.
func (s *Store) Accounts(ctx context.Context, after kvs.AccountID, limit int) (accounts []Account, more bool, err error) {
	rows, err := s.db.Read().QueryContext(ctx, accountPage, string(after), limit+1)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	for rows.Next() {
		a, err := s.scanAccount(rows)
		if err != nil {
			return nil, false, err
		}
		accounts = append(accounts, a)
	}
	if len(accounts) > limit {
		accounts, more = accounts[:limit], true
	}
	return accounts, more, rows.Err()
}

// Tenant describes an account; NotFound if there is none.
func (s *Store) Tenant(ctx context.Context, id kvs.AccountID) (Account, error) {
	a, err := s.scanAccount(s.db.Read().QueryRowContext(ctx, accountColumns+"WHERE id = $1", string(id)))
	if errors.Is(err, sql.ErrNoRows) {
		return Account{}, unknownAccount(id)
	}
	return a, err
}

type scanner interface{ Scan(...any) error }

func (s *Store) scanAccount(row scanner) (a Account, err error) {
	err = row.Scan(&a.ID, &a.Name, &a.Home, &a.Disabled, &a.Boundary, &a.Created)
	a.Home = a.Home || s.isDev(a.ID)
	return a, err
}

// RenameAccount gives an account another name.
func (s *Store) RenameAccount(ctx context.Context, id kvs.AccountID, name string) error {
	if err := checkAccountName(name); err != nil {
		return err
	}
	return s.changeTenant(ctx, id, "UPDATE account SET name = $2 WHERE id = $1", name)
}

// DisableAccount has the calls of an account refused as if its keys did not exist; its
// streams stay. InvalidArgument for the home account, from which alone it could be undone.
func (s *Store) DisableAccount(ctx context.Context, id kvs.AccountID) error {
	if err := s.checkGuest(ctx, id, "disabled"); err != nil {
		return err
	}
	return s.setDisabled(ctx, id, true)
}

// EnableAccount takes the calls of an account again.
func (s *Store) EnableAccount(ctx context.Context, id kvs.AccountID) error {
	return s.setDisabled(ctx, id, false)
}

func (s *Store) setDisabled(ctx context.Context, id kvs.AccountID, disabled bool) error {
	return s.changeTenant(ctx, id, "UPDATE account SET disabled = $2 WHERE id = $1", number(disabled))
}

// checkGuest refuses what must not happen to the home account.
func (s *Store) checkGuest(ctx context.Context, id kvs.AccountID, what string) error {
	a, err := s.Tenant(ctx, id)
	if err == nil && a.Home {
		err = kvs.Errorf(kvs.InvalidArgument, "account %s is the home of the installation and cannot be %s", id, what)
	}
	return err
}

// SetBoundary gives an account a policy that bounds everybody in it, its root included;
// "" takes it away. MalformedPolicy with line and column if it is none.
func (s *Store) SetBoundary(ctx context.Context, id kvs.AccountID, text string) error {
	if text != "" {
		if err := checkBoundary(text); err != nil {
			return err
		}
	}
	return s.changeTenant(ctx, id, "UPDATE account SET boundary = $2 WHERE id = $1", text)
}

func checkBoundary(text string) error {
	if n := policy.Size([]byte(text)); n > policy.MaxManaged {
		return kvs.Errorf(kvs.LimitExceeded, "Cannot exceed quota for PolicySize: %d", policy.MaxManaged)
	}
	if _, err := policy.Parse(policy.Identity, []byte(text)); err != nil {
		return kvs.Errorf(kvs.MalformedPolicy, "%s", err)
	}
	return nil
}

// changeTenant runs a statement that must change the row of one account, $1.
func (s *Store) changeTenant(ctx context.Context, id kvs.AccountID, statement string, args ...any) error {
	err := s.changeAccount(ctx, unknownAccount(id), statement, append([]any{string(id)}, args...)...)
	s.changed(id) // also after an error, which may leave the outcome open
	return err
}

// changeAccount runs a statement that must change one row; else the error is missing.
func (s *Store) changeAccount(ctx context.Context, missing error, statement string, args ...any) error {
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		r, err := tx.Exec(statement, args...)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return missing
	})
}

func unknownAccount(id kvs.AccountID) error {
	return kvs.Errorf(kvs.NotFound, "there is no account %q", string(id))
}
