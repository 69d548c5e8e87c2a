// Package admission is the webhook that an API server asks about objects of
// palisade's own kinds, and the certificate under which it answers.
//
// It refuses only what can never be right, whatever the cluster is (never.go).
// What depends on the cluster is a warning: the proposed object is laid over the
// latest snapshot, and what would break with it and not without it is told. What is not
// known in time is said, and never a reason to refuse.
//
// The certificate (rotation.go) is renewed without a restart and without a moment in
// which a request fails: its successor is trusted before anybody serves it.
package admission
