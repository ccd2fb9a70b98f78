package e2e

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/wire"
)

// Names repeat, and nobody sees, counts or limits what another account does.
func TestTenantsAreSeparate(t *testing.T) {
	home := serve(t)
	tenant := home.tenant(t, "tenant")
	for i, s := range []*server{home, tenant} {
		s.create(t, "yard")
		s.caller(t).must(t, "TagStream", object{"StreamName": "yard", "Tags": object{"of": s.account}}, nil)
		s.put(t, "yard", seconds(i+1, 0)...)
	}
	home.create(t, "more")
	for s, names := range map[*server]string{home: "more yard", tenant: "yard"} {
		var all struct{ StreamInfoList []streamInfo }
		s.caller(t).must(t, "ListStreams", object{}, &all)
		var got []string
		for _, i := range all.StreamInfoList {
			got = append(got, i.StreamName)
			if !strings.Contains(i.StreamARN, ":"+s.account+":") {
				t.Errorf("%s sees %s", s.account, i.StreamARN)
			}
		}
		if strings.Join(got, " ") != names {
			t.Errorf("%s sees %v, want %s", s.account, got, names)
		}
		var tags struct{ Tags map[string]string }
		s.caller(t).must(t, "ListTagsForStream", object{"StreamName": "yard"}, &tags)
		if tags.Tags["of"] != s.account {
			t.Errorf("%s has the tags %v", s.account, tags.Tags)
		}
	}
	home.separateUsage(t, tenant)
	home.separateLimits(t, tenant)
	home.separateSessions(t, tenant)
}

// separateUsage compares what both accounts keep: one fragment and two.
func (s *server) separateUsage(t *testing.T, tenant *server) {
	t.Helper()
	for who, want := range map[*server]int{s: 1, tenant: 2} {
		var usage struct {
			Streams []struct {
				StreamName string
				Fragments  int
			}
		}
		if err := who.client(t).Admin(t.Context(), "ListUsage", nil, &usage); err != nil {
			t.Fatal(err)
		}
		for _, u := range usage.Streams {
			if u.StreamName == "yard" && u.Fragments != want {
				t.Errorf("%s keeps %d fragments, want %d", who.account, u.Fragments, want)
			}
		}
	}
}

// separateLimits sets a limit of the home account: it does not hold the tenant, who cannot set
// any itself.
func (s *server) separateLimits(t *testing.T, tenant *server) {
	t.Helper()
	if err := s.client(t).Admin(t.Context(), "SetLimit", object{"Name": "DescribeStream.account-rate", "Value": "1/s"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := parallel(4, 20, func(int) error {
		return tenant.client(t).Call(t.Context(), wire.ByName("DescribeStream"), &wire.DescribeStreamInput{StreamName: new("yard")}, nil)
	}); err != nil {
		t.Errorf("the tenant is held by a limit of the home account: %v", err)
	}
	err := parallel(4, 20, func(int) error {
		return s.client(t).Call(t.Context(), wire.ByName("DescribeStream"), &wire.DescribeStreamInput{StreamName: new("yard")}, nil)
	})
	if err == nil || !strings.Contains(err.Error(), "ClientLimitExceeded") {
		t.Errorf("the home account is not held by its limit: %v", err)
	}
	if err := tenant.client(t).Admin(t.Context(), "SetLimit", object{"Name": "DescribeStream.account-rate", "Value": "1000/s"}, nil); err == nil {
		t.Error("a tenant sets its limits")
	}
	for _, op := range []string{"CreateAccount", "ListAccounts"} {
		if err := tenant.client(t).Admin(t.Context(), op, nil, nil); err == nil {
			t.Errorf("a tenant may call %s", op)
		}
	}
}

// separateSessions opens a session in each account: each sees its own.
func (s *server) separateSessions(t *testing.T, tenant *server) {
	t.Helper()
	for _, who := range []*server{s, tenant} {
		session := who.open(t, "yard")
		session.send(t, head(), cluster(60_000, 1, 100, 1))
		session.await(t, client.Buffering)
		defer session.Close()
	}
	for _, who := range []*server{s, tenant} {
		var list struct{ Sessions []struct{ AccessKey string } }
		if err := who.client(t).Admin(t.Context(), "ListSessions", nil, &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Sessions) != 1 || list.Sessions[0].AccessKey != who.key {
			t.Errorf("%s sees the sessions %+v", who.account, list.Sessions)
		}
	}
}
