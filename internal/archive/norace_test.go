//go:build !race

package archive

// slowness is by how much fewer cases are tried.
const slowness = 1
