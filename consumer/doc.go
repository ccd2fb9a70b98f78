// Package consumer reads a stream's fragments, live or archived.
//
// A [Follower] calls GetMedia and goes on where it was when a response ends. A [Reader]
// takes any output of GetMedia or GetMediaForFragmentList apart. Both are used like an
// archive/tar reader: Next goes to the next fragment and says what is known about it,
// Read gives its cluster while it arrives. Nothing is kept in memory but headers.
//
//	f, err := consumer.Follow(ctx, consumer.Config{Stream: "garden", Start: consumer.Earliest()})
//	...
//	for {
//		fragment, err := f.Next()
//		...
//		frames := consumer.Frames(fragment, f)
//		...
//	}
//
// A [Merger] writes fragments as one document, for players that read no more than one.
package consumer
