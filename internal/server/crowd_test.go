package server

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/mkv"
)

// crowdCluster is fragment n of producer i: four frames of 32 KB.
func crowdCluster(i, n int) []byte {
	b := mkv.AppendClusterUnknown(nil, uint64(epoch+1000*n))
	for f := range 4 {
		b = mkv.AppendSimpleBlock(b, mkv.BlockHeader{Track: 1, Time: int16(200 * f), Key: f == 0}, bytes.Repeat([]byte{byte(i), byte(i >> 8), byte(n), byte(f)}, 8000))
	}
	return b
}

// A small form of make soak-memory: 300 producers whose fragments are 20 times what the
// budget holds, a tenth of them without retention, some with consumers that do not read. All
// get their fragments through, and what was acknowledged is there.
func TestManyProducersShareALittleMemory(t *testing.T) {
	const crowd, fragments, budget = 300, 2, 4 << 20
	p := newPlant(t, func(c *config.Config) { c.Memory.Budget, c.HTTPS = budget, "" })
	p.Client = p.clientOf("http")
	kept := func(i int) bool { return i%10 != 9 }
	var sessions []*upload
	for i := range crowd {
		name, hours := fmt.Sprintf("crowd-%03d", i), int64(0)
		if kept(i) {
			hours = 1
		}
		p.create(name, hours)
		if i%20 < 2 {
			p.get(name, "NOW") // and read nothing
		}
		sessions = append(sessions, p.put(name))
	}
	var all sync.WaitGroup
	for i, u := range sessions {
		all.Go(func() {
			for n := range fragments {
				if _, err := u.w.Write(append(crowdCluster(i, n), endOfFragment...)); err != nil {
					t.Errorf("producer %d: %v", i, err)
				}
			}
			_ = u.w.Close()
		})
		all.Go(func() {
			acks, err := u.rest()
			last := client.Received
			if kept(i) {
				last = client.Persisted
			}
			done := 0
			for _, a := range acks {
				if a.Type == last {
					done++
				}
			}
			if err != nil || done != fragments {
				t.Errorf("producer %d: %d of %d fragments %s, %v", i, done, fragments, last, err)
			}
		})
	}
	all.Wait()
	for i := range crowd {
		if kept(i) {
			p.wantKept(i, fragments)
		}
	}
	if f := p.budget.Figures(); f.Peak > budget || f.Waits == 0 || f.Waiting > 0 {
		t.Errorf("%+v: above the budget, or nobody ever waited, or somebody still does", f)
	}
}

// wantKept compares what is stored of a producer with what it sent.
func (p *plant) wantKept(i, fragments int) {
	p.t.Helper()
	ctx := p.t.Context()
	s, err := p.catalog.ByName(ctx, config.DevAccount, fmt.Sprintf("crowd-%03d", i))
	if err != nil {
		p.t.Fatal(err)
	}
	var after kvs.FragmentNumber
	for n := range fragments {
		stored, ok, err := p.archive.Next(ctx, s.ID, after, 0)
		if err != nil || !ok {
			p.t.Errorf("producer %d: fragment %d is not listed (%v)", i, n, err)
			return
		}
		after = stored.Number
		r, err := p.archive.OpenRecord(ctx, stored)
		if err != nil {
			p.t.Fatal(err)
		}
		body, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
		if err != nil || !bytes.HasPrefix(body, crowdCluster(i, n)) {
			p.t.Errorf("producer %d: fragment %d is not what was sent (%v)", i, n, err)
		}
		if err := r.Close(); err != nil {
			p.t.Error(err)
		}
	}
}
