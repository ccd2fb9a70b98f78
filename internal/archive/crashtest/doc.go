// Package crashtest holds no code but proofs: that the archive keeps what it acknowledged
// and brings nothing back that it refused or removed, whatever fails and whenever the
// power goes. The disk is a simulated one, the index is a real file.
package crashtest
