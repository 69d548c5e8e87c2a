// Package harden gives pods the defaults of a profile: security contexts, a
// read-only root with writable paths, no token, modes of Secret volumes, resources,
// pull policies, spread. The same defaults serve admission, manifests and reports:
//
//	JSON of a pod ─▶ Read ─▶ Pod ─┐
//	Hardening ─▶ NewPolicy ───────┴▶ Policy.Apply ─▶ Result{Changes, Kept} ─▶ Patch (RFC 6902)
//
// It only fills in. What a pod says stays as it is, though it be weaker, and comes
// back as Kept, so that its owner can be told. Containers of a mesh are left alone
// (mesh.go), and so is whatever an Exemption of Pod Security relaxes.
//
// Reading takes one pass over the text and keeps no copy of it: a webhook does it
// for every pod of a cluster.
package harden
