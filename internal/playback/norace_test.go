//go:build !race

package playback

// slowness is by how much fewer histories are played.
const slowness = 1
