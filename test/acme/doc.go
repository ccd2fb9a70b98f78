// Package acme pins the certificate authority that test/e2e proves ACME against: Pebble,
// and the name server that leads it to this machine. They have a module of their own, so
// that what they need never becomes ours.
package acme
