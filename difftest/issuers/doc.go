// Package issuers holds palisade's view of certificates to the CAs that meshes really
// have: istiod (pilot-discovery) and Linkerd's identity service run as processes, and an
// API server (package e2e/embedded) issues and reviews the tokens of service accounts. What
// stands in for proxies are agents of ours: they get their leaves from these CAs, renew
// them by the mesh's rule, and serve strict mTLS by verify/lab. palisade looks at them as
// its users do, by the built program, and openssl looks beside it.
//
//	main_test.go      the control plane and the programs
//	cluster_test.go   accounts, tokens and Secrets, and what a kubelet does with a Secret
//	process_test.go   programs that run, and what they log
//	pki_test.go       roots and issuers, as an operator makes them
//	agent_test.go     a workload with a leaf
//	palisade_test.go  palisade verify, run after run
//	openssl_test.go   what openssl says of the same certificates
//	istio_test.go, linkerd_test.go
//
// hack/issuers.sh builds the CAs.
package issuers
