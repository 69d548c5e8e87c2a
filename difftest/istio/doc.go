// Package difftest holds mesh/istio's reader to Istio's own packages. Random
// clusters are given to both: to an istiod in memory (pilot/test/xds), and to the
// reader. What istiod generates is judged by small evaluators of its protos, and
// must say the same of every client, server and port as the reader says through
// package verdict: how clients send, whether servers end mTLS, what RBAC lets through,
// and which waypoint stands in between.
//
//	world_test.go, objects_test.go   a cluster at random: pods and Services, and Istio's objects
//	istiod_test.go                   what istiod makes of it for each proxy
//	envoy_test.go                    filter chains, TLS contexts and RBAC, as Envoy reads them
//	ztunnel_test.go                  workloads, Services and authorizations, as ztunnel reads them
//	servers_test.go                  what a server's proxy says by these
//	clients_test.go, ways_test.go    clusters and endpoints, and how clients send by them
//	reader_test.go                   the same questions, put to the reader
//	diff_test.go                     the comparison, with the table of differences that are known
//	modes_test.go                    every combination of PeerAuthentications' modes
//
// Istio's packages are too much for the product's go.mod, hence a module of its own.
// PALISADE_DIFFTEST_SEEDS says how many clusters are tried, and PALISADE_DIFFTEST_FIRST
// which comes first; the default is a sample.
package difftest
