//go:build !race

package crashtest

// slowness is by how much fewer histories are played.
const slowness = 1
