//go:build race

package playback

// slowness is by how much fewer histories are played: the race detector makes each take so
// much longer.
const slowness = 20
