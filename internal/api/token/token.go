// Package token serves STS, the API that gives temporary credentials to those who may have them
// (version 2011-06-15): AssumeRole, GetSessionToken, GetCallerIdentity, GetAccessKeyInfo and
// DecodeAuthorizationMessage.
//
// It speaks the words of the original: parameters, answers and errors are those of STS, and
// where they cannot be, docs/ref/aws-differences.md says so. What credentials are is not here:
// package temporary makes them, package directory knows the roles, and package authority
// decides. Calls come from many goroutines.
package token

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/iam/temporary"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/query"
)

// Options are what the service is made of. All are needed but Real.
type Options struct {
	Credentials *temporary.Issuer
	Directory   *directory.Directory

	// Account returns whose a stored access key is; NotFound if there is none.
	Account func(ctx context.Context, accessKey string) (kvs.AccountID, error)

	// Decode opens a sealed decision, for callers of the account that it was about. It fails
	// with an error of kind InvalidArgument.
	Decode func(account kvs.AccountID, message string) (decoded string, err error)

	// Real is the clock of clients, who are told by it when credentials expire: that of the
	// credentials may be another on a development server. nil = time.Now.
	Real func() time.Time
}

// service has the actions as methods.
type service struct{ Options }

// Service makes STS known to the front.
func Service(o Options) api.QueryService {
	s := &service{o}
	if s.Real == nil {
		s.Real = time.Now
	}
	return api.QueryService{
		Name: "sts", Version: "2011-06-15", Namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
		Actions: []api.QueryAction{
			{Name: "AssumeRole", Free: true, Call: s.assumeRole},
			{Name: "GetSessionToken", Free: true, Call: s.getSessionToken},
			{Name: "GetCallerIdentity", Free: true, Call: s.getCallerIdentity},
			{Name: "GetAccessKeyInfo", Call: s.getAccessKeyInfo},
			{Name: "DecodeAuthorizationMessage", Call: s.decode, Faults: map[kvs.Kind]query.Fault{
				kvs.InvalidArgument: {Status: 400, Code: "InvalidAuthorizationMessageException"},
			}},
		},
	}
}

// credentials are temporary credentials in answers.
type credentials struct {
	AccessKeyID     string `xml:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      string
}

func (s *service) shown(c temporary.Credentials) credentials {
	life := c.Expires.Time().Sub(c.Issued.Time())
	return credentials{c.AccessKeyID, c.Secret, c.Token, query.Time(s.Real().Add(life))}
}
