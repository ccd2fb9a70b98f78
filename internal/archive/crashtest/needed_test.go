//go:build crash

package crashtest

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// elsewhere has functions whose call the histories may miss, because too much must come
// together, and the test that fails without it.
var elsewhere = map[string]string{
	"(*Archive).settleCopies": "TestFailedCopiesAreGoneBeforeAnythingIsBuried of internal/archive",
	"(*Journal).cut":          "TestPowerFailures of internal/journal, which leaves each call out, too",
}

// Each Sync, SyncDir and Rename is left out in turn, and for each some history ends badly
// that ends well with it: none is there for nothing, and no missing one would go
// unnoticed. It takes half an hour, so make crash does it alone; make test sees in
// TestPowerFailures that the histories come across all of them.
func TestEachSyncIsNeeded(t *testing.T) {
	temp := scratch(t)
	t.Logf("looking for the calls: %d histories", fewSeeds)
	all := playAll(temp, "", 0, fewSeeds, 1, func(*outcome) {})
	for seed, err := range all.mistakes {
		t.Fatalf("seed %d with all calls: %v", seed, err)
	}
	reached := all.sites
	if missing := unreached(t, reached); len(missing) > 0 {
		t.Errorf("no history comes across %q", missing)
	}
	for i, site := range slices.Sorted(maps.Keys(reached)) {
		t.Logf("call %d of %d is left out: %s", i+1, len(reached), site)
		if file, _, _ := strings.Cut(site, ":"); exempt[file] == "" {
			needed(t, temp, site, reached[site])
		}
	}
}

// needed plays histories without the calls from a site until one ends badly.
func needed(t *testing.T, temp, site, kind string) {
	t.Helper()
	const most = 3000
	for from := uint64(0); from < most; {
		all := playAll(temp, site, from, most, 1, func(*outcome) {})
		for seed, err := range all.mistakes {
			if _, other := play(seed, temp, ""); other != nil {
				continue // it is not the missing call's fault
			}
			text, _, _ := strings.Cut(err.Error(), "\n")
			t.Logf("%-8s %s: seed %d: %s", kind, site, seed, text)
			return
		}
		from += uint64(all.played)
	}
	_, function, _ := strings.Cut(site, " ")
	if test := elsewhere[function]; test != "" {
		t.Logf("%-8s %s: %s", kind, site, test)
		return
	}
	t.Errorf("%s: %s left out in %d histories, and nothing is wrong", site, kind, most)
}
