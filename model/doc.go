// Package model holds the words of the house as plain data: what runs in a
// cluster (Namespace, Workload, Service), what the cluster is (Cluster), what
// the intent wants (Posture, Flow, Relaxation), what the layers write (Object)
// and what is said about it (Problem, Finding).
//
// Every other package speaks in these words; this one imports none of ours.
// Kubernetes API types (k8s.io/api, apimachinery) are data and are used as
// they are. Nothing here does I/O, reads the clock or keeps state.
//
// The way of a value: cluster reads objects, intent makes a Model of them, and
// netpol, mesh and pss compile that Model to Objects. A compiler reads only
// the Model, so whatever one layer must know of another (the port a mesh
// rewrites to, the identity of a workload) is a field here, filled by intent.
package model
