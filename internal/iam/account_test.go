package iam

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/kvs"
)

const guest kvs.AccountID = "444455556666"

// streams says that accounts have streams, or that nobody knows.
type streams struct {
	has bool
	err error
}

func (s streams) Any(context.Context, kvs.AccountID) (bool, error) { return s.has, s.err }

func wants(t *testing.T, err error, kind kvs.Kind, words string) {
	t.Helper()
	if err == nil || kvs.KindOf(err) != kind || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v, want kind %d and %q", err, kind, words)
	}
}

// TestLifeOfAnAccount: added, found, renamed, bounded, disabled, deleted.
func TestLifeOfAnAccount(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	h.bootstrap()
	var told []kvs.AccountID
	h.Watch(func(a kvs.AccountID) { told = append(told, a) })
	a, err := h.AddAccount(ctx, "Lager Süd", guest)
	must(t, err)
	k, err := h.Create(ctx, NewKey{Account: guest})
	must(t, err)
	p := h.lookup(k.ID).Principal
	if p.Kind != kvs.RootPrincipal || p.Root || p.Home || p.ID != string(guest) {
		t.Errorf("%+v", p)
	}
	must(t, h.RenameAccount(ctx, guest, "Lager"))
	must(t, h.SetBoundary(ctx, guest, boundary))
	a.Name, a.Boundary = "Lager", boundary
	if got, err := h.Tenant(ctx, guest); err != nil || got != a {
		t.Errorf("%+v, %v, want %+v", got, err, a)
	}
	must(t, h.DisableAccount(ctx, guest))
	if h.lookup(k.ID).Active {
		t.Error("a key of a disabled account is active")
	}
	must(t, h.EnableAccount(ctx, guest))
	if !h.lookup(k.ID).Active {
		t.Error("a key of an enabled account is not active")
	}
	must(t, h.SetBoundary(ctx, guest, ""))
	must(t, h.DeleteAccount(ctx, guest, streams{}))
	h.gone(k.ID)
	if len(told) < 6 {
		t.Errorf("told of %v", told)
	}
	for name, do := range map[string]func() error{
		"rename":  func() error { return h.RenameAccount(ctx, guest, "x") },
		"bound":   func() error { return h.SetBoundary(ctx, guest, "") },
		"disable": func() error { return h.DisableAccount(ctx, guest) },
		"enable":  func() error { return h.EnableAccount(ctx, guest) },
		"delete":  func() error { return h.DeleteAccount(ctx, guest, streams{}) },
	} {
		if err := do(); kvs.KindOf(err) != kvs.NotFound {
			t.Errorf("%s an account that is gone: %v", name, err)
		}
	}
}

const boundary = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// TestWhatAccountsRefuse: no policy as boundary, no long names, nothing that ends the home.
func TestWhatAccountsRefuse(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	root := h.bootstrap()
	wants(t, h.SetBoundary(ctx, root.Account, "{"), kvs.MalformedPolicy, "line 1")
	wants(t, h.SetBoundary(ctx, root.Account, strings.Repeat("x", 6145)), kvs.LimitExceeded, "6144")
	_, err := h.AddAccount(ctx, strings.Repeat("x", 51), "")
	wants(t, err, kvs.InvalidArgument, "50 characters")
	wants(t, h.RenameAccount(ctx, root.Account, "a\nb"), kvs.InvalidArgument, "one line")
	_, err = h.AddAccount(ctx, "", "12")
	wants(t, err, kvs.InvalidArgument, "12 digits")
	wants(t, h.DisableAccount(ctx, root.Account), kvs.InvalidArgument, "home")
	wants(t, h.DeleteAccount(ctx, root.Account, streams{}), kvs.InvalidArgument, "home")
}

// TestAccountsWithStreamsStay, as they were before.
func TestAccountsWithStreamsStay(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	h.bootstrap()
	_, err := h.AddAccount(ctx, "", guest)
	must(t, err)
	k, err := h.Create(ctx, NewKey{Account: guest})
	must(t, err)
	wants(t, h.DeleteAccount(ctx, guest, streams{has: true}), kvs.Conflict, "streams")
	if !h.lookup(k.ID).Active {
		t.Error("the account was left disabled")
	}
	must(t, h.DisableAccount(ctx, guest))
	if err := h.DeleteAccount(ctx, guest, streams{err: errors.New("the catalog is closed")}); err == nil || h.lookup(k.ID).Active {
		t.Errorf("%v", err)
	}
}

// TestDeletedAccountsLeaveNothing of what belonged to them, and all of the others.
func TestDeletedAccountsLeaveNothing(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	h.bootstrap()
	_, err := h.AddAccount(ctx, "", guest)
	must(t, err)
	for _, account := range []string{"111122223333", string(guest)} {
		must(t, h.db.Write(ctx, func(tx *sql.Tx) error {
			for i, kind := range []string{"user", "group", "role", "policy"} {
				id := account + kind
				if _, err := tx.Exec("INSERT INTO entity VALUES ($1, $2, $3, 'n', 'n', '/', '', 0, 0, '', 0, '', 0, 1, 1)", id, account, kind); err != nil {
					return err
				}
				for _, s := range [][]string{
					{"INSERT INTO inline_policy VALUES ($1, 'n', '{}', 2)"}, {"INSERT INTO tag VALUES ($1, 'k', 'k', 'v')"},
				} {
					if _, err := tx.Exec(s[0], id); err != nil {
						return err
					}
				}
				if i == 3 {
					for _, s := range []string{
						"INSERT INTO membership VALUES ($1 || 'user', $1 || 'group')", "INSERT INTO policy_version VALUES ($1 || 'policy', 1, 0, '{}')",
						"INSERT INTO attachment VALUES ($1 || 'user', $1 || 'policy', $1)", "INSERT INTO policy_use VALUES ($1, $1 || 'policy', 1, 0)",
					} {
						if _, err := tx.Exec(s, account); err != nil {
							return err
						}
					}
				}
			}
			return nil
		}))
		_, err := h.Create(ctx, NewKey{Account: kvs.AccountID(account), User: account + "user"})
		must(t, err)
	}
	must(t, h.DeleteAccount(ctx, guest, streams{}))
	for _, table := range []string{"account", "access_key", "entity", "inline_policy", "tag", "membership", "policy_version", "attachment", "policy_use"} {
		want := map[string]int{"access_key": 2, "entity": 4, "inline_policy": 4, "tag": 4}[table]
		var n int
		must(t, h.db.Read().QueryRow("SELECT COUNT(*) FROM "+table).Scan(&n))
		if n != max(want, 1) {
			t.Errorf("%d rows in %s", n, table)
		}
	}
}

// TestPagesOfAccounts by number.
func TestPagesOfAccounts(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	h.bootstrap()
	for _, id := range []kvs.AccountID{"999900000000", guest, "222200000000"} {
		_, err := h.AddAccount(ctx, "", id)
		must(t, err)
	}
	want := []kvs.AccountID{"111122223333", "222200000000", guest, "999900000000"}
	for size := 1; size < 6; size++ {
		var got []kvs.AccountID
		for after, more := kvs.AccountID(""), true; more; {
			var page []Account
			var err error
			page, more, err = h.Accounts(ctx, after, size)
			must(t, err)
			for _, a := range page {
				got = append(got, a.ID)
				after = a.ID
				if a.Home != (a.ID == want[0]) {
					t.Errorf("%+v", a)
				}
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
}
