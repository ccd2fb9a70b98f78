package server

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/api/admin"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

// The root of the installation makes an account, turns it off and on, bounds and deletes it.
func TestAccounts(t *testing.T) {
	p := newPlant(t, nil)
	root := p.Credentials
	admits := func(operation string, in, out any, says string) {
		t.Helper()
		err := p.Admin(t.Context(), operation, in, out)
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", operation, err, says)
		}
	}
	var made admin.CreateAccountOutput
	admits("CreateAccount", admin.CreateAccountInput{Name: "north"}, &made, "")
	admits("CreateAccount", admin.CreateAccountInput{Account: made.Account.Account}, nil, "exists")
	admits("CreateAccount", admin.CreateAccountInput{Account: "12"}, nil, "12 digits")
	one := admin.AccountInput{Account: made.Account.Account}
	tenant := sigv4.Credentials{AccessKey: made.AccessKeyID, Secret: made.SecretAccessKey}
	as := func(c sigv4.Credentials, says string) {
		t.Helper()
		p.Credentials = c
		err := p.Call(t.Context(), wire.ByName("ListStreams"), &wire.ListStreamsInput{}, nil)
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	as(tenant, "")
	for _, op := range []string{"CreateAccount", "ListAccounts", "DisableAccount", "EnableAccount", "DeleteAccount", "SetAccountBoundary"} {
		admits(op, nil, nil, "NotAuthorized")
	}
	yard := p.create("yard", 1)
	admits("ListLimits", admin.LimitsInput{OfAccount: admin.OfAccount{Account: "210987654321"}}, nil, "NotAuthorized")
	p.Credentials = root
	p.limitsOf(one.Account, admits)

	var all admin.AccountsOutput
	admits("ListAccounts", admin.AccountsInput{Max: 1}, &all, "")
	if len(all.Accounts) != 1 || all.NextToken == "" {
		t.Errorf("first page: %+v", all)
	}
	admits("ListAccounts", admin.AccountsInput{NextToken: all.NextToken}, &all, "")
	if len(all.Accounts) != 1 {
		t.Errorf("second page: %+v", all)
	}
	admits("ListAccounts", admin.AccountsInput{Max: 1001}, nil, "from 0 to 1000")

	var shown admin.Account
	admits("DisableAccount", one, &shown, "")
	as(tenant, "security token included in the request is invalid")
	p.Credentials = root
	admits("EnableAccount", one, &shown, "")
	as(tenant, "")
	p.Credentials = root
	admits("SetAccountBoundary", admin.BoundaryInput{AccountInput: one, Boundary: "{"}, nil, "InvalidArgument")
	const boundary = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kinesisvideo:*","Resource":"*"}}`
	admits("SetAccountBoundary", admin.BoundaryInput{AccountInput: one, Boundary: boundary}, &shown, "")
	if shown.Boundary != boundary || shown.Name != "north" || shown.Disabled {
		t.Errorf("%+v", shown)
	}
	admits("DeleteAccount", one, nil, "has streams")
	as(tenant, "")
	p.ask("DeleteStream", &wire.DeleteStreamInput{StreamARN: new(yard)}, nil)
	var door wire.CreateSignalingChannelOutput
	p.ask("CreateSignalingChannel", &wire.CreateSignalingChannelInput{ChannelName: new("door")}, &door)
	p.Credentials = root
	admits("DeleteAccount", one, nil, "has streams or channels")
	as(tenant, "")
	p.ask("DeleteSignalingChannel", &wire.DeleteSignalingChannelInput{ChannelARN: door.ChannelARN}, nil)
	p.Credentials = root
	limit := admin.SetLimitInput{OfAccount: admin.OfAccount(one), Name: "DescribeStream.account-rate", Value: "3/s"}
	admits("SetLimit", limit, nil, "")
	admits("DeleteAccount", one, nil, "")
	as(tenant, "security token included in the request is invalid")
	p.Credentials = root
	admits("CreateAccount", admin.CreateAccountInput{Account: one.Account}, nil, "") // another one under the number
	limit.DryRun = true
	var left admin.Limit
	if admits("SetLimit", limit, &left, ""); left.From != "profile" {
		t.Errorf("the limit of an account that is gone: %+v", left)
	}
	admits("DeleteAccount", one, nil, "")
	admits("DisableAccount", one, nil, "there is no account")
	home, err := p.keys.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	admits("DeleteAccount", admin.AccountInput{Account: home}, nil, "home of the installation")
}

// limitsOf sets a limit of another account, which holds there and nowhere else.
func (p *plant) limitsOf(tenant kvs.AccountID, admits func(operation string, in, out any, says string)) {
	p.t.Helper()
	const name = "DescribeStream.account-rate"
	of := admin.OfAccount{Account: tenant}
	var set admin.Limit
	admits("SetLimit", admin.SetLimitInput{OfAccount: of, Name: name, Value: "3/s"}, &set, "")
	for account, want := range map[kvs.AccountID]string{tenant: "3/s account", "": set.Profile + " profile"} {
		var all admin.LimitsOutput
		admits("ListLimits", admin.LimitsInput{OfAccount: admin.OfAccount{Account: account}}, &all, "")
		for _, l := range all.Limits {
			if got := l.Value + " " + l.From; l.Name == name && got != want {
				p.t.Errorf("%q has the limit %s, want %s", account, got, want)
			}
		}
	}
	admits("SetLimit", admin.SetLimitInput{OfAccount: admin.OfAccount{Account: "210987654321"}, Name: name, Value: "3/s"}, nil, "there is no account")
	admits("ResetLimit", admin.ResetLimitInput{OfAccount: of}, nil, "")
	admits("SetLimit", admin.SetLimitInput{OfAccount: of, Name: name, Value: "4/s", DryRun: true}, &set, "")
	if set.From != "profile" {
		p.t.Errorf("after the reset: %+v", set)
	}
}
