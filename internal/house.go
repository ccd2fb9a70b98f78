// Package house keeps the tree in order: it has no code of its own, only tests that read
// every file of the project.
//
// They check that imports go down the floors, that public packages stay on the standard
// library, that everything has its comment, that nothing outgrows its size, and that the
// package table in ARCHITECTURE.md is current. The rules are functions over a file
// system, so that each is also tested on a small tree that breaks it.
package house

//go:generate go test -run ^TestArchitectureTable$ -update .
