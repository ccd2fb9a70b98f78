// Package ingest takes PutMedia sessions: frames in, fragments and acknowledgements
// out.
//
// [Ingest.Run] reads one request body of Matroska. Bytes go to the live buffer as they
// come; whole fragments go to the archive; each step is acknowledged in the order
// BUFFERING, RECEIVED, PERSISTED, or ERROR (errors sheet, section 5). What goes wrong
// with one fragment costs that fragment; what goes wrong with the input as a whole
// ends the session.
//
// Run may be called from many goroutines, once for each request. Inside, one goroutine
// reads and one writes acknowledgements.
package ingest
