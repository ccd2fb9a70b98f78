package keep

import (
	"context"
	"testing"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/kvs"
)

// newCatalog returns a catalog with one stream, which keeps an hour.
func newCatalog(t *testing.T) (*catalog.Catalog, kvs.Stream) {
	t.Helper()
	rows, err := db.Open(t.Context(), db.Options{Path: t.TempDir() + "/catalog.db", Migrations: catalog.Migrations()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rows.Close() })
	c, err := catalog.Open(t.Context(), catalog.Options{DB: rows, Region: "eu-test-1"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Create(t.Context(), catalog.NewStream{Account: "123456789012", Name: "yard", Retention: 1, Tier: kvs.Hot})
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

// passing is an archive in the middle of an expiry pass.
type passing struct {
	Archive
	settled func()
}

func (p passing) Settle(context.Context) error {
	p.settled()
	return nil
}

// TestAChangeOfThePolicyIsInForce before the call that made it is answered: the policy is
// read anew, and then nothing is removed any more by the one before.
func TestAChangeOfThePolicyIsInForce(t *testing.T) {
	c, s := newCatalog(t)
	p := NewPolicies(c, nil)
	want := func(hours int) archive.Policy {
		t.Helper()
		got, err := p.Policy(t.Context(), s.ID)
		if err != nil || got.Hours != hours {
			t.Errorf("%+v, %v; want %d hours", got, err, hours)
		}
		return got
	}
	want(1)
	if err := c.UpdateRetention(t.Context(), s.ID, s.Version, 23); err != nil {
		t.Fatal(err)
	}
	settled := 0
	k := New(Options{Catalog: c, Policies: p, Archive: passing{settled: func() {
		settled++
		want(24)
	}}})
	if err := k.Changed(t.Context()); err != nil || settled != 1 {
		t.Errorf("%v; waited %d times", err, settled)
	}
}
