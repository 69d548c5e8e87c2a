// Package netpol compiles the Model to NetworkPolicies, and on Cilium to the
// CiliumNetworkPolicies that hold what a NetworkPolicy cannot.
//
// Each governed namespace gets one policy for every set of pods that some flow
// names, with both what they take and what they dial, and "palisade-default",
// which closes the rest. A policy isolates its pods as soon as it is written, so
// each also carries what every pod needs to work at all (Flow.Base), and what the
// whole namespace may do where that is a few rules. What is left is a moment
// between two writes in which pods that several selectors find have the allows of
// the first policy only; to carry those of the others would open more than them.
//
// What is not known stays closed and is said as a Problem: no peer list and no
// port list is ever empty by accident, because empty means everywhere.
package netpol
