// Package mkv reads and writes Matroska as a stream of elements.
//
// It knows EBML (RFC 8794) and the part of Matroska (RFC 9559) that live video
// uses; it knows nothing of Kinesis. [Reader] is a pull scanner over an
// io.Reader with one fixed buffer: every input byte is handed on exactly once,
// so that the concatenated Raw of all items is the input, whatever its frames
// weigh. [Assembler] turns the items into whole frames. The Append functions
// and [Writer] make headers, tracks, tags, clusters and blocks.
//
// Nothing in this package starts a goroutine, and nothing in it may be used
// from two goroutines at once.
package mkv
