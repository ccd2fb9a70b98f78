package naming

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/kvs"
)

// The limits of IAM, in characters.
const (
	maxPath        = 512
	maxDescription = 1000
	maxTagKey      = 128
	maxTagValue    = 256
	maxInlineName  = 128
)

// maxNames are the lengths of names.
var maxNames = map[Kind]int{User: 64, Group: 128, Role: 64, Policy: 128}

// CheckName holds a name to the rules of its kind; the error has the kind Validation.
func CheckName(k Kind, name string) error {
	return checkWord(string(k)+"Name", name, maxNames[k])
}

// CheckInlineName holds the name of an inline policy to its rules.
func CheckInlineName(name string) error { return checkWord("policyName", name, maxInlineName) }

// CheckSessionName holds the name of a role session to its rules (STS: 2 to 64 of the
// characters that names have).
func CheckSessionName(name string) error {
	if len(name) < 2 {
		return tooShort("roleSessionName", name, 2)
	}
	return checkWord("roleSessionName", name, 64)
}

func checkWord(member, word string, most int) error {
	switch {
	case word == "":
		return tooShort(member, word, 1)
	case len(word) > most:
		return kvs.Errorf(kvs.Validation, "1 validation error detected: Value at '%s' failed to satisfy constraint: Member must have length less than or equal to %d", member, most)
	case !isWord(word):
		return kvs.Errorf(kvs.Validation, "The specified value for %s is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-", member)
	}
	return nil
}

func tooShort(member, word string, least int) error {
	return kvs.Errorf(kvs.Validation, "1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must have length greater than or equal to %d", word, member, least)
}

// isWord reports whether s matches [\w+=,.@-]+.
func isWord(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && !strings.ContainsRune("_+=,.@-", rune(c)) {
			return false
		}
	}
	return s != ""
}

func validName(k Kind, name string) bool { return len(name) <= maxNames[k] && isWord(name) }

// CheckPath holds a path to the rules: a slash, or printable ASCII between two slashes.
func CheckPath(path string) error {
	if validPath(path) {
		return nil
	}
	return kvs.Errorf(kvs.Validation, "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters and other printable ASCII, at most %d in all.", maxPath)
}

func validPath(path string) bool {
	return path == "/" || len(path) > 2 && len(path) <= maxPath && path[0] == '/' && path[len(path)-1] == '/' && printable(path)
}

// printable reports whether s has characters from ! to ~ only.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < '!' || s[i] > '~' {
			return false
		}
	}
	return true
}

// CheckPrefix holds the beginning of paths that a list asks for to the rules.
func CheckPrefix(prefix string) error {
	if prefix != "" && prefix[0] == '/' && len(prefix) <= maxPath && printable(prefix) {
		return nil
	}
	return kvs.Errorf(kvs.Validation, "The specified value for pathPrefix is invalid. It must begin with / and contain only printable ASCII, at most %d in all.", maxPath)
}

// CheckDescription holds the description of a role or a policy to the rules.
func CheckDescription(text string) error {
	if utf8.RuneCountInString(text) > maxDescription {
		return kvs.Errorf(kvs.Validation, "1 validation error detected: Value at 'description' failed to satisfy constraint: Member must have length less than or equal to %d", maxDescription)
	}
	hidden := func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\t\n\r", r) }
	if !utf8.ValidString(text) || strings.ContainsFunc(text, hidden) {
		return kvs.Errorf(kvs.Validation, "The specified value for description is invalid. It must contain only printable characters, tabs and line ends.")
	}
	return nil
}

// CheckTag holds a tag to the rules: key of 1 to 128, value of up to 256 letters, digits,
// spaces and _.:/=+-@; keys that begin with aws: are reserved.
func CheckTag(key, value string) error {
	if err := CheckTagKey(key); err != nil {
		return err
	}
	if utf8.RuneCountInString(value) > maxTagValue || !isTagText(value) {
		return kvs.Errorf(kvs.Validation, "The value of tag %q is invalid. It may have at most %d letters, digits, spaces and _.:/=+-@", key, maxTagValue)
	}
	if strings.HasPrefix(strings.ToLower(key), "aws:") {
		return kvs.Errorf(kvs.InvalidArgument, "The tag key %q is invalid: keys that begin with aws: are reserved.", key)
	}
	return nil
}

// CheckTagKey holds the key of a tag to the rules.
func CheckTagKey(key string) error {
	if n := utf8.RuneCountInString(key); n == 0 || n > maxTagKey || !isTagText(key) {
		return kvs.Errorf(kvs.Validation, "The tag key %q is invalid. It must have 1 to %d letters, digits, spaces and _.:/=+-@", key, maxTagKey)
	}
	return nil
}

func isTagText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.Is(unicode.Zs, r) && !strings.ContainsRune("_.:/=+-@", r)
	})
}
