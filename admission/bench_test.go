package admission

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
)

// The shape of the generated cluster: 1,000 namespaces, 10,000 workloads with a pod each, 10,000 rules, and all that palisade writes for them.
const (
	benchNamespaces = 1000
	benchWorkloads  = 10
)

func benchNamespace(b *strings.Builder, n int) {
	fmt.Fprintf(b, "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: ns-%04d, labels: {team: t%d}}\n", n, n%100)
	for i := range benchWorkloads {
		fmt.Fprintf(b, `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app-%[2]d, namespace: ns-%04[1]d}
spec:
  selector: {matchLabels: {app: app-%[2]d}}
  template:
    metadata: {labels: {app: app-%[2]d}, annotations: {sidecar.istio.io/inject: "true"}}
    spec:
      serviceAccountName: app-%[2]d
      containers: [{name: app, image: registry.example/app, ports: [{name: http, containerPort: 8080}], env: [{name: NEXT_URL, value: "http://app-%[3]d.ns-%04[4]d.svc:80/v1"}]}]
---
apiVersion: v1
kind: Service
metadata: {name: app-%[2]d, namespace: ns-%04[1]d}
spec: {selector: {app: app-%[2]d}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: palisade.floe.dev/v1alpha1
kind: TrafficRule
metadata: {name: rule-%[2]d, namespace: ns-%04[1]d}
spec: {to: {matchLabels: {app: app-%[2]d}}, from: [{pods: {namespace: ns-%04[5]d, podSelector: {matchLabels: {app: app-%[6]d}}}}], ports: [{port: http}]}
`, n, i, (i+1)%benchWorkloads, (n+i%3)%benchNamespaces, (n+benchNamespaces-i%3)%benchNamespaces, (i+benchWorkloads-1)%benchWorkloads)
	}
}

// benchSnapshot is a cluster to which its profile was applied.
func benchSnapshot(b *testing.B, mesh string) *engine.Snapshot {
	b.Helper()
	var text strings.Builder
	text.WriteString(clusterFacts + profileOfTeams)
	for n := range benchNamespaces {
		benchNamespace(&text, n)
	}
	s, err := cluster.Read([]string{"-"}, strings.NewReader(text.String()), cluster.Options{})
	require.NoError(b, err)
	for i := range s.Workloads {
		pod := s.Workloads[i]
		pod.Owner, pod.Running = pod.ID, true
		pod.ID = model.WorkloadID{Namespace: pod.ID.Namespace, Kind: "Pod", Name: pod.ID.Name + "-0"}
		s.Pods = append(s.Pods, pod)
	}
	r := engine.Run(s, engine.Options{Given: engine.Given{Mesh: mesh}, Now: noon})
	for i := range r.Plan.Changes {
		if c := &r.Plan.Changes[i]; c.Desired != nil && c.Ref.Kind != "Namespace" {
			s.Objects = append(s.Objects, *c.Desired)
		}
	}
	return s
}

// Benchmark answers requests as a server does, one at a time. "judged" is the share of the namespaces
// concerned that were judged in the time that there is.
func Benchmark(b *testing.B) {
	for _, mesh := range []string{"none", "istio"} {
		s := benchSnapshot(b, mesh)
		for _, c := range []struct {
			name  string
			fresh bool
			make  func(i int) engine.Proposal
		}{
			{"rule", false, func(i int) engine.Proposal { return engine.Proposal{New: benchRule(i, "ns-0007")} }},
			{"rule-new-snapshot", true, func(i int) engine.Proposal { return engine.Proposal{New: benchRule(i, "ns-0007")} }},
			{"rule-from-everywhere", false, func(i int) engine.Proposal { return engine.Proposal{New: benchRule(i, "")} }},
			{"rule-deleted", false, func(i int) engine.Proposal { return engine.Proposal{Old: &s.Rules[i%len(s.Rules)]} }},
			{"profile-of-10", false, func(int) engine.Proposal { return engine.Proposal{New: benchProfile("t5")} }},
			{"profile-of-1000", false, func(int) engine.Proposal {
				changed := s.Profiles[0].DeepCopy()
				changed.Spec.Network.KubeletProbes = v1alpha1.Disabled
				return engine.Proposal{Old: &s.Profiles[0], New: changed}
			}},
			{"profile-deleted", false, func(int) engine.Proposal { return engine.Proposal{Old: &s.Profiles[0]} }},
		} {
			b.Run(mesh+"/"+c.name, func(b *testing.B) { benchmark(b, s, mesh, c.fresh, c.make) })
		}
	}
}

func benchmark(b *testing.B, s *engine.Snapshot, mesh string, fresh bool, propose func(int) engine.Proposal) {
	b.ReportAllocs()
	o := Options{Namespace: "palisade-system", Given: engine.Given{Mesh: mesh}, Clock: func() time.Time { return noon }, Log: logr.Discard()}
	latest := s
	o.Snapshot = func() (*engine.Snapshot, bool) { return latest, true }
	require.NoError(b, o.complete())
	f := newForecaster(&o)
	f.warn(context.Background(), propose(0))
	var slowest time.Duration
	judged, total := 0, 0
	cpu := processorTime(b)
	b.ResetTimer()
	for i := range b.N {
		if fresh {
			again := *s
			latest = &again
		}
		out := &forecast{}
		start := time.Now()
		f.within(context.Background(), propose(i), out)
		slowest = max(slowest, time.Since(start))
		out.lock.Lock()
		judged, total = judged+out.namespaces, total+out.total
		out.lock.Unlock()
		b.StopTimer()
		f.lane <- struct{}{} // what goes on after the answer is not counted to the next
		<-f.lane
		b.StartTimer()
	}
	b.ReportMetric(float64((processorTime(b)-cpu).Milliseconds())/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(slowest.Milliseconds()), "slowest-ms")
	b.ReportMetric(float64(judged)/float64(max(total, 1)), "judged")
}

// processorTime is what this process has used of its processors, whatever else runs there.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func benchRule(i int, client string) *v1alpha1.TrafficRule {
	r := &v1alpha1.TrafficRule{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("new-%d", i), Namespace: fmt.Sprintf("ns-%04d", i%benchNamespaces)}}
	pods := &v1alpha1.PodPeer{Namespace: client}
	if client == "" {
		pods.NamespaceSelector = &metav1.LabelSelector{}
	}
	r.Spec = v1alpha1.TrafficRuleSpec{From: []v1alpha1.Client{{Pods: pods}}, Ports: []v1alpha1.RulePort{{Port: portOf(8080)}}}
	return r
}

func benchProfile(team string) *v1alpha1.SecurityProfile {
	p := &v1alpha1.SecurityProfile{ObjectMeta: metav1.ObjectMeta{Name: "team"}}
	p.Spec.Priority = 10
	p.Spec.NamespaceSelector.MatchLabels = map[string]string{"team": team}
	p.Spec.Enforcement, p.Spec.Mesh.MTLS = v1alpha1.EnforcementEnforce, v1alpha1.MTLSStrict
	return p
}
