package wire

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/wire/model"
)

// samples satisfy the patterns that plain letters do not.
var samples = map[string]string{
	"ResourceARN":          "arn:aws:kinesisvideo:us-east-1:000000000000:stream/demo/1735442939457",
	"HubDeviceArn":         "arn:aws:iot:us-east-1:000000000000:thing/hub",
	"MediaUriSecretArn":    "arn:aws:secretsmanager:us-east-1:000000000000:secret:camera",
	"DestinationRegion":    "us-east-1",
	"DestinationUri":       "s3://bucket/prefix",
	"FragmentNumberString": "91343852333181481915235394203149336554319348843",
	"MediaType":            "video/h264,audio/aac",
	"ScheduleExpression":   "0 0 * * * ? *",
}

// sample returns a JSON value that satisfies every rule of the shape.
func sample(t testing.TB, s *model.Shape) any {
	switch s.Kind {
	case model.Text:
		if v, ok := samples[s.Name]; ok {
			return v
		}
		return "abcABC123"
	case model.Enum:
		return s.Values[len(s.Values)-1]
	case model.Integer, model.Long:
		if s.Min != nil {
			return *s.Min
		}
		return 7
	case model.Boolean:
		return true
	case model.Timestamp:
		return 1735442939.457
	case model.List:
		return []any{sample(t, s.Item)}
	case model.Map:
		return map[string]any{sample(t, s.Key).(string): sample(t, s.Item)}
	case model.Structure:
		object := map[string]any{}
		for _, m := range s.Members {
			if m.Shape.Kind != model.Null {
				object[m.Name] = sample(t, m.Shape)
			}
		}
		return object
	}
	t.Fatalf("no sample for %s", s.Name)
	return nil
}

// breach is a value that breaks exactly one rule.
type breach struct {
	member string // path of the member that must be named
	value  any
	rule   string // part of the rule that must be named
	decode bool   // Decode already refuses it
}

// breaches returns one breach for each rule of a shape.
func breaches(t testing.TB, s *model.Shape) []breach {
	switch s.Kind {
	case model.Text:
		return textBreaches(t, s)
	case model.Enum:
		return []breach{{"", "NO_SUCH_VALUE", "enum value set: [" + strings.Join(s.Values, ", "), false}, {"", 5, "a string", true}}
	case model.Integer, model.Long:
		return numberBreaches(s)
	case model.Boolean:
		return []breach{{"", "true", "true or false", true}}
	case model.Timestamp:
		return []breach{{"", "yesterday", "a time", true}, {"", true, "a time", true}, {"", 1e12, "a time", true}}
	case model.List:
		return listBreaches(t, s)
	case model.Map:
		return mapBreaches(t, s)
	case model.Structure:
		return structureBreaches(t, s)
	}
	return nil
}

func textBreaches(t testing.TB, s *model.Shape) []breach {
	list := []breach{{"", 5, "a string", true}, {"", map[string]any{}, "a string", true}}
	good := sample(t, s).(string)
	if s.Min != nil && *s.Min > 0 {
		list = append(list, breach{"", good[:*s.Min-1], fmt.Sprintf("length greater than or equal to %d", *s.Min), false})
	}
	if s.Max != nil {
		long := strings.Repeat("é", int(*s.Max)+1)
		list = append(list, breach{"", long, fmt.Sprintf("length less than or equal to %d", *s.Max), false})
	}
	if s.Pattern != "" {
		n := int64(1)
		if s.Min != nil && *s.Min > n {
			n = *s.Min
		}
		list = append(list, breach{"", strings.Repeat("\n", int(n)), "pattern: " + s.Pattern, false})
	}
	return list
}

func numberBreaches(s *model.Shape) []breach {
	list := []breach{{"", "7", "a number", true}, {"", 1.5, "a whole number", true}, {"", 1e30, "fit in 64 bits", true}}
	if s.Min != nil {
		list = append(list, breach{"", *s.Min - 1, fmt.Sprintf("greater than or equal to %d", *s.Min), false})
	}
	if s.Max != nil {
		list = append(list, breach{"", *s.Max + 1, fmt.Sprintf("less than or equal to %d", *s.Max), false})
	} else if s.Kind == model.Integer {
		list = append(list, breach{"", int64(1) << 31, "less than or equal to 2147483647", false})
	}
	return list
}

func listBreaches(t testing.TB, s *model.Shape) []breach {
	list := []breach{{"", "x", "a list", true}, {"[1]", []any{sample(t, s.Item), nil}, "must be a", true}}
	if s.Min != nil && *s.Min > 0 {
		list = append(list, breach{"", []any{}, "length greater than or equal to", false})
	}
	if s.Max != nil {
		var many []any
		for range *s.Max + 1 {
			many = append(many, sample(t, s.Item))
		}
		list = append(list, breach{"", many, fmt.Sprintf("length less than or equal to %d", *s.Max), false})
	}
	for _, b := range breaches(t, s.Item) {
		list = append(list, breach{join("[0]", b.member), []any{b.value}, b.rule, b.decode})
	}
	return list
}

func mapBreaches(t testing.TB, s *model.Shape) []breach {
	list := []breach{{"", "x", "an object", true}}
	if s.Min != nil && *s.Min > 0 {
		list = append(list, breach{"", map[string]any{}, "length greater than or equal to", false})
	}
	if s.Max != nil {
		many := map[string]any{}
		for i := range *s.Max + 1 {
			many[fmt.Sprint("key", i)] = sample(t, s.Item)
		}
		list = append(list, breach{"", many, fmt.Sprintf("length less than or equal to %d", *s.Max), false})
	}
	for _, b := range breaches(t, s.Key) {
		if !b.decode {
			list = append(list, breach{"", map[string]any{b.value.(string): sample(t, s.Item)}, b.rule, false})
		}
	}
	key := sample(t, s.Key).(string)
	for _, b := range breaches(t, s.Item) {
		list = append(list, breach{"[" + key + "]", map[string]any{key: b.value}, b.rule, b.decode})
	}
	return list
}

func structureBreaches(t testing.TB, s *model.Shape) []breach {
	list := []breach{{"", "x", "an object", true}, {"", []any{}, "an object", true}}
	good := sample(t, s).(map[string]any)
	for _, m := range s.Members {
		if m.Required {
			without := maps.Clone(good)
			delete(without, m.Name)
			list = append(list, breach{m.Name, without, "must not be null", false})
			null := maps.Clone(good)
			null[m.Name] = nil
			list = append(list, breach{m.Name, null, "must not be null", false})
		}
		for _, b := range breaches(t, m.Shape) {
			with := maps.Clone(good)
			with[m.Name] = b.value
			list = append(list, breach{join(m.Name, b.member), with, b.rule, b.decode})
		}
	}
	return list
}

func join(parent, member string) string {
	if member == "" || member[0] == '[' {
		return parent + member
	}
	return parent + "." + member
}

// forInputs calls f for every operation whose body is JSON.
func forInputs(t *testing.T, f func(t *testing.T, op *Operation, input *model.Shape)) {
	facts, err := model.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range facts.Services {
		for _, fact := range s.Operations {
			if fact.Input == nil {
				continue
			}
			t.Run(fact.Name, func(t *testing.T) { f(t, ByName(fact.Name), fact.Input) })
		}
	}
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
