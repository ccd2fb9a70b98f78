// Package front measures what stands in front of every call and what a start costs: make
// bench-front runs it. The claims are in docs/design/performance.md.
//
// It is a module of its own so that the product does not depend on the AWS SDK, whose
// signer is what a call is compared with.
package front
