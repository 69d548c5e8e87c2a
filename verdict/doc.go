// Package verdict answers who reaches whom, how protected, and which rule
// decides: NetworkPolicies, the port that a mesh rewrites to, its mTLS mode and
// its authorization in one answer, over any objects, whoever wrote them. It is pure.
//
// It does not know what NetworkPolicies or meshes are. Readers (netpol and the
// dialects of mesh) make model.Filters and model.Ways of their objects; this
// package judges by them, in two ways that must agree:
//
//	Explain   one connection, walked filter by filter, with the rule that decides in each
//	Map       all connections, for classes of peers that no rule tells apart
//
// How the map is made fast: pods that every rule treats alike are one class, and
// so are addresses outside the cluster (classes.go, addresses.go). For each
// server class one row says what every client class may do there, as runs of
// classes that may do the same (rows.go). A row costs what the rules that name its
// server cost, whatever the number of pods, and "everybody" is a row of one run.
// What a run holds is the number of an outcome: sets of ports are made once, and
// what is done with two of them is remembered (outcomes.go).
package verdict
