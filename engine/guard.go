package engine

import (
	"fmt"
	"slices"
	"time"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/harden"
	"floe.dev/palisade/intent"
	"floe.dev/palisade/model"
)

// Guard tells which defaults the pods of each namespace are given. It does not change once made.
type Guard struct {
	namespaces map[string]*guarded
	// otherwise is for namespaces that no profile was read for, but those of the system; nil for none.
	otherwise *harden.Policy
	// keep says why tokens must stay; empty where they need not.
	keep string
}

// guarded is a namespace whose profile gives defaults.
type guarded struct {
	policy *harden.Policy
	// observed tells that the profile only observes.
	observed bool
	// exemptions are those of Pod Security, in the order of their names.
	exemptions []*v1alpha1.Exemption
}

// NewGuard prepares the defaults of all namespaces. Of a snapshot it reads the namespaces, profiles,
// exemptions, and what tells of the mesh and its control plane.
func NewGuard(s *Snapshot, given Given) *Guard {
	cluster, _ := intent.Facts(s, given)
	g := &Guard{namespaces: map[string]*guarded{}}
	g.keep = keepToken(&cluster)
	profiles := map[string]*v1alpha1.SecurityProfile{}
	policies := map[string]*harden.Policy{}
	for i := range s.Profiles {
		profiles[s.Profiles[i].Name] = &s.Profiles[i]
	}
	for namespace, governing := range intent.Governing(s, cluster) {
		if len(governing) != 1 {
			continue // where several tie, none of them governs
		}
		p := profiles[governing[0]]
		h := intent.HardeningOf(&p.Spec)
		if h.Empty() {
			continue
		}
		if policies[p.Name] == nil {
			policies[p.Name] = harden.NewPolicy(p.Name, h)
			policies[p.Name].KeepToken = g.keep
		}
		g.namespaces[namespace] = &guarded{policy: policies[p.Name], observed: p.Spec.Enforcement == v1alpha1.EnforcementObserve}
	}
	for i := range s.Exemptions {
		e := &s.Exemptions[i]
		if n := g.namespaces[e.Namespace]; n != nil {
			n.take(e)
		}
	}
	if len(s.Profiles) == 0 {
		g.giveAll()
	}
	return g
}

// giveAll gives the defaults of an empty securityContext and workload where no profile gives any, but for the namespaces of the system.
func (g *Guard) giveAll() {
	h := intent.HardeningOf(&v1alpha1.SecurityProfileSpec{SecurityContext: &v1alpha1.SecurityContextConfig{}, Workload: &v1alpha1.WorkloadPolicy{}})
	g.otherwise = harden.NewPolicy("default", h)
	g.otherwise.KeepToken = g.keep
}

// keepToken says why tokens must stay where Linkerd's proxies prove by them who they are (linkerd2 pkg/inject/report.go: it
// does not inject pods without a token unless it projects one of its own).
func keepToken(c *model.Cluster) string {
	if c.Mesh.Kind == model.MeshLinkerd && c.Mesh.Linkerd.NoTokenProjection {
		return "Linkerd projects no token of its own, and would leave the pod out of the mesh (identity.serviceAccountTokenProjection is off)"
	}
	return ""
}

// Fresh reads the Exemptions of a namespace as they are stored at this moment.
type Fresh func(namespace string) ([]v1alpha1.Exemption, error)

// Admit tells what a pod is given as it is admitted to a namespace; nothing where no profile that enforces gives defaults
// there. Exemptions count until the second at which they end. One that is so new that the guard does not know it counts as
// well: fresh, which may be nil, is asked before a security context is changed. Where it fails the error is
// returned beside what the guard knows.
func (g *Guard) Admit(namespace string, p *harden.Pod, now time.Time, fresh Fresh) (harden.Result, error) {
	n := g.namespaces[namespace]
	if n == nil || n.observed {
		return harden.Result{}, nil
	}
	p.Admitted = true
	exempt := n.exempt(p, now)
	r := n.policy.Apply(p, harden.Options{Exempt: exempt, Record: true})
	if exempt != "" || fresh == nil || !r.Security() {
		return r, nil
	}
	list, err := fresh(namespace)
	if err != nil || len(list) == 0 {
		return r, err
	}
	stored := &guarded{}
	for i := range list {
		stored.take(&list[i])
	}
	if exempt = stored.exempt(p, now); exempt != "" {
		r = n.policy.Apply(p, harden.Options{Exempt: exempt, Record: true})
	}
	return r, nil
}

// take keeps an Exemption of Pod Security.
func (n *guarded) take(e *v1alpha1.Exemption) {
	if slices.Contains(e.Spec.Layers, v1alpha1.LayerPodSecurity) {
		n.exemptions = append(n.exemptions, e)
	}
}

// exempt names the first Exemption in force for a pod; empty for none.
func (n *guarded) exempt(p *harden.Pod, now time.Time) string {
	if len(n.exemptions) == 0 {
		return ""
	}
	labels := p.Labels()
	for _, e := range n.exemptions {
		if now.Before(e.Spec.Expires.Time) && model.Matches(&e.Spec.Workloads, labels) {
			return "Exemption " + e.Namespace + "/" + e.Name
		}
	}
	return ""
}

// Answered is the answer to an AdmissionReview.
type Answered struct {
	// JSON is the review with its response.
	JSON []byte
	// Changed tells that the pod is changed.
	Changed bool
	// Unread is why the Exemptions of this moment could not be read, or nil; then those count that the guard knew.
	Unread error
}

// Answer answers the AdmissionReview of a pod that is created, appending to out; fresh is as in Admit. The
// error is harden.ErrNotJSON; what is no creation of a pod is let through.
func (g *Guard) Answer(out []byte, review string, now time.Time, fresh Fresh) (Answered, error) {
	r, err := harden.ReadReview(review)
	if err != nil {
		return Answered{}, fmt.Errorf("reading the AdmissionReview: %w", err)
	}
	var a Answered
	var result harden.Result
	if r.Creates() {
		result, a.Unread = g.Admit(r.Namespace, r.Pod, now, fresh)
	}
	a.JSON, a.Changed = harden.AppendAnswer(out, &r, result), len(result.Changes) > 0
	return a, nil
}
