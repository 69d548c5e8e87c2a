package controller

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
	"floe.dev/palisade/rollout"
	"floe.dev/palisade/verify"
	"floe.dev/palisade/verify/live"
	"floe.dev/palisade/verify/probe"
)

// Verification says how a controller proves on the wire what it wrote.
type Verification struct {
	// Every is how often all governed namespaces are verified; 0 never does, and no namespace that waits for it either.
	Every time.Duration
	// Prober is the service account that probes play, "namespace/name"; empty plays none, and shows less.
	Prober string
	// CA is host:port of the mesh's CA; empty is looked for among its pods.
	CA string
}

const (
	// lull is how long a namespace that was verified is left alone though it waits for more.
	lull = 5 * time.Second
	// retryFirst is how long one is left alone that did not hold; it doubles, up to Verification.Every.
	retryFirst = 15 * time.Second
	// proberRate and proberWidth keep a verification from being felt: connections in a second, and ports at a time.
	proberRate  = 100
	proberWidth = 32
)

// verifier verifies, in the leader alone, and stores what came of it.
type verifier struct {
	g       *governor
	config  *rest.Config
	options Verification
	log     logr.Logger
	tokens  *cluster.Tokens

	// full is when all namespaces were last verified; tried is when each is due again, and how long it was put off.
	full  time.Time
	tried map[string]retry
	// seen is what is known of certificates, run after run.
	seen verify.Ledger
	// told is what metrics tell.
	told atomic.Pointer[wire]
}

type retry struct {
	at   time.Time
	wait time.Duration
}

// wire is what was last seen on the wire.
type wire struct {
	namespaces  map[string]verify.Summary
	entries     []verify.Entry
	authorities []verify.CA
}

func newVerifier(g *governor, config *rest.Config, o Verification) (*verifier, error) {
	v := &verifier{g: g, config: config, options: o, log: g.options.Log.WithName("verifier"), tried: map[string]retry{}}
	if o.Prober == "" {
		return v, nil
	}
	var err error
	v.tokens, err = cluster.NewTokens(config)
	return v, err
}

// NeedLeaderElection tells that one replica verifies.
func (v *verifier) NeedLeaderElection() bool { return true }

// Start verifies until the context is done.
func (v *verifier) Start(ctx context.Context) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if namespaces, due := v.due(v.g.now()); due {
			v.run(ctx, namespaces)
		}
	}
}

// due tells what is to be verified now: some namespaces, or all where none is named.
func (v *verifier) due(now time.Time) (namespaces []string, due bool) {
	o := v.g.current.Load()
	if o == nil || v.g.metrics.blocked.Load() {
		return nil, false
	}
	if now.Sub(v.full) >= v.options.Every {
		return nil, true
	}
	for _, name := range o.unproven {
		if w := o.namespaces[name]; !now.Before(v.tried[name].at) && (w == nil || len(w.changes) == 0) {
			namespaces = append(namespaces, name)
		}
	}
	return namespaces, len(namespaces) > 0
}

// run verifies once.
func (v *verifier) run(ctx context.Context, namespaces []string) {
	ctx, cancel := context.WithTimeout(ctx, max(v.options.Every, 10*time.Minute))
	defer cancel()
	began := v.g.now()
	snapshot := v.g.look(0)
	m, _ := engine.InForce(snapshot, engine.Options{Given: v.g.options.Given, Now: began})
	if len(namespaces) == 0 {
		v.full = began
	}
	for _, name := range namespaces { // also where nothing comes of it
		v.tried[name] = retry{at: began.Add(v.options.Every), wait: v.tried[name].wait}
	}
	if m.Cluster.Mesh.Kind == model.MeshNone {
		return
	}
	r := live.Run(ctx, v.given(m, namespaces, began))
	if ctx.Err() != nil {
		v.log.Info("a verification did not come to its end, and tells nothing", "took", v.g.now().Sub(began).String())
		return
	}
	v.seen = r.Ledger
	v.tell(r, len(namespaces) == 0)
	v.store(ctx, snapshot, r, len(namespaces) == 0)
	v.putOff(r, v.g.now())
	v.log.Info("verified", "namespaces", len(r.Namespaces), "took", v.g.now().Sub(began).String(),
		"pass", r.Summary.Pass, "fail", r.Summary.Fail, "inconclusive", r.Summary.Inconclusive)
}

func (v *verifier) given(m *model.Model, namespaces []string, looked time.Time) *live.Given {
	authority := engine.AuthorityOf(m, nil)
	g := &live.Given{
		Model: m, Looked: looked, Roots: authority.Roots, Authority: authority.Known, Namespaces: namespaces, CA: v.options.CA,
		Within:  v.options.Every / 2,
		Gone:    func(namespace, pod string) bool { return !v.g.world.HasPod(namespace, pod) },
		Before:  &verify.Report{Ledger: v.seen},
		Probing: probe.Options{Concurrency: proberWidth, Rate: proberRate},
	}
	for _, note := range authority.Notes {
		v.log.Info("of the mesh's CA something cannot be made out", "what", note)
	}
	identity, err := verify.ProberIdentity(&m.Cluster.Mesh, v.options.Prober)
	if err != nil {
		v.log.Info("probes have no identity", "why", err.Error())
		return g
	}
	if identity != "" {
		g.Prober, g.Tokens = identity, v.tokens
	}
	return g
}

// store keeps the report of every namespace that was verified, and takes away those of namespaces that are governed no more.
func (v *verifier) store(ctx context.Context, s *engine.Snapshot, r *verify.Report, all bool) {
	statuses := engine.MTLSReportStatuses(r, s.Reports)
	for _, namespace := range slices.Sorted(maps.Keys(statuses)) {
		err := v.g.writer.StoreReport(ctx, namespace, statuses[namespace])
		v.g.metrics.wrote("MTLSReport", "Status", err)
		if err != nil {
			v.log.Error(err, "storing what was verified", "namespace", namespace)
		}
	}
	if !all {
		return
	}
	for i := range s.Reports {
		there := &s.Reports[i]
		if statuses[there.Namespace] != nil || there.Labels[model.ManagedByLabel] != model.ManagedByValue {
			continue
		}
		err := v.g.writer.Remove(ctx, ownRef("MTLSReport", there.Namespace, there.Name), there.UID)
		v.g.metrics.wrote("MTLSReport", "Delete", err)
		if err != nil {
			v.log.Error(err, "removing what was verified", "namespace", there.Namespace)
		}
	}
}

// putOff says when each namespace may be verified again, though it waits for it.
func (v *verifier) putOff(r *verify.Report, now time.Time) {
	for i := range r.Namespaces {
		s := &r.Namespaces[i]
		next := retry{at: now.Add(lull)}
		if s.Light == verify.Red || s.Counts.Inconclusive > 0 {
			next.wait = min(max(retryFirst, 2*v.tried[s.Namespace].wait), max(v.options.Every, retryFirst))
			next.at = now.Add(next.wait)
		}
		v.tried[s.Namespace] = next
	}
}

// tell gives metrics what was seen. A verification of some namespaces leaves what was told of the others.
func (v *verifier) tell(r *verify.Report, all bool) {
	next := &wire{namespaces: map[string]verify.Summary{}, entries: r.Ledger.Entries, authorities: r.Authorities}
	if before := v.told.Load(); before != nil && !all {
		maps.Copy(next.namespaces, before.namespaces)
	}
	for i := range r.Namespaces {
		next.namespaces[r.Namespaces[i].Namespace] = r.Namespaces[i]
	}
	v.told.Store(next)
}

// unproven are the namespaces whose rollout waits for a verification.
func unproven(notes []rollout.Note) []string {
	var names []string
	for i := range notes {
		n := &notes[i]
		if n.Kind == rollout.Held && (n.Code == rollout.VerificationStale || n.Code == rollout.EvidenceMissing || n.Code == rollout.VerificationRed) && n.Layer != model.LayerPodSecurity {
			names = append(names, n.Namespace)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
