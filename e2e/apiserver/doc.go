// Package apiserver holds palisade to a real API server: kube-apiserver and etcd,
// started by the tests, without nodes or controllers. What palisade writes must be
// taken, what it says offline of samples and pods must be what the server says.
package apiserver
