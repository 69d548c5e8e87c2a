// Package preflight judges whether a cluster is fit for what palisade is about
// to do to it: the API server, the rights of whoever asks, the mesh and its
// certificates, webhooks, the network, Pod Security, and palisade itself. It is
// pure: an Input goes in, a Report comes out, and the time is a part of the Input.
//
//	Snapshot ─▶ engine ─▶ Input ─▶ NeedsOf ─▶ ★cluster.Survey ─▶ Input.Survey ─▶ Run ─▶ Report
//
// What is not known never passes: it is Unknown, or Skipped where no running
// cluster was asked, and the Report says which.
package preflight
