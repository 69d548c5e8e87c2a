package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"floe.dev/palisade/model"
)

// step is one stage up for one layer, while its gates are asked.
type step struct {
	*work
	layer int
	goal  model.Stage
}

// enforces tells whether the step may refuse something that is let through now.
func (s *step) enforces() bool { return s.goal == model.StageEnforce }

// meshes tells whether the mesh is to refuse, by who calls.
func (s *step) meshes() bool { return s.enforces() && (s.layer == mtls || s.layer == authorization) }

// traffic tells whether connections may be refused; Pod Security only refuses pods.
func (s *step) traffic() bool { return s.enforces() && s.layer != podSecurity }

// gate is a condition of a step. It says what is in the way, or nothing.
type gate struct {
	asked func(*step) bool
	// check is empty where the gate is open. Unknown is never empty.
	check func(*step) (code, waits string)
}

func always(*step) bool { return true }

// gates are asked in this order; the first that is closed holds the step.
var gates = []gate{
	// What a person must decide, and what only time does.
	{always, failedBefore},
	// What is there is what the memory says, all of it.
	{always, written},
	// The intent could be worked out for the layer.
	{always, workedOut},
	// Workloads are well, or a fault afterwards could not be told from one before.
	{always, ready},
	// So is what was verified, for the same reason.
	{func(s *step) bool { return s.layer != podSecurity }, notRed},
	// The stage before has stood for the soak time.
	{always, soaked},
	// Layers that must come first.
	{always, inOrder},
	// Nothing that is declared, or named by a client, would break, and nothing of the intent stays closed.
	{(*step).enforces, foreseen},
	// Every pod is in the hands of the mesh, and every client of declared flows.
	{(*step).meshes, captured},
	{(*step).meshes, clientsCaptured},
	// No pod or template would be refused by the level that is demanded.
	{func(s *step) bool { return s.enforces() && s.layer == podSecurity }, podSecurityClean},
	// The mesh noted nothing that it would have refused, for the soak time.
	{(*step).leavesAudit, auditClean},
	// What is there holds on the wire.
	{(*step).traffic, onTheWire},
}

// closed is the first gate that holds the step; empty where none does.
func (s *step) closed() (code, waits string) {
	for i := range gates {
		if gates[i].asked(s) {
			if code, waits = gates[i].check(s); waits != "" {
				return code, waits
			}
		}
	}
	return "", ""
}

func failedBefore(s *step) (code, waits string) {
	l := &s.to.layers[s.layer]
	switch {
	case l.Failures >= mostFailures:
		return NeedsRelease, fmt.Sprintf("it was taken back %d times: a person must let it try again, by another value of the annotation %s on the namespace", l.Failures, AnnotationRelease)
	case s.p.now.Before(l.RetryAt):
		return BackingOff, fmt.Sprintf("it was taken back %s; the next try is at %s", plural(l.Failures, "time"), clock(l.RetryAt))
	default:
		return "", ""
	}
}

func written(s *step) (code, waits string) {
	if s.seen == nil {
		return EvidenceMissing, "nothing is known of the namespace at the moment"
	}
	if _, all := s.to.settled(); !all || !s.seen.Settled {
		return NotWritten, "the objects of the present stage are not all in the cluster yet"
	}
	return "", ""
}

func workedOut(s *step) (code, waits string) {
	if s.p.m.IsHeld(s.name, layers[s.layer]) {
		return LayerHeld, "what the layer needs is not known; the problems of the namespace say what is missing"
	}
	return "", ""
}

func ready(s *step) (code, waits string) {
	switch r := s.seen.Ready; {
	case r == nil:
		return EvidenceMissing, "it is not known whether the workloads are ready"
	case len(r.Unready) > 0:
		return WorkloadsUnready, "not ready: " + plural(len(r.Unready), "workload") + some(workloadNames(r.Unready), len(r.Unready))
	default:
		return "", ""
	}
}

func notRed(s *step) (code, waits string) {
	if v := s.seen.Verification; v != nil && v.Result == Red {
		return VerificationRed, "the last verification failed" + some(v.Failed, 0)
	}
	return "", ""
}

func soaked(s *step) (code, waits string) {
	l := &s.to.layers[s.layer]
	if until := l.Since.Add(s.soak()); soaks(l.Stage) && s.p.now.Before(until) {
		return Soaking, fmt.Sprintf("%s soaks until %s", l.Stage, clock(until))
	}
	return "", ""
}

// inOrder: authorization goes by identities, which mTLS has to prove first.
// Linkerd has one switch for both, a Server; there they are enforced together.
func inOrder(s *step) (code, waits string) {
	if !s.meshes() || s.tops[authorization] != model.StageEnforce || s.tops[mtls] == model.StageObserve {
		return "", ""
	}
	behind := s.to.stage(mtls).Rank() < s.tops[mtls].Rank()
	switch {
	case s.layer == mtls && s.linkerd():
		if s.to.stage(authorization) != model.StageEnforce && s.next(authorization) != model.StageEnforce {
			return WaitsForLayer, "Linkerd enforces mTLS and authorization together, and that is to be audited first"
		}
	case s.layer == authorization && s.linkerd():
		if behind && s.next(mtls) != s.tops[mtls] {
			return WaitsForLayer, "Linkerd enforces mTLS and authorization together, and mTLS is not that far"
		}
	case s.layer == authorization && behind:
		return WaitsForLayer, "authorization goes by identities: mTLS comes first"
	}
	return "", ""
}

func foreseen(s *step) (code, waits string) {
	if s.layer == podSecurity {
		return "", "" // its own dry run says more
	}
	f, known := s.seen.Foreseen[layers[s.layer]]
	switch {
	case !known:
		return EvidenceMissing, "it is not known what it would break"
	case f.Problems > 0:
		return ProblemsLeft, plural(f.Problems, "error") + " among the problems of the layer: parts of the intent would stay closed" + some(f.Names, 0)
	case f.Breaks > 0:
		return BreakPredicted, plural(f.Breaks, "connection") + " in use would break" + some(f.Names, 0)
	default:
		return "", ""
	}
}

// captured: every workload of the namespace is in the mesh, and the mesh holds its
// pods, but for workloads that an Exemption keeps from mTLS as a whole.
func captured(s *step) (code, waits string) {
	if s.seen.Capture == nil {
		return EvidenceMissing, "it is not known whether the mesh holds every pod"
	}
	var missing []string
	workloads := s.p.m.WorkloadsIn(s.name)
	for i := range workloads {
		w := &workloads[i]
		if outside := !w.Facts.Meshed() || w.Facts.Outside != "" || slices.Contains(s.seen.Capture.Missing, w.ID); outside && !relaxed(w) {
			missing = append(missing, w.ID.String())
		}
	}
	if len(missing) > 0 {
		return PodsNotCaptured, "the mesh does not hold " + plural(len(missing), "workload") + " of the namespace" + some(missing, 0)
	}
	return "", ""
}

// relaxed tells whether an Exemption keeps a whole workload from mTLS.
func relaxed(w *model.Workload) bool {
	return slices.ContainsFunc(w.Relaxed, func(r model.Relaxation) bool { return r.Layer == model.LayerMTLS && r.Ports == nil })
}

// clientsCaptured: a server refuses who brings no identity, so every client of
// the flows to it must bring one, in whatever namespace it is.
func clientsCaptured(s *step) (code, waits string) {
	var missing []string
	unknown := ""
	for _, f := range s.p.callersOf(s.name) {
		if f.Plaintext || !s.refuses(f) {
			continue
		}
		for _, id := range f.Client.Workloads {
			if id.Namespace == s.name {
				continue // its own are asked for by captured
			}
			client := s.p.m.Workload(id)
			seen, known := s.p.e.Namespaces[id.Namespace]
			switch {
			case client == nil:
			case !client.Facts.Meshed():
				missing = append(missing, id.String())
			case !known || seen.Capture == nil:
				unknown = id.Namespace
			case slices.Contains(seen.Capture.Missing, id):
				missing = append(missing, id.String())
			}
		}
	}
	slices.Sort(missing)
	missing = slices.Compact(missing)
	switch {
	case len(missing) > 0:
		return ClientsNotCaptured, "the mesh does not hold " + plural(len(missing), "client") + " of the namespace's servers" + some(missing, 0)
	case unknown != "":
		return EvidenceMissing, "it is not known whether the mesh holds the pods of namespace " + unknown + ", whence clients call"
	default:
		return "", ""
	}
}

// refuses tells whether some server of a flow in the namespace will ask its clients for an identity.
func (s *step) refuses(f *model.Flow) bool {
	return slices.ContainsFunc(f.Server.Workloads, func(id model.WorkloadID) bool {
		if id.Namespace != s.name {
			return false
		}
		server := s.p.m.Workload(id)
		return server != nil && server.Facts.Meshed() && !server.ExemptsAll(layers[s.layer], f.Ports) && !ofProxy(server, f.Ports)
	})
}

// ofProxy tells whether all of the ports are the proxy's own metrics ports, which ask nobody for an identity.
func ofProxy(server *model.Workload, ports []model.Port) bool {
	return len(ports) > 0 && !slices.ContainsFunc(ports, func(p model.Port) bool { return !slices.Contains(server.Facts.MetricsPorts, p) })
}

func podSecurityClean(s *step) (code, waits string) {
	wanted := &s.posture.PodSecurity
	run := s.seen.PodSecurity
	switch {
	case run == nil:
		return EvidenceMissing, "it is not known which pods the level would refuse"
	case run.Level != wanted.Enforce || run.Version != wanted.EnforceVersion:
		return EvidenceMissing, fmt.Sprintf("the dry run is of level %q, not of %q", run.Level, wanted.Enforce)
	case run.Refused > 0:
		return PodSecurityRefuses, fmt.Sprintf("level %s would refuse %d of the pods and templates%s", wanted.Enforce, run.Refused, some(run.Names, run.Refused))
	default:
		return "", ""
	}
}

func (s *step) leavesAudit() bool {
	return s.layer == authorization && s.to.stage(authorization) == model.StageAudit
}

func auditClean(s *step) (code, waits string) {
	since := s.to.layers[authorization].Since
	if last := s.p.now.Add(-s.soak()); last.After(since) {
		since = last // what was mended before then is over
	}
	switch a := s.seen.Audit; {
	case a == nil:
		return EvidenceMissing, "it is not known what the mesh noted that it would refuse"
	case a.From.After(since):
		return EvidenceMissing, fmt.Sprintf("what the mesh noted is known only since %s, not since %s", clock(a.From), clock(since))
	case a.Violations > 0:
		return AuditViolations, fmt.Sprintf("the mesh noted %s that enforcing would refuse%s", plural(a.Violations, "connection"), some(a.Names, 0))
	default:
		return "", ""
	}
}

// freshness is how old a verification may be.
const freshness = time.Hour

func onTheWire(s *step) (code, waits string) {
	since, _ := s.to.settled()
	return s.verified(since)
}

// verified asks for a verification that is green, and younger than what it is to prove. Where the
// profile does without, only one that failed counts.
func (w *work) verified(since time.Time) (code, waits string) {
	v := w.seen.Verification
	if w.posture != nil && w.posture.Rollout.Unverified && (v == nil || v.Result != Red) {
		return "", ""
	}
	switch {
	case v == nil:
		return EvidenceMissing, "nothing was verified on the wire: there is no MTLSReport that tells of it (palisade verify --store makes one; spec.rollout.verification Optional does without)"
	case v.Result == NotApplicable && v.Began.IsZero(): // there is no mesh
		return "", ""
	}
	if waits := w.outdated(v, since); waits != "" {
		return VerificationStale, waits
	}
	switch {
	case v.Result == Red:
		return VerificationRed, "the last verification failed" + some(v.Failed, 0)
	case v.Result != Green && v.Result != NotApplicable:
		return EvidenceMissing, "the last verification could not tell" + some(v.Failed, 0)
	default:
		return "", ""
	}
}

// outdated says why a verification is not of now, or not of what it is to prove; empty where it is.
func (w *work) outdated(v *Verification, since time.Time) string {
	switch {
	case v.Began.After(w.p.now.Add(time.Minute)):
		return "the last verification lies ahead of the clock"
	case !since.IsZero() && v.Began.Before(since.Add(time.Second)):
		return "the last verification is older than what it has to prove, which was written by " + clock(since)
	case w.p.now.Sub(v.Began) > freshness:
		return "the last verification is older than an hour"
	default:
		return ""
	}
}

// callersOf are the flows whose servers are in a namespace.
func (p *planner) callersOf(namespace string) []*model.Flow {
	if p.callers == nil {
		p.callers = map[string][]*model.Flow{}
		for i := range p.m.Flows {
			f := &p.m.Flows[i]
			last := ""
			for _, id := range f.Server.Workloads { // sorted by namespace
				if id.Namespace != last {
					last = id.Namespace
					p.callers[last] = append(p.callers[last], f)
				}
			}
		}
	}
	return p.callers[namespace]
}

// String names a step: "MTLS Permissive → Enforce".
func (s *step) String() string {
	return strings.Join([]string{string(layers[s.layer]), string(s.to.stage(s.layer)), "→", string(s.goal)}, " ")
}
