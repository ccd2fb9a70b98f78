package server

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/api/admin"
	"github.com/millrace/millrace/internal/pagetest"
	"github.com/millrace/millrace/internal/wire"
)

// adminPage is the reference of the operations that are our own.
func adminPage(routes []admin.Route) string {
	var b strings.Builder
	b.WriteString(`<!-- Written by make gen from the routes of the server; do not edit. -->

# Operations of our own

Beside the operations of the service models a server has some of its own, which the commands of
` + "`millrace`" + ` call. One is called by ` + "`POST /millrace/NAME`" + ` with a JSON object as its body, signed
like every call (service ` + "`kinesisvideo`" + `), and allowed by the action ` + "`millrace:NAME`" + `
([permissions](permissions.md)). One sees and changes only what belongs to the caller's account, but for what is about accounts. A body with a member that the operation does
not have is refused. Errors look like those of the other operations: the exception's name in
` + "`x-amzn-ErrorType`" + `, a text in ` + "`Message`" + `, and the request id in ` + "`x-amzn-RequestId`" + `.

| Exception | Status |
|---|---|
| ` + "`InvalidArgumentException`" + ` | 400 |
| ` + "`NotAuthorizedException`" + ` | 403 |
| ` + "`ResourceNotFoundException`" + `, ` + "`UnknownOperationException`" + ` | 404 |
| ` + "`ResourceInUseException`" + ` | 409 |
| ` + "`ClientLimitExceededException`" + ` | 429 |
`)
	for _, r := range routes {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", r.Name, r.Help)
		members(&b, "Input", "", reflect.TypeOf(r.Input))
		members(&b, "Output", "", reflect.TypeOf(r.Output))
	}
	return b.String()
}

// members writes the table of a struct, and those of the structs in it behind it.
func members(b *strings.Builder, title, of string, t reflect.Type) {
	if t == nil || t.NumField() == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s%s:\n\n| Member | Type | What it says |\n|---|---|---|\n", title, of)
	var inner []reflect.StructField
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous {
			continue
		}
		if e := element(f.Type); e.Kind() == reflect.Struct && e.Name() != "Time" {
			inner = append(inner, f)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", member(f), kind(f.Type), f.Tag.Get("help"))
	}
	for _, f := range inner {
		members(b, title, ", each of `"+member(f)+"`", element(f.Type))
	}
}

// member is the name that encoding/json gives a field.
func member(f reflect.StructField) string {
	if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
		return name
	}
	return f.Name
}

// element is what a list or a pointer is of.
func element(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// kind is what JSON calls the values of a type.
func kind(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return kind(t.Elem())
	case t.Kind() == reflect.Slice:
		return "list"
	case t.Name() == "Time":
		return "time, RFC 3339"
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "object"
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	}
	return "number"
}

func TestAdminPage(t *testing.T) {
	const name = "../../docs/ref/admin.md"
	routes := (&Server{}).adminRoutes()
	for _, r := range routes {
		if wire.ByName(r.Name) != nil {
			t.Errorf("%s: an operation of the service models has this name", r.Name)
		}
		if r.Help == "" || !strings.HasSuffix(r.Help, ".") {
			t.Errorf("%s: want a help text that is a sentence: %q", r.Name, r.Help)
		}
	}
	want := adminPage(routes)
	for line := range strings.Lines(want) {
		if strings.HasSuffix(line, "|  |\n") {
			t.Errorf("a member without help: %s", line)
		}
	}
	pagetest.Current(t, name, want, *update)
}
