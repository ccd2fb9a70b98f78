package wire

import "slices"

// actions are what is behind the URL of a playback session (limits sheet, section 4). No
// model has them; policies, limits and measurements name them.
var actions = []string{"GetDASHManifest", "GetHLSMasterPlaylist", "GetHLSMediaPlaylist", "GetMP4InitFragment", "GetMP4MediaFragment", "GetTSFragment"}

// IsAction reports whether a name is that of something behind a session URL.
func IsAction(name string) bool { return slices.Contains(actions, name) }

// sockets are the WebSockets of signaling channels, which no model has either.
var sockets = []string{"ConnectAsMaster", "ConnectAsViewer"}

// IsSocket reports whether a name is that of a WebSocket.
func IsSocket(name string) bool { return slices.Contains(sockets, name) }
