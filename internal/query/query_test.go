package query

import (
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/sigv4"
)

func TestLists(t *testing.T) {
	f, err := Parse([]byte("Action=TagUser&Tags.member.2.Key=b&Tags.member.2.Value=&Tags.member.10.Key=c&Tags.member.10.Value=z+%26" +
		"&Tags.member.1.Key=a&Tags.member.1.Value=%C3%A4&TagKeys.member.1=x&TagKeys.member.3=y&Empty=" +
		"&Tags.member.01.Key=no&Tags.member.0.Key=no&Tags.member.-1.Key=no&Tags.member.x.Key=no&Tagsmember.4.Key=no"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := f.Tags("Tags"), []Tag{{"a", "ä"}, {"b", ""}, {"c", "z &"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("tags %v, want %v", got, want)
	}
	if got := f.Texts("TagKeys"); !reflect.DeepEqual(got, []string{"x", "y"}) {
		t.Errorf("texts %v", got)
	}
	if f.Texts("Empty") != nil || !f.Given("Empty") || f.Given("Absent") {
		t.Error("an empty list is not empty")
	}
}

func TestNestedLists(t *testing.T) {
	f, err := Parse([]byte("E.member.1.Name=n&E.member.1.Values.member.1=p&E.member.1.Values.member.2=q"))
	if err != nil {
		t.Fatal(err)
	}
	all := f.Members("E")
	if len(all) != 1 || all[0].Get("Name") != "n" || !reflect.DeepEqual(all[0].Texts("Values"), []string{"p", "q"}) {
		t.Errorf("%v", all)
	}
}

func TestRefusedForms(t *testing.T) {
	for body, want := range map[string]string{
		"Action=A&Action=B":        "The parameter 'Action' is given 2 times.",
		"Action=%zz":               "no form",
		"Action=%ff":               "not in UTF-8",
		"a;b=c":                    "no form",
		strings.Repeat("a&", 2000): "more than 2000 parameters",
	} {
		_, err := Parse([]byte(body))
		if kvs.KindOf(err) != kvs.Validation || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: %v, want %q", body, err, want)
		}
	}
}

func TestRules(t *testing.T) {
	rules := map[string]Rule{
		"UserName": {Min: 1, Max: 4, Pattern: regexp.MustCompile(`^[a-z]+$`)},
		"MaxItems": {Number: true, Min: 1, Max: 1000},
		"Status":   {OneOf: []string{"Active", "Inactive"}},
		"Default":  {Bool: true},
	}
	for _, c := range []struct{ form, want string }{
		{"UserName=anna&MaxItems=1&Status=Active&Default=true&Unruled=", ""},
		{"", "1 validation error detected: Value null at 'userName' failed to satisfy constraint: Member must not be null"},
		{"UserName=", "1 validation error detected: Value '' at 'userName' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"UserName=annas", "1 validation error detected: Value 'annas' at 'userName' failed to satisfy constraint: Member must have length less than or equal to 4"},
		{"UserName=Anna", "1 validation error detected: Value 'Anna' at 'userName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-z]+$"},
		{"MaxItems=0&UserName=a", "1 validation error detected: Value '0' at 'maxItems' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"MaxItems=1001&Status=Off", "3 validation errors detected: Value null at 'userName' failed to satisfy constraint: Member must not be null; " +
			"Value '1001' at 'maxItems' failed to satisfy constraint: Member must have value less than or equal to 1000; " +
			"Value 'Off' at 'status' failed to satisfy constraint: Member must satisfy enum value set: [Active, Inactive]"},
		{"UserName=a&MaxItems=x&Default=yes", "2 validation errors detected: Value 'yes' at 'default' failed to satisfy constraint: Member must be true or false; " +
			"Value 'x' at 'maxItems' failed to satisfy constraint: Member must be a whole number"},
	} {
		f, err := Parse([]byte(c.form))
		if err != nil {
			t.Fatal(err)
		}
		err = f.Check([]string{"UserName"}, rules)
		if err == nil && c.want != "" || err != nil && (err.Error() != c.want || kvs.KindOf(err) != kvs.Validation) {
			t.Errorf("%s: %v\nwant %s", c.form, err, c.want)
		}
	}
}

func TestAnswer(t *testing.T) {
	result := struct {
		Users List[string]
		Tags  *List[Tag]
		When  string
	}{When: Time(time.UnixMilli(1_735_442_939_457))}
	got, err := Answer("https://example.com/doc/", "ListUsers", "id-1", result)
	want := `<ListUsersResponse xmlns="https://example.com/doc/"><ListUsersResult><Users></Users><When>2024-12-29T03:28:59Z</When></ListUsersResult>` +
		`<ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></ListUsersResponse>`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	got, err = Answer("n", "DeleteUser", "id-2", nil)
	want = `<DeleteUserResponse xmlns="n"><ResponseMetadata><RequestId>id-2</RequestId></ResponseMetadata></DeleteUserResponse>`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	if l := ListOf([]int{1, 2}, func(i int) string { return strings.Repeat("x", i) }); !reflect.DeepEqual(l.Member, []string{"x", "xx"}) {
		t.Errorf("%v", l)
	}
}

func TestFaults(t *testing.T) {
	own := map[kvs.Kind]Fault{kvs.InvalidArgument: {Status: 400, Code: "Special"}}
	for _, c := range []struct {
		err  error
		own  map[kvs.Kind]Fault
		want Fault
	}{
		{kvs.Errorf(kvs.NotFound, "no %s", "one"), nil, Fault{404, "NoSuchEntity", "no one"}},
		{kvs.Errorf(kvs.InvalidArgument, "bad"), nil, Fault{400, "InvalidInput", "bad"}},
		{kvs.Errorf(kvs.InvalidArgument, "bad"), own, Fault{400, "Special", "bad"}},
		{kvs.Errorf(kvs.TooManyTags, "tags"), nil, Fault{400, "InvalidInput", "tags"}},
		{&kvs.Error{Kind: kvs.NotFound, Message: "no", Cause: errors.New("deep")}, nil, Fault{404, "NoSuchEntity", "no"}},
		{errors.New("deep inside"), nil, Fault{500, "InternalFailure", "Internal failure."}},
		{kvs.Errorf(kvs.Internal, "deep inside"), nil, Fault{500, "InternalFailure", "Internal failure."}},
		{sigv4.UnknownKey(), nil, Fault{403, "InvalidClientTokenId", "The security token included in the request is invalid."}},
		{&sigv4.Error{Code: sigv4.Expired, Message: "old"}, nil, Fault{403, "SignatureDoesNotMatch", "old"}},
		{&sigv4.Error{Code: sigv4.MissingAuthenticationToken, Message: "none"}, nil, Fault{http.StatusForbidden, "MissingAuthenticationToken", "none"}},
	} {
		if got := FaultOf(c.err, c.own); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.err, got, c.want)
		}
	}
	got := string(Refusal("n", "id", Fault{404, "NoSuchEntity", "<none>"}))
	want := `<ErrorResponse xmlns="n"><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>&lt;none&gt;</Message></Error><RequestId>id</RequestId></ErrorResponse>`
	if got != want {
		t.Errorf("%s", got)
	}
	if got := string(Refusal("n", "id", Fault{Status: 500})); !strings.Contains(got, "<Type>Receiver</Type>") {
		t.Errorf("%s", got)
	}
}

// FuzzParse: whatever a form holds, its lists are read in bounded time and nothing is made up.
func FuzzParse(f *testing.F) {
	f.Add("Action=TagUser&Tags.member.1.Key=a&Tags.member.1.Value=b", "Tags")
	f.Add("Tags.member.99999999999999999999.Key=a&Tags.member.1=&Tags.member.=&Tags.member.1.=", "Tags")
	f.Add("%zz=%ff;&&=&a=b+c", "")
	f.Fuzz(func(t *testing.T, body, name string) {
		form, err := Parse([]byte(body))
		if err != nil {
			if kvs.KindOf(err) != kvs.Validation {
				t.Fatalf("%v", err)
			}
			return
		}
		texts, tags := form.Texts(name), form.Tags(name)
		if len(texts) != len(tags) || len(texts) > len(form.Values) {
			t.Fatalf("%d texts, %d tags of %d parameters", len(texts), len(tags), len(form.Values))
		}
		for _, one := range texts {
			if one != "" && !strings.Contains(mustUnescape(body), one) {
				t.Fatalf("%q is not in %q", one, body)
			}
		}
		_ = form.Check([]string{name}, map[string]Rule{name: {Min: 1, Max: 3, Number: true}})
		again, err := Parse([]byte(form.Encode()))
		if err != nil || !reflect.DeepEqual(again, form) {
			t.Fatalf("%v becomes %v, %v", form, again, err)
		}
	})
}

func mustUnescape(s string) string {
	s, _ = url.QueryUnescape(s)
	return s
}
