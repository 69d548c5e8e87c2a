// Package rollout takes namespaces from what they are today to what their
// profile demands, in steps of which each is proven before the next, and back.
//
// It is Model to Model: Step lowers in every namespace the layers that are not
// proven yet, so that the compilers know nothing of it, and plan, apply and the
// way back share one Compile. It is pure: time is an argument, what was seen of
// the cluster is Evidence, and what must outlast a crash is Memory, small enough
// for a status. Whoever calls it writes the memory first and the objects after;
// a crash between any two writes is harmless, since a change counts from the
// moment at which evidence says that it is written.
//
// # Stages
//
// Each layer of a namespace has a stage of its own (model.Stage). All but the
// last refuse nothing that was let through before:
//
//	              Prepare               Audit                Permissive           Enforce
//	Network       an open policy        –                    and every policy     every policy
//	MTLS          –                     –                    mTLS and plaintext   mTLS only
//	Authorization an open policy and    and every policy as  and every policy     every policy
//	 (Istio)      the waypoint          a dry run
//	Authorization –                     Servers that audit   –                    Servers that deny
//	 (Linkerd)
//	PodSecurity   –                     labels warn, audit   –                    label enforce
//
// A NetworkPolicy, and an ALLOW policy of Istio's, isolates its pods from the
// moment it is written, so several of them cannot be written, changed or removed
// one after the other without refusing something in between. An object that lets
// everything through (palisade-open) stands beside them until all are there: to
// delete it is the step to Enforce, one write, and to write it again is the step
// back. Backends leave it out where it would open what somebody else's object closes.
//
// NetworkPolicy has no audit. In its place stands what package plan foresees to
// break. Istio's dry run is used where every proxy is a sidecar: ztunnel and
// proxyless gRPC may enforce it. Linkerd audits since 2.16. Nor is there a stage
// Audit where nobody reads what it notes (Evidence.Audits).
//
// # Order
//
// Stages that refuse nothing are gone through together. Then one layer at a
// time is enforced, so that a fault has one cause: Pod Security, which only new
// pods feel; mTLS; authorization, which needs the identities that mTLS proves;
// the network last, since it alone has no audit. Istio's Sidecar comes with the
// network: both are what limits clients. A layer that is held does not hold those
// behind it, but for authorization, which waits for mTLS, and mTLS, which waits for
// authorization to be audited where it can be.
//
// # Gates and watch
//
// Gates are asked before each step (see gates); unknown is a hold, never a pass.
// After each step the namespace is watched for the soak time: workloads that become
// unready, or a verification that fails, take the step back at once, one stage.
// Another try waits, twice as long each time; after three failures a person must
// release it. A step that lasted is proven and is not taken back by itself: a security
// tool that opens a door because some pod is unready, months later, is itself a hole.
package rollout
