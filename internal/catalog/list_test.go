package catalog

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
)

func names(streams []kvs.Stream) (out []string) {
	for _, s := range streams {
		out = append(out, s.Name)
	}
	return out
}

// all reads a list page by page.
func (r *room) all(t testing.TB, prefix string, size int) (out []string, pages int) {
	t.Helper()
	for token := ""; ; pages++ {
		streams, next, err := r.List(t.Context(), account, ListQuery{Prefix: prefix, Token: token, Max: size})
		ok(t, err)
		if len(streams) > size {
			t.Fatalf("%d streams on a page of %d", len(streams), size)
		}
		out = append(out, names(streams)...)
		if next == "" {
			return out, pages + 1
		}
		token = next
	}
}

func TestListByPrefix(t *testing.T) {
	r := newRoom(t)
	made := []string{"a", "A", "a-1", "a.1", "a_1", "a1", "ab", "ab-", "az", "azz", "b", "_", "-", "9"}
	for _, n := range made {
		r.create(n)
	}
	_, err := r.Create(t.Context(), NewStream{Account: "999999999999", Name: "a-of-another-account"})
	ok(t, err)
	for _, prefix := range []string{"", "a", "ab", "az", "azz", "azzz", "A", "_", "b", "%", "a%", "a/", "ä", "\x7f", "a'"} {
		var want []string
		for _, n := range made {
			if strings.HasPrefix(n, prefix) {
				want = append(want, n)
			}
		}
		slices.Sort(want)
		for size := 1; size <= len(made)+1; size++ {
			got, pages := r.all(t, prefix, size)
			if !slices.Equal(got, want) {
				t.Errorf("prefix %q by %d: %v, want %v", prefix, size, got, want)
			}
			if most := max(1, (len(want)+size-1)/size); pages != most {
				t.Errorf("prefix %q by %d: %d pages, want %d", prefix, size, pages, most)
			}
		}
	}
	_, _, err = r.List(t.Context(), account, ListQuery{})
	wantKind(t, err, kvs.InvalidArgument, "at least 1")
}

func TestListGoesOnAfterChangesAndRestart(t *testing.T) {
	r := newRoom(t)
	ids := map[string]kvs.StreamID{}
	for _, n := range []string{"b", "d", "f", "h"} {
		ids[n] = r.create(n).ID
	}
	first, token, err := r.List(t.Context(), account, ListQuery{Max: 2})
	ok(t, err)
	ok(t, r.Delete(t.Context(), ids["d"], "")) // where the token stands
	ok(t, r.Delete(t.Context(), ids["f"], ""))
	r.create("a") // behind us
	r.create("g") // before us
	r.restart()
	rest, next, err := r.List(t.Context(), account, ListQuery{Max: 2, Token: token})
	ok(t, err)
	if got := append(names(first), names(rest)...); !slices.Equal(got, []string{"b", "d", "g", "h"}) || next != "" {
		t.Errorf("%v, next %q", got, next)
	}
}

func TestTokensAreSealed(t *testing.T) {
	r := newRoom(t)
	for i := range 3 {
		r.create(strings.Repeat("n", 255) + fmt.Sprint(i)) // the longest names make the longest tokens
	}
	_, token, err := r.List(t.Context(), account, ListQuery{Prefix: "n", Max: 1})
	ok(t, err)
	if !regexp.MustCompile(`^[a-zA-Z0-9+/=]{1,512}$`).MatchString(token) {
		t.Errorf("token of %d characters %q breaks the service's pattern", len(token), token)
	}
	refused := func(what string, a kvs.AccountID, prefix, token string) {
		t.Helper()
		if _, _, err := r.List(t.Context(), a, ListQuery{Prefix: prefix, Token: token, Max: 1}); kvs.KindOf(err) != kvs.InvalidArgument {
			t.Errorf("%s: %v, want InvalidArgument", what, err)
		}
	}
	refused("another account", "999999999999", "n", token)
	refused("another prefix", account, "nn", token)
	refused("no prefix", account, "", token)
	refused("a moved boundary", account[:11], string(account[11:])+"n", token)
	for _, bad := range []string{"x", "====", "AAAA", strings.Repeat("A", 24), strings.Repeat("A", 2000), token + token, token[:len(token)-4], " " + token, token + "\n"} {
		refused(fmt.Sprintf("%.30q", bad), account, "n", bad)
	}
	raw, _ := base64.StdEncoding.DecodeString(token)
	for i := range raw {
		raw[i] ^= 1
		refused(fmt.Sprint("bit in byte ", i), account, "n", base64.StdEncoding.EncodeToString(raw))
		raw[i] ^= 1
	}
	for i := range token { // the seal covers every character, also the last bits of base64
		for _, c := range []byte("AZaz09+/=") {
			if c != token[i] {
				refused(fmt.Sprint("character ", i), account, "n", token[:i]+string(c)+token[i+1:])
			}
		}
	}
	foreign := newRoom(t)
	if _, _, err := foreign.List(t.Context(), account, ListQuery{Prefix: "n", Token: token, Max: 1}); err == nil {
		t.Error("the token of another installation was accepted")
	}
}

// Only what seal made for the same list opens, and it gives back the position.
func FuzzToken(f *testing.F) {
	s := sealer{key: []byte("0123456789abcdef0123456789abcdef")}
	f.Add(s.seal([]byte("front-door"), "streams", "111122223333"), "streams")
	f.Add("", "")
	f.Add(strings.Repeat("A", 24), "tags")
	f.Fuzz(func(t *testing.T, token, list string) {
		position, err := s.open(token, list)
		if err == nil && s.seal(position, list) != token {
			t.Errorf("%q opens for %q, but seal would not make it", token, list)
		}
		if back, err := s.open(s.seal([]byte(list), token), token); len(list) <= 256 && (err != nil || string(back) != list) {
			t.Errorf("sealed %q, opened %q (%v)", list, back, err)
		}
	})
}

// An account that has streams says so, whatever their region.
func TestAny(t *testing.T) {
	r := newRoom(t)
	for _, step := range []struct {
		do   func()
		want bool
	}{{func() {}, false}, {func() { r.create("a") }, true}} {
		step.do()
		got, err := r.Any(t.Context(), account)
		ok(t, err)
		if got != step.want {
			t.Errorf("%v, want %v", got, step.want)
		}
	}
	if got, err := r.Any(t.Context(), "999999999999"); got || err != nil {
		t.Errorf("another account: %v, %v", got, err)
	}
}
