package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/millrace/millrace/internal/server"
)

// initCmd makes a data directory before the server starts for the first time, so that
// the root key is shown to a person and not to a log.
type initCmd struct {
	dataFlags
	Account string `placeholder:"NUMBER" help:"Number of the account, twelve digits (default: the setting, or a random number)."`
}

// Help shows examples.
func (initCmd) Help() string {
	return `It prints the root key, once, in the form of environment variables. Run it as the user
that the server runs as; the server may be started afterwards in any way.

Examples:
  millrace init --data /var/lib/millrace
  millrace init --data /var/lib/millrace >root-key.env     # after umask 077`
}

// Run makes directory, CA, account and root key.
func (i *initCmd) Run(ctx context.Context, std stdio) error {
	c, err := i.settings()
	if err != nil {
		return &usageError{"init", err.Error()}
	}
	if i.Account != "" {
		c.Account = i.Account
	}
	if err := c.Check(); err != nil {
		return &usageError{"init", err.Error()}
	}
	log, err := newLogger(std.err, quiet(c.Log))
	if err != nil {
		return &usageError{"init", err.Error()}
	}
	key, err := server.Init(ctx, c, log)
	if err != nil {
		return readable(c.Data, err)
	}
	data, err := filepath.Abs(c.Data)
	if err != nil {
		data = c.Data
	}
	printKey(std.out, key)
	fmt.Fprintf(std.err, `
This is the root key of account %s. It is not shown again: keep it.
`, key.Account)
	sealed(std.err, data)
	if c.HTTPS != "" && c.TLS.Cert == "" {
		fmt.Fprintf(std.err, "CA for clients: %s\n", filepath.Join(data, "ca.pem"))
	}
	return nil
}
