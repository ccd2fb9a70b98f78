// Package go2rtc pins the server for cameras, go2rtc, whose source for signaling channels
// test/e2e proves ours against. It has a module of its own, so that what it needs never
// becomes ours.
package go2rtc
