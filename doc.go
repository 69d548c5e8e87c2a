// Package palisade is the root of the module and holds no code. Palisade puts
// one security intent into every layer of a Kubernetes cluster that can hold
// it: mTLS and authorization of a service mesh (Istio or Linkerd),
// NetworkPolicies, and Pod Security labels.
//
// It is a compiler: a pure middle, and a thin shell that does the I/O. Begin
// with package engine, which is the whole flow on a page, and package model,
// which is the words that everything else speaks in. The kinds that a user
// writes are in api/v1alpha1, and the binary is cmd/palisade.
//
// Which package may import which, and why, is a test: architecture_test.go.
package palisade
