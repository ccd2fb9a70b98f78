package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/catalog/channels"
	"github.com/millrace/millrace/internal/db"
)

// stream makes a stream in the data directory.
func (o *registryDesk) stream(n catalog.NewStream) {
	o.t.Helper()
	o.catalog(func(c *catalog.Catalog) error {
		_, err := c.Create(o.t.Context(), n)
		return err
	})
}

// catalog opens the one of the data directory.
func (o *registryDesk) catalog(f func(*catalog.Catalog) error) {
	o.t.Helper()
	rows, err := db.Open(o.t.Context(), db.Options{Path: filepath.Join(o.dir, "catalog.db"), Durable: true, Migrations: catalog.Migrations()})
	if err != nil {
		o.t.Fatal(err)
	}
	defer rows.Close()
	c, err := catalog.Open(o.t.Context(), catalog.Options{DB: rows, Region: "us-east-1"})
	if err != nil {
		o.t.Fatal(err)
	}
	if err := f(c); err != nil {
		o.t.Fatal(err)
	}
}

// Whether somebody may watch depends on the tags of the stream that there is.
func TestPolicyTestKnowsTheStream(t *testing.T) {
	o := newDesk(t)
	o.stream(catalog.NewStream{Account: "123456789012", Name: "gate", Tags: map[string]string{"site": "harbour"}})
	watch := o.file("watch.json", `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kinesisvideo:GetMedia", "Resource": "*",
 "Condition": {"StringEquals": {"aws:ResourceTag/site": "${aws:PrincipalTag/site}", "aws:ResourceAccount": "123456789012"}}}}`)
	o.does("policy", "create", "watch", watch)
	o.does("user", "create", "anna", "--policy", "watch", "--tag", "site=harbour")
	ask := []string{"policy", "test", "--user", "anna", "--action", "kinesisvideo:GetMedia", "--resource"}
	o.says([]string{"allowed by statement 1"}, append(ask, "gate")...)
	o.says([]string{"allowed by statement 1"}, append(ask, "arn:aws:kinesisvideo:us-east-1:123456789012:stream/gate/1")...)
	o.refused("wanted is", append(ask, "gate", "--context", "aws:ResourceTag/site=port")...)
	o.refused("has no stream yard", append(ask, "yard")...)
	o.refused("--context KEY=VALUE", append(ask, "yard")...)
}

// Whether somebody may join depends on the tags of the channel that there is.
func TestPolicyTestKnowsTheChannel(t *testing.T) {
	o := newDesk(t)
	o.catalog(func(c *catalog.Catalog) error {
		_, err := channels.Open(channels.Options{Catalog: c}).Create(t.Context(), channels.New{Account: "123456789012", Name: "gate", Tags: map[string]string{"site": "harbour"}})
		return err
	})
	join := o.file("join.json", `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kinesisvideo:ConnectAsViewer", "Resource": "arn:aws:kinesisvideo:*:*:channel/*",
 "Condition": {"StringEquals": {"aws:ResourceTag/site": "${aws:PrincipalTag/site}"}}}}`)
	o.does("policy", "create", "join", join)
	o.does("user", "create", "anna", "--policy", "join", "--tag", "site=harbour")
	ask := []string{"policy", "test", "--user", "anna", "--action", "kinesisvideo:ConnectAsViewer", "--resource"}
	o.says([]string{"allowed by statement 1"}, append(ask, "gate")...)
	o.says([]string{"allowed by statement 1"}, append(ask, "channel/gate")...)
	o.says([]string{"allowed by statement 1"}, append(ask, "arn:aws:kinesisvideo:us-east-1:123456789012:channel/gate/1")...)
	o.refused("has no channel yard", append(ask, "yard")...)
}

// What a policy says that can never be is told, also of another kind of policy.
func TestPolicyCheckWarns(t *testing.T) {
	o := newDesk(t)
	for text, words := range map[string]string{
		`{"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "210987654321"}}}`:                                                "--kind trust",
		`{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*"}}`:                                                                "--kind listener",
		`{"Statement": {"Effect": "Allow", "Action": "*", "Resource": ["arn:aws:a:b:c:` + strings.Repeat("d", 2100) + `"]}}`:                                  "of a user 2048",
		`{"Statement": {"Effect": "Allow", "Action": "*", "Resource": ["arn:aws:a:b:c:` + strings.Repeat("d", 11000) + `"]}}`:                                 "10240 at most",
		`{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIpp": "10.0.0.1"}}}}`:                       "no request has the key aws:sourceipp",
		`{"Statement": {"Effect": "Allow", "Action": ["kinesisvideo:*", "kinesisvideo:CreateStream"], "Resource": "arn:aws:kinesisvideo:*:*:stream/gate/*"}}`: "Statement[0]: kinesisvideo:CreateStream matches with the resource * only",
	} {
		_, out, errs := program(t, "policy", "check", o.file("policy.json", text))
		if !strings.Contains(out+errs, words) {
			t.Errorf("want %q:\n%s%s", words, out, errs)
		}
	}
	if _, _, errs := program(t, "policy", "check", o.file("policy.json", cameraPolicy)); errs != "" {
		t.Error(errs)
	}
}
