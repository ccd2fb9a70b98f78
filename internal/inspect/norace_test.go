//go:build !race

package inspect

// slowness is by how much fewer cases are tried.
const slowness = 1
