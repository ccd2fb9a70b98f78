//go:build race

package crashtest

// slowness is by how much fewer histories are played: the race detector makes each take so
// much longer.
const slowness = 20
