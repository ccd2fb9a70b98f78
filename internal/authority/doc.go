// Package authority decides whether a caller may do what it asks for: it puts the question
// of a call together with the policies that stand for its principal
// (docs/design/identity.md, section 2).
//
// The front door fills an [Ask] and gets nil or a [Denial]. All of the package may be used
// from any number of goroutines.
package authority
