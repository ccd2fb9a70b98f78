// Package producer sends Matroska with PutMedia and says which fragments are durable.
//
// A [Session] is one call of PutMedia: a writer of Matroska whose Close waits until the
// server has stored every fragment. A fragment is a Matroska cluster; it should begin
// with a video key frame and last 1 to 20 seconds. [Fits] says whether a file is made
// so, and a [Reclusterer] makes other input so without touching a frame. A [Pacer] lets
// recorded media through at the speed at which it was recorded.
//
//	s, err := producer.Open(ctx, producer.Config{Stream: "garden"})
//	...
//	_, err = io.Copy(s, producer.NewReclusterer(camera, producer.Limits{}))
//	...
//	err = s.Close() // nil: everything is durable
//
// Frames of your own become Matroska with [mkv.Writer]: EBML header, Segment, Info and
// Tracks, then for each key frame a cluster of unknown size and its blocks.
package producer
