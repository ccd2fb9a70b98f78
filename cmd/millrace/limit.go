package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/millrace/millrace/internal/api/admin"
	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
)

// limitCmd is "millrace limit".
type limitCmd struct {
	List  limitListCmd  `cmd:"" help:"List the limits in force."`
	Set   limitSetCmd   `cmd:"" help:"Set a limit for the account or for a stream."`
	Reset limitResetCmd `cmd:"" help:"Take back what was set."`
}

// Help shows examples.
func (limitCmd) Help() string {
	return `What is set for a stream goes before what is set for its account, that before the settings of
the server, those before the profile. Changes hold at once, without a restart, and stay. set and reset take
the root key of the installation, or a user of its account whose policies name millrace:SetLimit.

Examples:
  millrace limit list
  millrace limit list garden
  millrace limit set PutMedia.sessions 2 --stream garden
  millrace limit set GetMedia.bandwidth 100Mbit/s
  millrace limit set stream.bytes 50GB --tenant 210987654321
  millrace limit set stream.bytes 200GB --stream garden    (says what that removes, and asks)
  millrace limit reset PutMedia.sessions --stream garden
  millrace limit reset stream.bytes --stream garden        (asks like set when another one holds then)
  millrace limit reset --stream garden`
}

// onStream makes the part of an input that names a stream; "" is the account.
func onStream(stream string) (s admin.AnyStream) {
	if stream != "" {
		s.StreamName, s.StreamARN = nameOrARN(stream)
	}
	return s
}

// ofTenant makes the part of an input that names another account; "" is the caller's.
func ofTenant(id string) admin.OfAccount { return admin.OfAccount{Account: kvs.AccountID(id)} }

type limitListCmd struct {
	Stream  string `arg:"" optional:"" help:"Name or ARN of the stream; without it those of the account are listed."`
	Account bool   `help:"List those of the account, which is what happens without a stream."`
	Changed bool   `help:"Only limits whose value is not that of the profile."`
	All     bool   `help:"Also limits of operations that this server does not have."`
	Tenant  string `placeholder:"ID" help:"List those of another account, as who may list accounts."`
	JSON    bool   `name:"json" help:"One JSON object a line instead of a table."`

	connection
}

// Run lists the limits.
func (c *limitListCmd) Run(ctx context.Context, std stdio) error {
	if c.Account && c.Stream != "" {
		return &usageError{"limit list", "give a stream or --account, not both"}
	}
	cl, err := c.open()
	if err != nil {
		return err
	}
	var out admin.LimitsOutput
	if err := cl.Admin(ctx, "ListLimits", admin.LimitsInput{AnyStream: onStream(c.Stream), OfAccount: ofTenant(c.Tenant)}, &out); err != nil {
		return named(c.Stream, err)
	}
	var shown []admin.Limit
	for _, l := range out.Limits {
		if (l.Served || c.All) && (!c.Changed || l.Value != l.Profile) {
			shown = append(shown, l)
		}
	}
	if c.JSON {
		return writeObjects(std.out, shown)
	}
	return limitTable(std.out, out.Profile, shown)
}

func limitTable(w io.Writer, profile string, limits []admin.Limit) error {
	if len(limits) == 0 {
		_, err := fmt.Fprintf(w, "Every limit is that of the profile %s.\n", profile)
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "NAME\tVALUE\tFROM\tPROFILE %s\tMEANING\n", profile)
	differ := false
	for _, l := range limits {
		mark := ""
		if l.Differs {
			mark, differ = "*", true
		}
		fmt.Fprintf(t, "%s\t%s%s\t%s\t%s\t%s\n", l.Name, l.Value, mark, l.From, l.Profile, l.Meaning)
	}
	if differ {
		fmt.Fprintln(t, "\n* the original service has this value for nobody")
	}
	return t.Flush()
}

type limitSetCmd struct {
	Name   string `arg:"" help:"Name of the limit, as millrace limit list shows it."`
	Value  string `arg:"" help:"Its value, written like those of the list: 5/s, 50MB, 45m, on, none."`
	Stream string `placeholder:"STREAM" help:"Set it for this stream; without it for the account."`
	Tenant string `placeholder:"ID" help:"Set it for another account, as who may list accounts."`
	Yes    bool   `help:"Do not ask, also when the limit removes stored fragments."`

	connection
}

// Run sets a limit.
func (c *limitSetCmd) Run(ctx context.Context, std stdio) error {
	if err := checkLimit("limit set", c.Name); err != nil {
		return err
	}
	cl, err := c.open()
	if err != nil {
		return err
	}
	in := admin.SetLimitInput{AnyStream: onStream(c.Stream), OfAccount: ofTenant(c.Tenant), Name: c.Name, Value: c.Value}
	if c.Name == quota.StreamBytes.Name && !c.Yes {
		if err := c.confirm(ctx, cl, std, in); err != nil {
			return err
		}
	}
	var now admin.Limit
	if err := cl.Admin(ctx, "SetLimit", in, &now); err != nil {
		return named(c.Stream, err)
	}
	fmt.Fprintf(std.out, "%s is %s for %s (profile: %s).\n", now.Name, now.Value, whose(c.Stream, c.Tenant), now.Profile)
	if !now.Served {
		fmt.Fprintln(std.err, "millrace: this server does not have what the limit is about: it changes nothing yet")
	}
	return nil
}

// confirm asks when the limit would remove something.
func (c *limitSetCmd) confirm(ctx context.Context, cl *client.Client, std stdio, in admin.SetLimitInput) error {
	in.DryRun = true
	var would admin.Limit
	if err := cl.Admin(ctx, "SetLimit", in, &would); err != nil {
		return named(c.Stream, err)
	}
	would.Value = c.Value
	return confirmLoss(std, whose(c.Stream, c.Tenant), "Set it?", would)
}

// confirmLoss asks when a limit would remove something.
func confirmLoss(std stdio, of, question string, would admin.Limit) error {
	if would.Removes == 0 {
		return nil
	}
	return confirmed(std, fmt.Sprintf("With %s %s for %s, %s, %s, go now, the oldest, and cannot be brought back. %s",
		would.Name, would.Value, of, count(int(would.Removes), "fragment"), size(would.RemovesBytes), question))
}

// whose says what a limit is set for.
func whose(stream, tenant string) string {
	switch {
	case stream != "":
		return "the stream " + stream
	case tenant != "":
		return "the account " + tenant
	}
	return "the account"
}

// checkLimit refuses names that this program does not know before the server is asked.
// A newer server may know more, but then its program should be used.
func checkLimit(command, name string) error {
	if _, ok := quota.Lookup(name); ok {
		return nil
	}
	return &usageError{command, fmt.Sprintf("there is no limit named %q; %s", name, quota.Suggest(name))}
}

type limitResetCmd struct {
	Name   string `arg:"" optional:"" help:"Name of the limit; without it all that were set are taken back."`
	Stream string `placeholder:"STREAM" help:"Take back what was set for this stream; without it for the account."`
	Tenant string `placeholder:"ID" help:"Take back what was set for another account, as who may list accounts."`
	Yes    bool   `help:"Do not ask, also when the limit that holds then removes stored fragments."`

	connection
}

// Run takes back one limit or all.
func (c *limitResetCmd) Run(ctx context.Context, std stdio) error {
	if c.Name != "" {
		if err := checkLimit("limit reset", c.Name); err != nil {
			return err
		}
	}
	cl, err := c.open()
	if err != nil {
		return err
	}
	in := admin.ResetLimitInput{AnyStream: onStream(c.Stream), OfAccount: ofTenant(c.Tenant), Name: c.Name}
	if (c.Name == "" || c.Name == quota.StreamBytes.Name) && !c.Yes {
		if err := c.confirm(ctx, cl, std, in); err != nil {
			return err
		}
	}
	var now admin.LimitsOutput
	if err := cl.Admin(ctx, "ResetLimit", in, &now); err != nil {
		return named(c.Stream, err)
	}
	if c.Name == "" || len(now.Limits) != 1 {
		_, err = fmt.Fprintf(std.out, "Nothing is set for %s any more.\n", whose(c.Stream, c.Tenant))
		return err
	}
	l := now.Limits[0]
	_, err = fmt.Fprintf(std.out, "%s is %s for %s, from the %s.\n", l.Name, l.Value, whose(c.Stream, c.Tenant), cmp.Or(l.From, "profile"))
	return err
}

// confirm asks when the limit that holds then would remove something.
func (c *limitResetCmd) confirm(ctx context.Context, cl *client.Client, std stdio, in admin.ResetLimitInput) error {
	in.DryRun = true
	var would admin.LimitsOutput
	if err := cl.Admin(ctx, "ResetLimit", in, &would); err != nil {
		return named(c.Stream, err)
	}
	for _, l := range would.Limits {
		if err := confirmLoss(std, whose(c.Stream, c.Tenant), "Take back what is set?", l); err != nil {
			return err
		}
	}
	return nil
}
