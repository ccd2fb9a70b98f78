package permission

import (
	"os"
	"strings"
	"testing"
)

func TestKnownKeys(t *testing.T) {
	for key, known := range map[string]bool{
		"aws:sourceip": true, "AWS:SourceIP": true, "aws:resourcetag/site": true, "aws:PrincipalTag/a b": true, "millrace:rangestart": true,
		"sts:ExternalId": true, "iam:PolicyARN": true, "credentials-iot:thingname": true,
		"aws:sourceipp": false, "aws:ResourceTag/": false, "aws:ResourceTag": false, "kinesisvideo:x": false, "aws:SourceVpc": false, "": false,
	} {
		if KnownKey(key) != known {
			t.Errorf("%s: want %v", key, known)
		}
	}
}

// The page names the keys that every operation may fill.
func TestGlobalKeysOfThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/ref/permissions.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "Global keys are")
	text, _, _ = strings.Cut(text, "\n## ")
	for _, key := range GlobalKeys {
		if !strings.Contains(text, key) {
			t.Errorf("the page has nothing of %s", key)
		}
	}
	if n := strings.Count(text, ":"); n != len(GlobalKeys) {
		t.Errorf("the page has %d keys, want %d", n, len(GlobalKeys))
	}
}
