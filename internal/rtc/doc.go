// Package rtc is this project's own pair of WebRTC peers: a [Master], which sends one source
// of H.264 and one of Opus to any number of viewers, and a [Viewer], which records what it
// gets to Matroska.
//
// Both find each other through a signaling channel (package signaling) and stand on pion.
// docs/design/signaling.md, section 12, says what they do. A Master's viewers share the
// sources: each begins at a key frame and has queues of its own, so that one who is slow
// skips pictures and nobody else notices. A Viewer lives as long as it is let: when the
// master goes it waits for the next.
//
// Run of either owns all goroutines, those of pion included, and has joined them when it
// returns.
package rtc
