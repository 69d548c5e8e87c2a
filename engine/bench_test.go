package engine_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/intent"
	"floe.dev/palisade/mesh"
	"floe.dev/palisade/model"
	"floe.dev/palisade/netpol"
	"floe.dev/palisade/plan"
	"floe.dev/palisade/pss"
)

// The shape of the generated cluster: 1,000 namespaces with 10 workloads, 10
// Services and 30 rules each.
const (
	benchNamespaces = 1000
	benchWorkloads  = 10
	benchRules      = 30
)

// generate writes the cluster as a folder, a file a namespace.
func generate(b *testing.B, mesh string) string {
	b.Helper()
	folder := b.TempDir()
	control := map[string]string{"istio": istio + "\n---" + istioCNI, "linkerd": linkerd, "none": plainShop}[mesh]
	base := strings.Join([]string{facts, kubeDNS, profile, control}, "\n---\n")
	require.NoError(b, os.WriteFile(filepath.Join(folder, "base.yaml"), []byte(base), 0o600))
	for n := range benchNamespaces {
		f, err := os.Create(filepath.Join(folder, fmt.Sprintf("ns-%04d.yaml", n)))
		require.NoError(b, err)
		w := bufio.NewWriter(f)
		writeNamespace(w, n)
		require.NoError(b, w.Flush())
		require.NoError(b, f.Close())
	}
	return folder
}

func writeNamespace(w *bufio.Writer, n int) {
	_, _ = fmt.Fprintf(w, `apiVersion: v1
kind: Namespace
metadata:
  name: ns-%04d
  labels: {istio-injection: enabled}
  annotations: {linkerd.io/inject: enabled}
`, n)
	for i := range benchWorkloads {
		_, _ = fmt.Fprintf(w, `---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-%[2]d
  namespace: ns-%04[1]d
  labels: {app: app-%[2]d}
spec:
  replicas: 2
  selector:
    matchLabels: {app: app-%[2]d}
  template:
    metadata:
      labels: {app: app-%[2]d, version: v1}
    spec:
      serviceAccountName: app-%[2]d
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: app
        image: registry.example/app-%[2]d:1.%[1]d
        securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
        ports:
        - {name: http, containerPort: 8080}
        - {name: metrics, containerPort: 9090}
        readinessProbe: {httpGet: {path: /ready, port: http}}
        resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {cpu: 200m, memory: 128Mi}}
        env:
        - {name: NEXT, value: "app-%[3]d:80"}
---
apiVersion: v1
kind: Service
metadata:
  name: app-%[2]d
  namespace: ns-%04[1]d
spec:
  selector: {app: app-%[2]d}
  ports:
  - {name: http, port: 80, targetPort: http}
`, n, i, (i+1)%benchWorkloads)
	}
	for i := range benchRules {
		server, client := i%benchWorkloads, (i*7+i/benchWorkloads+1)%benchWorkloads
		peer := fmt.Sprintf("podSelector: {matchLabels: {app: app-%d}}", client)
		if i%benchRules == 0 { // one rule of a namespace lets another namespace in
			peer = fmt.Sprintf("namespace: ns-%04d, %s", (n+1)%benchNamespaces, peer)
		}
		_, _ = fmt.Fprintf(w, `---
apiVersion: palisade.floe.dev/v1alpha1
kind: TrafficRule
metadata:
  name: rule-%[2]d
  namespace: ns-%04[1]d
spec:
  to:
    matchLabels: {app: app-%[3]d}
  from:
  - pods: {%[4]s}
  ports:
  - port: %[5]s
`, n, i, server, peer, []string{"http", "metrics", "8080"}[i%3])
	}
}

// BenchmarkPlan is the main job as a whole, with the peak of the process's memory.
func BenchmarkPlan(b *testing.B) {
	for _, mesh := range []string{"none", "istio", "linkerd"} {
		b.Run(mesh, func(b *testing.B) {
			folder := generate(b, mesh)
			b.ResetTimer()
			var r engine.Result
			for range b.N {
				s, err := cluster.Read([]string{folder}, nil, cluster.Options{})
				require.NoError(b, err)
				r = engine.Run(s, engine.Options{Given: engine.Given{Mesh: mesh}, Now: noon, Impact: true})
			}
			b.StopTimer()
			b.ReportMetric(float64(len(r.Objects))/benchNamespaces, "objects/namespace")
			b.ReportMetric(float64(len(objectsOf(r, "NetworkPolicy")))/benchNamespaces, "networkpolicies/namespace")
			b.ReportMetric(peakMB(b), "peak-MB")
		})
	}
}

// peakMB is the largest resident size that this process ever had (VmHWM), in MB.
func peakMB(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(status) {
		var kb float64
		if n, _ := fmt.Sscanf(string(line), "VmHWM: %f kB", &kb); n == 1 {
			return kb / 1024
		}
	}
	return 0
}

// BenchmarkStages times each stage by itself, on the same cluster.
func BenchmarkStages(b *testing.B) {
	folder := generate(b, "istio")
	s, err := cluster.Read([]string{folder}, nil, cluster.Options{})
	require.NoError(b, err)
	facts, _ := intent.Facts(s, intent.Given{Mesh: "istio"})
	dialect := mesh.New(facts.Mesh, facts.Domain)
	m := intent.Resolve(s, facts, dialect, noon).Model
	linkerdFacts := facts.Mesh
	linkerdFacts.Kind, linkerdFacts.Namespace, linkerdFacts.TrustDomain = model.MeshLinkerd, "linkerd", "cluster.local"
	onLinkerd := facts
	onLinkerd.Mesh = linkerdFacts
	linkerdDialect := mesh.New(linkerdFacts, facts.Domain)
	lm := intent.Resolve(s, onLinkerd, linkerdDialect, noon).Model
	r := engine.Run(s, engine.Options{Given: engine.Given{Mesh: "istio"}, Now: noon})

	was, is, _ := engine.States(r.Model, r.Model.Existing, r.Plan.After(r.Model.Existing, true))
	stages := []struct {
		name string
		run  func()
	}{
		{"yaml-alone", func() { decodeAlone(b, folder) }}, // the common library, and nothing else: what Read is measured against
		{"read", func() {
			_, err := cluster.Read([]string{folder}, nil, cluster.Options{})
			require.NoError(b, err)
		}},
		{"intent", func() { intent.Resolve(s, facts, dialect, noon) }},
		{"netpol", func() { netpol.Compile(m) }},
		{"istio", func() { dialect.Compile(m) }},
		{"linkerd", func() { linkerdDialect.Compile(lm) }},
		{"pss", func() { pss.Compile(m); pss.Findings(m) }},
		{"impact", func() { plan.Impacts(r.Model, was, is) }},
		{"plan", func() { plan.Compute(m, r.Objects, r.Problems, r.Findings, nil) }},
	}
	for _, stage := range stages {
		b.Run(stage.name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				stage.run()
			}
		})
	}
}

// decodeAlone turns every document into a tree with sigs.k8s.io/yaml, on one goroutine.
func decodeAlone(b *testing.B, folder string) {
	b.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	require.NoError(b, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(b, err)
		for document := range bytes.SplitSeq(data, []byte("\n---")) {
			var tree map[string]any
			require.NoError(b, yaml.Unmarshal(document, &tree))
		}
	}
}
