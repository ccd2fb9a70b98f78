//go:build race

package inspect

// slowness is by how much fewer cases are tried: the race detector makes each take so much
// longer.
const slowness = 3
