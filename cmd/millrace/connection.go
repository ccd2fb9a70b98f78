package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/config"
)

// connection is how a command reaches the server: the usual AWS variables, and a flag
// for each that is worth changing for one call.
type connection struct {
	Endpoint string `help:"URL of the server; else AWS_ENDPOINT_URL." placeholder:"URL"`
	Region   string `help:"Region to sign for; else AWS_REGION or AWS_DEFAULT_REGION." placeholder:"NAME"`
	CA       string `name:"ca" help:"PEM file with certificates to trust; else AWS_CA_BUNDLE." type:"existingfile" placeholder:"FILE"`
}

// variables are what the flags stand for: the one of each meaning that comes first.
func (c *connection) variables() map[string]string {
	return map[string]string{
		"AWS_ENDPOINT_URL_KINESIS_VIDEO": c.Endpoint,
		"AWS_REGION":                     c.Region,
		"AWS_CA_BUNDLE":                  c.CA,
	}
}

// open makes the client.
func (c *connection) open() (*client.Client, error) {
	for name, value := range c.variables() {
		if value == "" {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	cl, err := client.FromEnv()
	if err != nil {
		if unset, ok := errors.AsType[*client.UnsetError](err); ok {
			err = fmt.Errorf("%w\n%s", err, exports(unset.Names))
		}
		return nil, err
	}
	cl.UserAgent = "millrace/" + version()
	return cl, nil
}

// exports is what to type for variables that are not set, for the two kinds of servers.
func exports(names []string) string {
	dev := map[string]string{
		"AWS_ENDPOINT_URL":      "http://127.0.0.1:8080",
		"AWS_DEFAULT_REGION":    "us-east-1",
		"AWS_ACCESS_KEY_ID":     config.DevAccessKey,
		"AWS_SECRET_ACCESS_KEY": config.DevSecret,
	}
	other := map[string]string{
		"AWS_ENDPOINT_URL":      "https://HOST:8443 AWS_CA_BUNDLE=FILE   # ca.pem of its data directory",
		"AWS_DEFAULT_REGION":    "us-east-1   # of its setting regions",
		"AWS_ACCESS_KEY_ID":     "...   # as millrace init, user create --key or key create printed it",
		"AWS_SECRET_ACCESS_KEY": "...",
	}
	var b strings.Builder
	for _, server := range []struct {
		title  string
		values map[string]string
	}{{"a server started with \"millrace serve --dev\"", dev}, {"another server (docs/guide/install.md, step 7)", other}} {
		fmt.Fprintf(&b, "\nFor %s:\n", server.title)
		for _, name := range names {
			fmt.Fprintf(&b, "  export %s=%s\n", name, server.values[name])
		}
	}
	if os.Getenv("AWS_PROFILE") != "" {
		b.WriteString("\nAWS_PROFILE and its files are not read; with version 2 of the AWS command line:\n" +
			"  eval \"$(aws configure export-credentials --format env)\"\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// hints says what to do about exceptions that people meet first.
var hints = map[string]string{
	"InvalidSignatureException":    badSecret,
	"SignatureDoesNotMatch":        badSecret,
	"NotAuthorizedException":       mayNot,
	"AccessDeniedException":        mayNot,
	"ClientLimitExceededException": "too many calls; try again in a moment",
}

const mayNot = "the key is known but may not do this; on the server's machine millrace policy test says which policies decide"

const rootKey = "AWS_ACCESS_KEY_ID must be the root key, which millrace init or the first start showed, or of a user whose policies allow the action"

const badSecret = "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID, or the clocks differ"

const emptyRange = "the stream is there. Live it needs a fragment of the last 30 s, else one that begins in the range, " +
	"by the server's clock unless the producer's is asked for; millrace list shows what there is"

// hint says what to do about an answer of the server; command is the one that got it.
func hint(command string, refused *client.Error) string {
	switch {
	case strings.Contains(refused.Message, "to an HTTPS server"):
		return "this is the port of https: write https:// instead of http:// in the endpoint"
	case strings.Contains(refused.Message, "development server"):
		return "" // the message says it: no key may do this there
	case refused.Exception == "ResourceNotFoundException" && command == "put":
		return "millrace put --create makes the stream"
	case strings.HasPrefix(refused.Message, "No fragments found"):
		return emptyRange
	case refused.Exception == "ResourceNotFoundException" && (command == "channel" || command == "turn"):
		return "millrace channel list names the channels there are; capitals count"
	case refused.Exception == "ResourceNotFoundException":
		return "aws kinesisvideo list-streams names the streams there are; capitals count"
	case strings.Contains(refused.Message, "scoped to a valid region"):
		return "sign for that region: --region or AWS_REGION"
	case strings.Contains(refused.Message, "which belongs to its home account"):
		return "only keys of the home account can do this; millrace account list shows which account that is"
	case refused.Exception == "NotAuthorizedException" && command == "limit":
		return rootKey + "; settings (limits:) need no key"
	case refused.Exception == "NotAuthorizedException" && (command == "hold" || command == "erase"):
		return rootKey
	case refused.Exception == "UnrecognizedClientException" && strings.HasPrefix(os.Getenv("AWS_ACCESS_KEY_ID"), "ASIA"):
		return "these temporary credentials were ended, or AWS_SESSION_TOKEN belongs to others: get new ones"
	case strings.HasPrefix(refused.Exception, "ExpiredToken"):
		return "get new temporary credentials, as these were got (aws sts assume-role ...)"
	case refused.Exception == "UnrecognizedClientException" && os.Getenv("AWS_SESSION_TOKEN") != "":
		return "unset AWS_SESSION_TOKEN: it belongs to other keys"
	case refused.Exception == "UnrecognizedClientException":
		return "the server does not know this access key, or it is disabled"
	}
	return hints[refused.Exception]
}

// advised is an error with another hint than [hint] has for it.
type advised struct {
	error
	hint string
}

func (e advised) Unwrap() error { return e.error }

// advise gives an error that says that something does not exist a hint of its own.
func advise(err error, hint string) error {
	if err != nil && missing(err) {
		return advised{err, hint}
	}
	return err
}

// explain adds a hint to an error of a command where there is one.
func explain(command string, err error) string {
	text := err.Error()
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		text += "\n  hint: --ca FILE or AWS_CA_BUNDLE=.../ca.pem, which is in the server's data directory"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		text += "\n  hint: use a name that the certificate has, or add this one to tls.names of the server"
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		text += "\n  hint: this is the port of http: write http://, or the port of https, which is 8443 by default"
	}
	if errors.Is(err, syscall.ECONNREFUSED) && command != "health" {
		text += "\n  hint: nothing listens there: does the server run, and is this its address and port? On its machine: millrace health"
	}
	if refused, ok := errors.AsType[*client.Error](err); ok {
		hint := hint(command, refused)
		if own, ok := errors.AsType[advised](err); ok {
			hint = own.hint
		}
		if hint != "" {
			text += "\n  hint: " + hint
		}
		if refused.RequestID != "" {
			text += "\n  request: " + refused.RequestID
		}
	}
	return text
}
