package istio

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// Audit reports faults of a mesh's objects, whoever wrote them and whatever
// anybody intends: policies that nothing enforces, that are read otherwise than
// they are meant, or that name nobody. The reader is that of the state which is audited.
func Audit(r *Reader) []model.Finding {
	a := &auditor{Reader: r, objects: map[model.Ref]*model.Object{}, selected: map[*authorizationPolicy][]*model.Workload{}, pods: r.m.PodsByOwner()}
	for i := range r.m.Existing {
		a.objects[r.m.Existing[i].Ref()] = &r.m.Existing[i]
	}
	for i := range r.m.Workloads {
		a.choose(a.atBest(&r.m.Workloads[i]))
	}
	a.peerAuthentications()
	a.eachPolicy(func(p *authorizationPolicy) {
		a.selectsNothing(p)
		a.dryRun(p)
		a.meshWide(p)
		a.httpOnZtunnel(p)
		a.httpOnTCP(p)
		a.namesNobody(p)
		a.targetsWithoutWaypoint(p)
	})
	a.waypointLabels()
	a.serverFirst()
	slices.SortFunc(a.findings, model.CompareFindings)
	return slices.Compact(a.findings)
}

// auditor gathers findings about one state.
type auditor struct {
	*Reader
	objects map[model.Ref]*model.Object
	// selected are the workloads whose own proxies heed a policy, in the order of the model.
	selected map[*authorizationPolicy][]*model.Workload
	pods     map[model.WorkloadID][]*model.Workload
	// read are the ServiceAccounts that were read, once somebody has asked.
	read     map[string]bool
	findings []model.Finding
}

func (a *auditor) find(code string, severity model.Severity, subject model.Ref, field, message, fix string) {
	a.findings = append(a.findings, model.NewFinding(code, severity, subject, field, message, fix))
}

// atBest is a workload as its pods in the mesh run, if there are any.
func (a *auditor) atBest(w *model.Workload) *model.Workload { return model.AtBest(w, a.pods[w.ID]) }

// choose notes the policies that a workload's proxy heeds. Waypoints heed none by selector.
func (a *auditor) choose(w *model.Workload) {
	if !w.Facts.Meshed() {
		return
	}
	for _, p := range a.policiesFor(w) {
		if len(p.spec.TargetRefs) == 0 && isWaypoint(w) {
			continue
		}
		a.selected[p] = append(a.selected[p], w)
	}
}

// eachPolicy visits the AuthorizationPolicies that can be read and that are not palisade's own, in order.
func (a *auditor) eachPolicy(visit func(*authorizationPolicy)) {
	var all []*authorizationPolicy
	for _, list := range a.policies {
		for i := range list {
			if p := &list[i]; !p.unreadable && !a.owned(p.ref) {
				all = append(all, p)
			}
		}
	}
	slices.SortFunc(all, func(x, y *authorizationPolicy) int { return model.CompareRefs(x.ref, y.ref) })
	for _, p := range all {
		visit(p)
	}
}

func (a *auditor) owned(ref model.Ref) bool { return a.objects[ref] != nil && a.objects[ref].Owned() }

// wholeCluster tells whether what was read is likely all of a cluster, so that what is not there is nowhere.
func (a *auditor) wholeCluster() bool {
	n := a.m.Namespace("kube-system")
	return n != nil && (n.Declared || len(a.m.WorkloadsIn(n.Name)) > 0)
}

// runsIn tells whether any workload of a namespace was read.
func (a *auditor) runsIn(namespace string) bool { return len(a.m.WorkloadsIn(namespace)) > 0 }

// enrolmentKnown tells whether enough was read to say that a workload is outside of the mesh: itself, or the labels of its namespace.
func (a *auditor) enrolmentKnown(w *model.Workload) bool {
	n := a.m.Namespace(w.ID.Namespace)
	return w.Running || w.Facts.Meshed() || n != nil && n.Declared || w.Labels[injectLabel] != "" || w.Labels[dataplaneLabel] != "" || w.Annotations[injectLabel] != ""
}

// runsGateway tells whether a workload is Istio's own gateway.
func runsGateway(w *model.Workload) bool {
	return !isWaypoint(w) && isGateway(w)
}

// quoted is labels as a selector writes them.
func quoted(labels map[string]string) string {
	var parts []string
	for key, value := range labels {
		parts = append(parts, key+"="+value)
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// hasLateLabel tells whether some label of a selector may be on pods though not on their template.
func hasLateLabel(labels map[string]string) bool {
	for key := range labels {
		if model.LateLabel(key) {
			return true
		}
	}
	return false
}

// portsOf lists ports for a message.
func portsOf(ports []int32) string {
	parts := make([]string, len(ports))
	for i, p := range ports {
		parts[i] = itoa(int(p))
	}
	noun := "port "
	if len(ports) != 1 {
		noun = "ports "
	}
	return noun + strings.Join(parts, ", ")
}

// serviceWithLabels finds a Service that bears some labels, though no pod does: it is the usual slip.
func (a *auditor) serviceWithLabels(namespace string, labels map[string]string) string {
	for i := range a.m.Services {
		if s := &a.m.Services[i]; (namespace == "" || s.Namespace == namespace) && selects(labels, s.Labels) {
			return fmt.Sprintf("; Service %s/%s bears these labels, but its pods do not", s.Namespace, s.Name)
		}
	}
	return ""
}

// lets is the action of a policy in words that fit "it … nobody".
func (p *authorizationPolicy) lets() string {
	return cmp.Or(map[string]string{"DENY": "refuses"}[p.spec.Action], "lets in")
}
