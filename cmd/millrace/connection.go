package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/millrace/millrace/internal/client"
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
		return nil, fmt.Errorf("%w\n%s", err, exports)
	}
	cl.UserAgent = "millrace/" + version()
	return cl, nil
}

// exports is what to type when the environment is empty.
const exports = `
For a server started with "millrace serve --dev":
  export AWS_ENDPOINT_URL=http://127.0.0.1:8080
  export AWS_REGION=us-east-1
  export AWS_ACCESS_KEY_ID=AKIAMILLRACEDEV00000
  export AWS_SECRET_ACCESS_KEY=millrace-dev-secret`

// hints says what to do about exceptions that people meet first.
var hints = map[string]string{
	"ResourceNotFoundException":    "no such stream; millrace put --create makes it",
	"UnrecognizedClientException":  "the server does not know AWS_ACCESS_KEY_ID",
	"InvalidSignatureException":    "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID, or the clocks differ",
	"SignatureDoesNotMatch":        "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID, or the clocks differ",
	"NotAuthorizedException":       "the key is known but may not do this",
	"AccessDeniedException":        "the key is known but may not do this",
	"ClientLimitExceededException": "too many calls; try again in a moment",
}

// explain adds a hint to an error where there is one.
func explain(err error) string {
	text := err.Error()
	if refused, ok := errors.AsType[*client.Error](err); ok {
		if hint := hints[refused.Exception]; hint != "" {
			text += "\n  hint: " + hint
		}
		if refused.RequestID != "" {
			text += "\n  request: " + refused.RequestID
		}
	}
	return text
}
