package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/cluster"
	"floe.dev/palisade/model"
	"floe.dev/palisade/plan"
)

var proposedAt = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// whole judges a proposal on the cluster as a whole: what the batches together must come to.
func whole(p *Proposed) (breaks []string, notices []model.Problem) {
	was := run(p.before, p.basis.cluster, nil, p.options)
	is := run(p.after, p.basis.cluster, nil, p.options)
	m := peers(is.Model, Workloads)
	before, after, _ := States(m, was.Plan.After(m.Existing, false), is.Plan.After(m.Existing, false))
	for _, i := range plan.Impacts(m, before, after) {
		if i.Basis != plan.Possible {
			breaks = append(breaks, i.Describe())
		}
	}
	slices.Sort(breaks)
	return slices.Compact(breaks), p.fresh(noticesOf(was.Problems, was.Findings), noticesOf(is.Problems, is.Findings), is.Model)
}

// together is what all batches come to, as package admission puts it together.
func together(p *Proposed) (breaks []string, notices []model.Problem) {
	own := map[model.Problem]int{}
	for _, batch := range p.Batches {
		j := p.Judge(batch)
		for i := range j.Breaks {
			breaks = append(breaks, j.Breaks[i].Describe())
		}
		for _, n := range j.Notices {
			if n.Subject == p.Ref {
				own[n]++
			} else {
				notices = append(notices, n)
			}
		}
	}
	for n, times := range own {
		if times == len(p.Batches) {
			notices = append(notices, n)
		}
	}
	slices.Sort(breaks)
	return slices.Compact(breaks), unique(notices, model.CompareProblems)
}

// proposals are one for every object of palisade's own kinds in a snapshot: to delete it, and to
// create it where it is not there; and changes to each profile.
func proposals(s *Snapshot) map[string]Proposal {
	all := map[string]Proposal{}
	add := func(kind, name string, object any) {
		all["delete "+kind+" "+name] = Proposal{Old: object}
		all["create "+kind+" "+name] = Proposal{New: object}
	}
	for i := range s.Rules {
		r := &s.Rules[i]
		add("TrafficRule", r.Namespace+"/"+r.Name, r)
		narrowed := r.DeepCopy()
		narrowed.Spec.From = narrowed.Spec.From[:1]
		narrowed.Spec.To = metav1.LabelSelector{MatchLabels: map[string]string{"app": "nobody"}}
		all["change TrafficRule "+r.Namespace+"/"+r.Name] = Proposal{Old: r, New: narrowed}
	}
	for i := range s.ExternalAccess {
		add("ExternalAccess", s.ExternalAccess[i].Namespace+"/"+s.ExternalAccess[i].Name, &s.ExternalAccess[i])
	}
	for i := range s.Exemptions {
		add("Exemption", s.Exemptions[i].Namespace+"/"+s.Exemptions[i].Name, &s.Exemptions[i])
	}
	for i := range s.Profiles {
		p := &s.Profiles[i]
		add("SecurityProfile", p.Name, p)
		everywhere := p.DeepCopy()
		everywhere.Spec.NamespaceSelector = metav1.LabelSelector{}
		all["widen SecurityProfile "+p.Name] = Proposal{Old: p, New: everywhere}
		raised := p.DeepCopy()
		raised.Spec.PodSecurity.Enforce, raised.Spec.Mesh.Authorization = v1alpha1.LevelRestricted, v1alpha1.Disabled
		all["change SecurityProfile "+p.Name] = Proposal{Old: p, New: raised}
	}
	return all
}

// The batches see a part of the cluster each: together they must say what a look at all of it says.
func TestBatchesTogetherSayWhatTheWholeClusterSays(t *testing.T) {
	broken, noticed := 0, 0
	for _, c := range []struct{ folder, mesh string }{
		{"floe", "istio"}, {"floe", "none"}, {"floe", "linkerd"}, {"online-boutique", "istio"}, {"online-boutique", "linkerd"}, {"bookinfo", "none"},
	} {
		full, err := cluster.Read([]string{"../examples/" + c.folder}, nil, cluster.Options{})
		require.NoError(t, err)
		for name, p := range proposals(full) {
			t.Run(c.folder+" "+c.mesh+" "+name, func(t *testing.T) {
				s := full
				if p.Old == nil {
					s = lay(full, refOf(p.New), nil)
				}
				proposed := NewBasis(s, Given{Mesh: c.mesh}).Propose(p, Options{Now: proposedAt})
				wantBreaks, wantNotices := whole(proposed)
				breaks, notices := together(proposed)
				assert.Equal(t, wantBreaks, breaks)
				if len(proposed.Batches) > 0 {
					assert.ElementsMatch(t, wantNotices, notices)
				}
				broken, noticed = broken+len(breaks), noticed+len(notices)
			})
		}
	}
	assert.Positive(t, broken, "a comparison of nothing with nothing")
	assert.Positive(t, noticed)
}

// many is a cluster of more namespaces than one batch holds, each calling the next.
func many(t *testing.T, n int) *Snapshot {
	t.Helper()
	var b strings.Builder
	b.WriteString("apiVersion: palisade.floe.dev/v1alpha1\nkind: SecurityProfile\nmetadata: {name: all}\nspec: {namespaceSelector: {}, mesh: {mtls: Unmanaged}}\n")
	for i := range n {
		fmt.Fprintf(&b, `---
apiVersion: v1
kind: Namespace
metadata: {name: ns-%02[1]d}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: ns-%02[1]d}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec: {containers: [{name: c, image: c, ports: [{name: http, containerPort: 8080}], env: [{name: NEXT_URL, value: "http://app.ns-%02[2]d.svc:80"}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: app, namespace: ns-%02[1]d}
spec: {selector: {app: app}, ports: [{port: 80, targetPort: http}]}
`, i, (i+37)%n)
	}
	b.WriteString("---\napiVersion: v1\nkind: Service\nmetadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}\nspec: {clusterIP: 10.96.0.10, selector: {k8s-app: kube-dns}, ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53}]}\n")
	b.WriteString("---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: coredns, namespace: kube-system}\nspec:\n  selector: {matchLabels: {k8s-app: kube-dns}}\n  template:\n    metadata: {labels: {k8s-app: kube-dns}}\n    spec: {containers: [{name: c, image: c, ports: [{containerPort: 53, protocol: UDP}, {containerPort: 53}]}]}\n")
	s, err := cluster.Read([]string{"-"}, strings.NewReader(b.String()), cluster.Options{})
	require.NoError(t, err)
	return s
}

func TestManyBatchesTogetherSayWhatTheWholeClusterSays(t *testing.T) {
	s := many(t, 3*batchSize)
	free := lay(s, model.Ref{Kind: "SecurityProfile", Name: "all"}, nil)
	everybody := &v1alpha1.TrafficRule{ObjectMeta: metav1.ObjectMeta{Name: "all", Namespace: "ns-01"}}
	everybody.Spec.From = []v1alpha1.Client{{Pods: &v1alpha1.PodPeer{NamespaceSelector: &metav1.LabelSelector{}}}}
	nobody := everybody.DeepCopy()
	nobody.Spec.From[0].Pods.PodSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "nobody"}}
	for name, c := range map[string]struct {
		snapshot *Snapshot
		proposal Proposal
		batches  int
	}{
		"a profile of all":           {free, Proposal{New: &s.Profiles[0]}, 4},
		"a rule for everybody":       {s, Proposal{New: everybody}, 4},
		"a rule that matches nobody": {s, Proposal{New: nobody}, 4},
		"a rule for everybody, gone": {lay(s, refOf(everybody), everybody), Proposal{Old: everybody}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			p := NewBasis(c.snapshot, Given{Mesh: "none"}).Propose(c.proposal, Options{Now: proposedAt})
			assert.Len(t, p.Batches, c.batches)
			wantBreaks, wantNotices := whole(p)
			breaks, notices := together(p)
			assert.Equal(t, wantBreaks, breaks)
			assert.ElementsMatch(t, wantNotices, notices)
		})
	}
	p := NewBasis(free, Given{Mesh: "none"}).Propose(Proposal{New: &s.Profiles[0]}, Options{Now: proposedAt})
	breaks, _ := together(p)
	assert.Len(t, breaks, 3*batchSize, "every namespace calls another that its batch does not hold")
}

func TestAProposalLeavesItsSnapshotAlone(t *testing.T) {
	s := many(t, 3)
	before := fmt.Sprintf("%+v", s.Profiles)
	changed := s.Profiles[0].DeepCopy()
	changed.Spec.Enforcement = v1alpha1.EnforcementObserve
	p := NewBasis(s, Given{Mesh: "none"}).Propose(Proposal{Old: &s.Profiles[0], New: changed}, Options{Now: proposedAt})
	together(p)
	assert.Equal(t, before, fmt.Sprintf("%+v", s.Profiles))
	assert.Equal(t, v1alpha1.EnforcementObserve, changed.Spec.Enforcement)
}
