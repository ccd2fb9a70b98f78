package directory

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/policy"
)

// ten is a policy of ten statements.
func ten(n int) string {
	var s []string
	for i := range 10 {
		s = append(s, fmt.Sprintf(`{"Effect":"Allow","Action":["kinesisvideo:GetMedia","kinesisvideo:List*"],"Resource":"arn:aws:kinesisvideo:*:*:stream/site-%d-%d-*/*",
			"Condition":{"IpAddress":{"aws:SourceIp":"10.%d.0.0/16"},"StringEquals":{"aws:PrincipalTag/Team":"gate"}}}`, n, i, i))
	}
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(s, ",") + `]}`
}

// BenchmarkRights reads the rights of a user with 20 policies of 10 statements: from
// memory, from the database with policies that are compiled already, and with nothing
// remembered at all.
func BenchmarkRights(b *testing.B) {
	h := newHouse(b)
	u, g := h.user("anna"), h.group("ops")
	ok(b, h.AddToGroup(h.ctx, home, "ops", "anna"))
	for i := range 20 {
		o := u.Owner()
		if i >= 10 {
			o = g.Owner()
		}
		ok(b, h.Attach(h.ctx, home, o, h.policy(fmt.Sprint("p", i), ten(i)).ARN))
	}
	for _, c := range []struct {
		name   string
		forget func()
	}{
		{"remembered", func() {}},
		{"compiled", h.memory.forgetAll},
		{"cold", func() {
			h.memory.forgetAll()
			h.memory.documents, h.memory.text = nil, 0
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.forget()
				set, err := h.Rights(h.ctx, u.principal())
				if err != nil || len(set.Identity) != 20 {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLookupRights reads the rights of users that memory does not hold, and of ids that
// nobody has, among few and among many. The goal is that many cost at most 1.3 times as
// much.
func BenchmarkLookupRights(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		h := newHouse(b)
		p := h.policy("watch", allow(get))
		ok(b, h.db.Write(h.ctx, func(tx *sql.Tx) error {
			for i := range n {
				r := h.newRow(home, UserOwner, fmt.Sprint("user-", i), "/")
				r.id = fmt.Sprintf("AIDA%016d", i)
				if err := insert(tx, r); err != nil {
					return err
				}
				if _, err := tx.Exec("INSERT INTO attachment VALUES ($1, $2, $3)", r.id, p.ID, string(home)); err != nil {
					return err
				}
			}
			return nil
		}))
		for name, from := range map[string]int{"cold": 0, "unknown": n} {
			b.Run(fmt.Sprintf("%s/users=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					k := entryKey{account: home, kind: kvs.UserPrincipal, id: fmt.Sprintf("AIDA%016d", from+i*7919%n)}
					e, err := h.load(h.ctx, k)
					if (err == nil) != (from == 0) || err == nil && !policy.Decide(&policy.Request{Action: get, Resource: "*"}, e.set).Allowed {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
