// Package devicetest reads what a signaling server answers as strictly as the clients on
// cameras and telephones do, so that a test of the server notices what would be lost on them.
//
// The rules are those of the C SDK (1.16, with its 100 tokens of JSON and values copied as they
// are written), of its successor for small devices (which wants certain keys first and takes a
// shorter key for a longer one), and of the Android, iOS, and Python programs. wire-webrtc.md
// names where each was read.
package devicetest
