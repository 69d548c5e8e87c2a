package engine_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/intent"
	"floe.dev/palisade/model"
	"floe.dev/palisade/plan"
	"floe.dev/palisade/rollout"
)

// crowdedNamespace has two Deployments of five pods each, and five rules.
func crowdedNamespace(out *strings.Builder, name, next string) {
	fmt.Fprintf(out, "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {lab: scale}}\n---\n", name)
	for _, app := range []string{"web", "api"} {
		spec := fmt.Sprintf(`serviceAccountName: %[1]s, securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}},
 containers: [{name: app, image: "registry.example/shop/%[1]s:1.4.2", ports: [{name: http, containerPort: 8080}, {name: metrics, containerPort: 9090}],
  env: [{name: API_ADDR, value: "http://api:80"}, {name: LOG_LEVEL, value: info}], readinessProbe: {httpGet: {path: /ready, port: http}},
  securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]`, app)
		fmt.Fprintf(out, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: %[1]s, namespace: %[2]s}\nspec: {replicas: 5, selector: {matchLabels: {app: %[1]s}}, template: {metadata: {labels: {app: %[1]s}}, spec: {%[3]s}}}\n---\n", app, name, spec)
		for i := range 5 {
			fmt.Fprintf(out, "apiVersion: v1\nkind: Pod\nmetadata: {name: %[1]s-5d4f6c7b8-%[4]d, namespace: %[2]s, uid: id-1, labels: {app: %[1]s, pod-template-hash: 5d4f6c7b8}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: %[1]s-5d4f6c7b8, uid: id-2, controller: true}]}\nspec: {%[3]s}\nstatus: {phase: Running}\n---\n", app, name, spec, i)
		}
	}
	for i, from := range []string{"podSelector: {matchLabels: {app: web}}", "namespace: " + next, "podSelector: {matchLabels: {app: api}}"} {
		fmt.Fprintf(out, "apiVersion: palisade.floe.dev/v1alpha1\nkind: TrafficRule\nmetadata: {name: api-%d, namespace: %s}\nspec: {to: {matchLabels: {app: api}}, from: [{pods: {%s}}], ports: [{port: 8080}]}\n---\n", i, name, from)
	}
	for i, from := range []string{"podSelector: {matchLabels: {app: api}}", "namespace: " + next + ", podSelector: {matchLabels: {app: web}}"} {
		fmt.Fprintf(out, "apiVersion: palisade.floe.dev/v1alpha1\nkind: TrafficRule\nmetadata: {name: web-%d, namespace: %s}\nspec: {to: {matchLabels: {app: web}}, from: [{pods: {%s}}], ports: [{port: 8080}]}\n---\n", i, name, from)
	}
}

// crowdedCluster is a cluster of so many such namespaces, which are in use already.
func crowdedCluster(b *testing.B, namespaces int) *intent.Snapshot {
	b.Helper()
	folder := b.TempDir()
	base := strings.Join([]string{facts, kubeDNS, `
apiVersion: palisade.floe.dev/v1alpha1
kind: SecurityProfile
metadata: {name: scale}
spec:
  namespaceSelector: {matchLabels: {lab: scale}}
  podSecurity: {enforce: baseline}
  rollout: {soak: 0s, maxNamespaces: 1000}
`}, "\n---\n")
	require.NoError(b, os.WriteFile(filepath.Join(folder, "base.yaml"), []byte(base), 0o600))
	for i := range namespaces {
		var out strings.Builder
		crowdedNamespace(&out, fmt.Sprintf("scale-%d", i), fmt.Sprintf("scale-%d", (i+1)%namespaces))
		require.NoError(b, os.WriteFile(filepath.Join(folder, fmt.Sprintf("n%d.yaml", i)), []byte(out.String()), 0o600))
	}
	s, err := cluster.Read([]string{folder}, nil, cluster.Options{DefaultNamespace: "default"})
	require.NoError(b, err)
	s.Sources = nil // a running cluster has none
	return s
}

// heapPeak runs something, and returns how much the heap grew at the most, in MiB.
func heapPeak(do func()) float64 {
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	most := before.HeapAlloc
	stop, stopped := make(chan struct{}), sync.WaitGroup{}
	stopped.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
				var now runtime.MemStats
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapAlloc)
			}
		}
	})
	do()
	close(stop)
	stopped.Wait()
	return float64(most-before.HeapAlloc) / (1 << 20)
}

// labelled puts the labels on Namespaces that a plan asks for.
func labelled(objects []model.Object, changes []plan.Change) []model.Object {
	wanted := map[string]*model.Object{}
	for i := range changes {
		if c := &changes[i]; c.Ref.Kind == "Namespace" {
			wanted[c.Ref.Name] = c.Desired
		}
	}
	for i := range objects {
		o := &objects[i]
		desired := wanted[o.Ref().Name]
		if o.Ref().Kind != "Namespace" || desired == nil {
			continue
		}
		labels := map[string]any{}
		maps.Copy(labels, o.Map("metadata", "labels"))
		maps.Copy(labels, desired.Map("metadata", "labels"))
		meta := maps.Clone(o.Map("metadata"))
		meta["labels"] = labels
		tree := maps.Clone(o.Tree)
		tree["metadata"] = meta
		o.Tree = tree
	}
	return objects
}

// BenchmarkGovern takes 1,000 namespaces with 10,000 pods and 5,000 rules from nothing to
// enforced, as the controller does, with a cluster that takes every write at once.
func BenchmarkGovern(b *testing.B) {
	namespaces := 1000
	if text := os.Getenv("PALISADE_NAMESPACES"); text != "" {
		namespaces, _ = strconv.Atoi(text)
	}
	snapshot := crowdedCluster(b, namespaces)
	given := snapshot.Objects
	for b.Loop() {
		snapshot.Objects = given
		now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
		past := engine.Past{Memory: rollout.Memory{}}
		var longest time.Duration
		peak := heapPeak(func() {
			for run := 1; run < 40; run++ {
				began := time.Now()
				turn := engine.Govern(snapshot, engine.Options{Given: engine.Given{Mesh: "none"}, Now: now}, past)
				took := time.Since(began)
				longest = max(longest, took)
				b.Logf("run %d: %s, %d changes", run, took.Round(time.Millisecond), len(turn.Plan.Changes))
				done := len(turn.Plan.Changes) == 0
				for _, n := range turn.Memory {
					done = done && n.Watch == nil
				}
				past = turn.Past
				if done {
					b.ReportMetric(float64(run), "runs")
					return
				}
				snapshot.Objects = labelled(turn.Plan.After(snapshot.Objects, false), turn.Plan.Changes)
				now = now.Add(time.Second)
			}
		})
		b.ReportMetric(longest.Seconds(), "s-longest-run")
		b.ReportMetric(peak, "MiB-peak")
	}
}

// BenchmarkGovernSettled is one run in such a cluster in which all is done: what each change of anything costs first.
func BenchmarkGovernSettled(b *testing.B) {
	snapshot := crowdedCluster(b, 1000)
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	past := engine.Past{Memory: rollout.Memory{}}
	changes := 1
	for run := 0; run < 40 && changes > 0; run++ {
		turn := engine.Govern(snapshot, engine.Options{Given: engine.Given{Mesh: "none"}, Now: now}, past)
		past, changes = turn.Past, len(turn.Plan.Changes)
		snapshot.Objects = labelled(turn.Plan.After(snapshot.Objects, false), turn.Plan.Changes)
		now = now.Add(time.Second)
	}
	require.Zero(b, changes)
	for b.Loop() {
		past = engine.Govern(snapshot, engine.Options{Given: engine.Given{Mesh: "none"}, Now: now}, past).Past
		now = now.Add(time.Second)
	}
}
