// Package kvs is the dictionary: the words every other room of Millrace shares.
//
// It holds values only: accounts, ARNs, streams, fragment numbers, times, fragments,
// principals, actions and kinds of error. Nothing here does I/O, keeps state or knows
// how a value looks on the wire. All types may be copied freely and used from any
// number of goroutines. The words are explained in docs/design/glossary.md.
package kvs
