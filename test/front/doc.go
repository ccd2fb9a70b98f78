// Package front measures what stands in front of every call, what a start costs and what
// viewers, signaling and the relay cost: make bench-front, bench-playback, bench-signaling and bench-turn run it.
// The claims are in docs/design/performance.md.
//
// It is a module of its own so that the product does not depend on the AWS SDK, whose
// signer is what a call is compared with.
package front
