package temporary

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
)

var contents = []content{
	{Grant: Grant{Account: "111122223333", Kind: kvs.RolePrincipal, ID: role, Session: "s"}, id: [10]byte{1, 2, 3}, issued: 1_700_000_000_000, expires: 1_700_003_600_000},
	{Grant: Grant{Account: "000000000000", Kind: kvs.RootPrincipal, Parent: root}, issued: 1, expires: 1},
	{Grant: Grant{Account: "999999999999", Kind: kvs.UserPrincipal, ID: user, Parent: parent,
		Tags: map[string]string{"a": "b", "deadbeefdeadbeef": "AIDABBBBBBBBBBBBBBBB", "Ü": strings.Repeat("long ", 40)},
		SessionPolicies: []string{strings.Repeat("0123456789abcdef", 4), "ABCDEF0123456789ABCDEF", "x", "ANPAAAAAAAAAAAAAAAAA",
			"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU", strings.Repeat("_", 43), strings.Repeat("\n", 43)}}, expires: 129_600_000},
	{Grant: Grant{Account: "111122223333", Kind: kvs.RolePrincipal, ID: "AROA0189", Session: "t", ThingType: "indoor"}},
}

func TestContentsComeBack(t *testing.T) {
	for _, want := range contents {
		b := want.append(nil)
		if got, err := parse(b); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v\nwant %+v", got, err, want)
		}
		for n := range b {
			if got, err := parse(b[:n]); err == nil {
				t.Errorf("%d of %d bytes are %+v", n, len(b), got)
			}
		}
		if got, err := parse(append(b, 0)); err == nil {
			t.Errorf("a byte more is %+v", got)
		}
	}
}

// The plainest session takes few bytes: a token of about 100 characters. A session policy
// takes no more than its hash has.
func TestContentsAreShort(t *testing.T) {
	c := contents[0]
	n := len(c.append(nil))
	if n > 45 {
		t.Errorf("%d bytes", n)
	}
	c.SessionPolicies = []string{"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"}
	if more := len(c.append(nil)) - n; more != 33 {
		t.Errorf("%d bytes for a session policy", more)
	}
}

func TestForeignContents(t *testing.T) {
	good := contents[0].append(nil)
	set := func(at int, v byte) []byte { b := bytes.Clone(good); b[at] = v; return b }
	keyless := contents[1]
	keyless.Parent = ""
	for what, b := range map[string][]byte{
		"of a later form":     set(0, form+1),
		"anonymous":           set(1, byte(kvs.Anonymous)),
		"of an unknown kind":  set(1, 9),
		"a root without key":  keyless.append(nil),
		"account too long":    {form, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0},
		"before 1970":         {form, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0},
		"expired before made": {form, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0},
		"two device texts":    {form, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 2, 0, 0},
	} {
		if c, err := parse(b); err == nil {
			t.Errorf("%s: %+v", what, c)
		}
	}
}

func FuzzContent(f *testing.F) {
	for _, c := range contents {
		f.Add(c.append(nil))
	}
	f.Add([]byte{form, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parse(b)
		if err != nil {
			return
		}
		if size := len(fmt.Sprint(c)); size > 200+8*len(b) {
			t.Errorf("%d bytes became %d", len(b), size)
		}
		again, err := parse(c.append(nil))
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%+v, %v\nwant %+v", again, err, c)
		}
	})
}
