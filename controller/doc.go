// Package controller is the shell around package engine that runs in a cluster.
//
//	cluster.World ─▶ governor ─▶ engine.Govern ─▶ outcome ─▶ one reconciler a kind ─▶ cluster.Writer
//	(watches)        (when?)     (pure)           (what?)    (in which order?)
//
// Every replica watches, so that the next leader knows the cluster already; the
// leader alone has a governor, which takes the whole cluster through package
// engine, soon after what people wrote or what palisade owns has changed, and
// after a while otherwise. What comes out is immutable. The reconcilers carry it out: of a
// namespace first what must be remembered (NamespacePosture), then what allows,
// then what denies, then deletions; what fails stops all that comes after it.
//
// Nothing is written twice: the ledger knows what was written and not seen yet.
package controller
