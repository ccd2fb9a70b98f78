package policytest

import "encoding/json"

// families are the operators by what they compare.
var families = map[string][]string{
	"text":    {"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike"},
	"number":  {"NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals"},
	"date":    {"DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals"},
	"bool":    {"Bool"},
	"binary":  {"BinaryEquals"},
	"address": {"IpAddress", "NotIpAddress"},
	"arn":     {"ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"},
	"null":    {"Null"},
}

func (s *Source) condition() map[string]any {
	c := map[string]any{}
	for range pick(s, 1, 1, 2) {
		family := pick(s, "text", "text", "text", "number", "date", "bool", "binary", "address", "arn", "null")
		operator := pick(s, "", "", "", "ForAllValues:", "ForAnyValue:") + pick(s, families[family]...)
		if family != "null" && s.IntN(4) == 0 {
			operator += "IfExists"
		}
		keys := map[string]any{}
		for range pick(s, 1, 1, 2) {
			keys[s.key()] = s.some(func() any { return s.wish(family) })
		}
		c[operator] = keys
	}
	return c
}

// wish is a value that a condition of a family may have.
func (s *Source) wish(family string) any {
	switch family {
	case "number":
		return pick[any](s, "1", "2.0", json.Number("2.5"), "-1", json.Number("100"))
	case "date":
		return pick(s, "2026-05-17T08:30:00Z", "2026-05-17T10:30+02:00", "1779006600", "2026", "2026-05", "2026-05-18", "2026-05-17T08:30:01Z")
	case "bool":
		if s.version == "2012-10-17" && s.IntN(4) == 0 {
			return "${k:a}"
		}
		return pick[any](s, "true", true, "False")
	case "binary":
		return pick(s, "YQ==", "Yg==")
	case "address":
		return pick(s, "10.0.0.0/8", "10.1.2.3", "10.1.2.3/32", "2001:db8::/32", "2001:db8::1", "0.0.0.0/0", "192.0.2.0/24")
	case "arn":
		return pick(s, anna, "*", "arn:aws:iam::*:user/${aws:username}", "arn:*:*:*:*:*", "arn:aws:s3:::${k:c, 'x'}", "arn:aws:s?:::*")
	case "null":
		return pick[any](s, "true", "false", true, false)
	}
	return pick(s, "anna", "garden", "a*", "?nna", "*", "${aws:username}", "${k:c, 'garden'}", "${*}", "us-*-${k:a}", "1", "${aws:PrincipalTag/team}*", "", "**a", "*n*", "$", "111122223333")
}
