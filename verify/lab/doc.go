// Package lab stands in for the proxies of a mesh, on loopback addresses and
// with a CA in memory: for tests of package probe, and to try palisade verify without a
// cluster.
//
// A stand-in is no proxy. It answers handshakes as Envoy, ztunnel, grpc-go and
// linkerd-proxy do, with the alerts and statuses of their sources, in any mode, and
// with any fault that a test asks for; it routes nothing and protects nobody. It listens on loopback
// addresses only.
package lab
