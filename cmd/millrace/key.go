package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/server"
)

// keyCmd manages access keys in a data directory of this machine. A running server
// notices changes within seconds.
type keyCmd struct {
	Create    keyCreateCmd  `cmd:"" help:"Make an access key and print its secret, once."`
	List      keyListCmd    `cmd:"" help:"List access keys, never their secrets."`
	Disable   keyDisableCmd `cmd:"" help:"Refuse a key until it is enabled again."`
	Enable    keyEnableCmd  `cmd:"" help:"Accept a disabled key again."`
	Delete    keyDeleteCmd  `cmd:"" help:"Delete a key for good."`
	ResetRoot keyResetCmd   `cmd:"" help:"Replace the root key, with the server stopped."`
}

// Help shows examples.
func (keyCmd) Help() string {
	return `Examples:
  millrace key create --user gate --data /var/lib/millrace --note 'camera at the gate'
  millrace key disable AKIAEXAMPLEEXAMPLE00 --data /var/lib/millrace
  millrace key reset-root --data /var/lib/millrace
A running server notices changes within ten seconds.`
}

// dataFlags say whose keys are meant.
type dataFlags struct {
	Data   *string `placeholder:"DIR" help:"Data directory of the server (default: as millrace serve finds it)."`
	Config string  `type:"existingfile" placeholder:"FILE" help:"Settings file of the server."`
}

// settings are those of the server whose data directory is meant.
func (d dataFlags) settings() (config.Config, error) {
	l, err := d.load()
	return l.Config, err
}

func (d dataFlags) load() (config.Loaded, error) {
	from := config.Sources{File: d.Config, Environ: os.Environ(), Flags: map[string]string{}}
	if d.Data != nil {
		from.Flags["data"] = *d.Data
	}
	return config.Load(from)
}

// open opens the keys of the data directory; with offline true only if no server runs.
func (d dataFlags) open(ctx context.Context, offline bool) (*server.Identities, error) {
	c, err := d.settings()
	if err != nil {
		return nil, err
	}
	i, err := server.OpenIdentities(ctx, c.Data, offline)
	return i, d.whence("data", readable(c.Data, err))
}

type keyCreateCmd struct {
	accountFlags
	User string `placeholder:"NAME" help:"The user whose key it is; without one it is a key of the account itself, which may do everything in it but, in the home account, change users, policies, keys and limits, hold and erase."`
	Note string `placeholder:"TEXT" help:"What the key is for, such as 'camera at the gate'; key list shows it."`
}

// Run makes a key of a user, or of the account.
func (k *keyCreateCmd) Run(ctx context.Context, std stdio) error {
	return k.with(ctx, func(i identities) error {
		made := iam.NewKey{Account: i.account, Note: k.Note}
		if k.User != "" {
			u, err := i.Directory.User(ctx, i.account, k.User)
			if err != nil {
				return err
			}
			made.User = u.ID
		}
		key, err := i.Keys.Create(ctx, made)
		if err != nil {
			return err
		}
		printKey(std.out, key)
		return nil
	})
}

// with opens the keys, calls f and closes them.
func (d dataFlags) with(ctx context.Context, offline bool, f func(*server.Identities) error) (err error) {
	i, err := d.open(ctx, offline)
	if err != nil {
		return err
	}
	defer func() {
		if e := i.Close(); err == nil {
			err = e
		}
	}()
	return f(i)
}

func printKey(w io.Writer, k *iam.RootKey) {
	fmt.Fprintf(w, "AWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\n", k.ID, k.Secret)
}

type keyListCmd struct {
	accountFlags
	JSON bool `name:"json" help:"One JSON object a line instead of a table."`
}

// Help explains a column.
func (keyListCmd) Help() string {
	return `LAST USED is to the minute, and a running server writes it once a minute: a use of just now is
shown a minute or two later.

Examples:
  millrace key list --data /var/lib/millrace
  millrace key list --data /var/lib/millrace --json | jq -r 'select(.LastUsed == null) | .AccessKeyId'`
}

// keyObject is a key as JSON.
type keyObject struct {
	AccessKeyID string `json:"AccessKeyId"`
	Root        bool   // given out by the first start or by key reset-root
	User        string // whose key it is; empty: a key of the account itself
	Active      bool   // false = disabled
	Created     time.Time
	LastUsed    *time.Time // null = never
	Note        string
}

func keyObjects(ctx context.Context, i identities, keys []iam.KeyInfo) []keyObject {
	all := make([]keyObject, len(keys))
	for n, k := range keys {
		all[n] = keyObject{AccessKeyID: k.ID, Root: k.Root, User: i.userName(ctx, k.User), Active: k.Active, Created: k.Created.Time().UTC(), Note: k.Note}
		if k.Used != 0 {
			used := k.Used.Time().UTC()
			all[n].LastUsed = &used
		}
	}
	return all
}

// Run prints a table.
func (k *keyListCmd) Run(ctx context.Context, std stdio) error {
	return k.with(ctx, func(i identities) error {
		keys, err := i.Keys.List(ctx, i.account)
		if err != nil {
			return err
		}
		all := keyObjects(ctx, i, keys)
		if k.JSON {
			return writeObjects(std.out, all)
		}
		w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "KEY\tKIND\tUSER\tSTATUS\tCREATED\tLAST USED\tNOTE")
		for n, one := range all {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", one.AccessKeyID, kindOfKey(one), cmp.Or(one.User, "-"),
				choose(one.Active, "active", "disabled"), when(keys[n].Created), when(keys[n].Used), one.Note)
		}
		return w.Flush()
	})
}

// kindOfKey says whose rights a key has.
func kindOfKey(k keyObject) string {
	switch {
	case k.Root:
		return "root"
	case k.User != "":
		return "user"
	}
	return "account"
}

func choose(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

func when(m kvs.Millis) string {
	if m == 0 {
		return "never"
	}
	return m.Time().Format(time.RFC3339)
}

// oneKey names the key that a command is about.
type oneKey struct {
	dataFlags
	ID string `arg:"" name:"KEY" help:"Access key id."`
}

// change does something to the key.
func (k *oneKey) change(ctx context.Context, f func(*iam.Store) error) error {
	return k.with(ctx, false, func(i *server.Identities) error {
		if err := f(i.Keys); err != nil {
			return fmt.Errorf("%s: %w", k.ID, err)
		}
		return nil
	})
}

type keyDisableCmd struct{ oneKey }

// Run disables the key. Without an active root key some calls are left to nobody.
func (k *keyDisableCmd) Run(ctx context.Context, std stdio) error {
	return k.change(ctx, func(s *iam.Store) error {
		if err := s.Disable(ctx, k.ID); err != nil {
			return err
		}
		keys, err := s.List(ctx, "")
		if err != nil {
			return err
		}
		last := slices.ContainsFunc(keys, func(i iam.KeyInfo) bool { return i.Root && i.ID == k.ID }) &&
			!slices.ContainsFunc(keys, func(i iam.KeyInfo) bool { return i.Root && i.Active })
		if last {
			fmt.Fprintf(std.err, "millrace: warning: no root key is active now, and only one may change limits;\n"+
				"  back: millrace key enable %s; a new one: millrace key reset-root, with the server stopped\n", k.ID)
		}
		_, err = fmt.Fprintf(std.out, "Key %s is disabled; its calls are refused within ten seconds.\n", k.ID)
		return err
	})
}

type keyEnableCmd struct{ oneKey }

// Run enables the key.
func (k *keyEnableCmd) Run(ctx context.Context, std stdio) error {
	return k.change(ctx, func(s *iam.Store) error {
		err := s.Enable(ctx, k.ID)
		if err == nil {
			_, err = fmt.Fprintf(std.out, "Key %s is enabled; its calls are taken within ten seconds.\n", k.ID)
		}
		return err
	})
}

type keyDeleteCmd struct{ oneKey }

// Run deletes the key, which cannot be the root key.
func (k *keyDeleteCmd) Run(ctx context.Context, std stdio) error {
	return k.change(ctx, func(s *iam.Store) error {
		keys, err := s.List(ctx, "")
		if err != nil {
			return err
		}
		root := func(i iam.KeyInfo) bool { return i.Root && i.ID == k.ID }
		if slices.ContainsFunc(keys, root) {
			return errors.New("the root key is not deleted; millrace key reset-root replaces it")
		}
		err = s.Delete(ctx, k.ID)
		if err == nil {
			_, err = fmt.Fprintf(std.out, "Key %s is deleted; its calls are refused within ten seconds.\n", k.ID)
		}
		return err
	})
}

type keyResetCmd struct {
	dataFlags
}

// Run replaces the root key.
func (k *keyResetCmd) Run(ctx context.Context, std stdio) error {
	return k.with(ctx, true, func(i *server.Identities) error {
		key, err := i.Keys.ResetRoot(ctx)
		if err != nil {
			return err
		}
		printKey(std.out, key)
		fmt.Fprintf(std.err, "The old root key is gone. Secrets stay sealed under %s.\n", filepath.Base(server.KeyFile))
		return nil
	})
}
