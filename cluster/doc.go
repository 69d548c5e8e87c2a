// Package cluster is where palisade meets Kubernetes: it reads what is there
// into an intent.Snapshot. Read takes a folder of manifests (or files, or
// standard input) and answers as an API server that was given these manifests
// would: defaults filled in, palisade's own kinds validated by their CRDs,
// controllers turned into the pods that they would run.
//
// The way of a manifest: file → chunk (text between "---" lines) → object (one
// API object as a JSON tree) → item (typed, defaulted, checked) → Snapshot.
// All steps up to the item work on one chunk alone and run in parallel; the
// last one (gather.go) sees everything: duplicates, owners, namespaces.
//
// Nothing is returned by halves: either all that was given could be read, or
// the error names every fault with file, document, line and field.
package cluster
