// Package ci pins the AWS SDK for Go that the examples of docs/guide/ci.md are run with.
// test/e2e takes the examples out of the page and this module's files with them; the
// product does not depend on the SDK.
package ci

import (
	_ "github.com/aws/aws-sdk-go-v2/config"
	_ "github.com/aws/aws-sdk-go-v2/service/kinesisvideo"
)
