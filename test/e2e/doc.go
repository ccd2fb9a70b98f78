// Package e2e runs real clients against the real program: the AWS SDK for JavaScript,
// boto3, the aws command, ffmpeg, GStreamer and players in a browser, all over TLS unless
// a test is about something else.
//
// It has only tests, in a module of its own with the SDK's packages beside it. They start
// the binary that -binary names (make e2e builds it) with a data directory and ports of
// their own, and need what .ci/run installs; a missing program fails them. What the server
// answers is compared with testdata; -update writes it again.
package e2e
