package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
)

// ownPrefix is where operations of our own are, beside those of the models.
const ownPrefix = "/millrace/"

// ownExceptions is what an operation of our own may answer. No model binds them, so
// the statuses say what HTTP means by them.
var ownExceptions = []wire.Exception{
	{Name: "ClientLimitExceededException", Status: http.StatusTooManyRequests, MessageKey: "Message"},
	{Name: "InvalidArgumentException", Status: http.StatusBadRequest, MessageKey: "Message"},
	{Name: "NotAuthorizedException", Status: http.StatusForbidden, MessageKey: "Message"},
	{Name: "ResourceInUseException", Status: http.StatusConflict, MessageKey: "Message"},
	{Name: "ResourceNotFoundException", Status: http.StatusNotFound, MessageKey: "Message"},
	{Name: "UnknownOperationException", Status: http.StatusNotFound, MessageKey: "Message"},
}

// ownOperation describes an operation of our own the way a model describes its. Input
// says that there is a body to read and to verify; the route decodes it.
func ownOperation(name string) *wire.Operation {
	return &wire.Operation{Name: name, Method: http.MethodPost, Path: ownPrefix + name, Exceptions: ownExceptions,
		Input: func() wire.Input { return nil }}
}

// unknownOwn stands for every operation of our own that there is not. Its name is that
// of all unknown paths, so that strangers cannot make up names in the measurements.
var unknownOwn = func() *wire.Operation { op := ownOperation("unknown"); op.Path = ownPrefix; return op }()

func isOwn(op *wire.Operation) bool { return strings.HasPrefix(op.Path, ownPrefix) }

// operation is what a request line names; nil when nobody knows its path.
func (f *Front) operation(r *http.Request) *wire.Operation {
	path := r.URL.EscapedPath()
	name, own := strings.CutPrefix(path, ownPrefix)
	if !own {
		return wire.ByPath(r.Method, path)
	}
	if op := f.own[name]; op != nil && r.Method == http.MethodPost {
		return op
	}
	return unknownOwn
}

// unknownOwn says, to callers that are known, what there is.
func (f *Front) unknownOwn(r *http.Request) error {
	name := strings.TrimPrefix(r.URL.EscapedPath(), ownPrefix)
	if f.own[name] != nil {
		return kvs.Errorf(kvs.NotImplemented, "%s is called by POST, not by %.16s.", name, r.Method)
	}
	var all []string
	for known := range f.own {
		all = append(all, known)
	}
	slices.Sort(all)
	return kvs.Errorf(kvs.NotImplemented, "There is no operation '%.64s'; this server has %s.", name, strings.Join(all, ", "))
}

// action is the permission that a call of the route needs.
func (r Route) action() kvs.Action {
	if r.Own {
		return kvs.Action("millrace:" + r.Operation)
	}
	return videoAction(r.Operation)
}

func videoAction(operation string) kvs.Action { return kvs.Action(videoService + ":" + operation) }

// Body is the JSON body of the call, as it came. It must not be changed.
func (c *Call) Body() []byte { return c.body }

// answerOwn writes the output of an operation of our own; nil is {}.
func (c *Call) answerOwn(out any) error {
	if out == nil {
		out = struct{}{}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // names and ARNs are read by people, too
	if err := e.Encode(out); err != nil {
		return err
	}
	c.write(http.StatusOK, b.Bytes())
	return nil
}
