// Package probe opens the connections by which package verify sees whether an
// intent holds, and says what became of each.
//
// No request is sent, and no byte that an application could take for one, unless
// Options.Requests allows it. A client without TLS sends a lone TLS alert record
// (RFC 8446, section 6): proxies have to have a few bytes before they can tell TLS
// from plaintext, and to an application this is a line of nonsense. A client with TLS
// ends its handshake and listens: a server that has taken it says so by a session
// ticket, by bytes of its own, or in TLS 1.2 by ending its half; one that has not sends an
// alert or hangs up, in TLS 1.3 only after the client has long taken its handshake
// for finished.
//
// A peer may be hostile. What it may send, and how long it may take, is bounded
// for every connection, however it parts its bytes.
package probe
