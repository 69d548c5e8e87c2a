package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

// size is how large a cluster is; PALISADE_NAMESPACES sets it, 1,000 where it does not.
func size(b *testing.B) int {
	b.Helper()
	if text := os.Getenv("PALISADE_NAMESPACES"); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(b, err)
		return n
	}
	return 1000
}

// crowded is a namespace with two Deployments of five pods each, and five rules.
func crowded(name, next string) []string {
	parts := []string{"apiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + ", labels: {lab: scale}}"}
	for _, app := range []string{"web", "api"} {
		template := fmt.Sprintf(`
  metadata: {labels: {app: %[1]s, app.kubernetes.io/part-of: shop, app.kubernetes.io/version: "1.4.2", pod-template-hash: 5d4f6c7b8}}
  spec:
    serviceAccountName: %[1]s
    securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
    nodeSelector: {kubernetes.io/os: linux}
    tolerations: [{key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 300}]
    containers:
    - name: app
      image: registry.example/shop/%[1]s:1.4.2
      ports: [{name: http, containerPort: 8080}, {name: metrics, containerPort: 9090}]
      env: [{name: API_ADDR, value: "http://api:80"}, {name: LOG_LEVEL, value: info}, {name: REGION, value: eu-1}, {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
      resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {memory: 256Mi}}
      readinessProbe: {httpGet: {path: /ready, port: http}, periodSeconds: 10}
      livenessProbe: {httpGet: {path: /live, port: http}, periodSeconds: 10}
      securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
      volumeMounts: [{name: tmp, mountPath: /tmp}, {name: config, mountPath: /etc/shop}]
    volumes: [{name: tmp, emptyDir: {}}, {name: config, configMap: {name: shop}}]`, app)
		deployment := fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: %[1]s, namespace: %[2]s}\nspec:\n replicas: 5\n selector: {matchLabels: {app: %[1]s}}\n template:%[3]s",
			app, name, strings.Replace(template, ", pod-template-hash: 5d4f6c7b8", "", 1))
		parts = append(parts, deployment)
		for i := range 5 {
			pod := strings.Replace(template, "\n  metadata: {", fmt.Sprintf(
				"metadata: {name: %[1]s-5d4f6c7b8-%05[2]d, namespace: %[3]s, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: %[1]s-5d4f6c7b8, uid: 11111111-2222-3333-4444-555555555555, controller: true}], ", app, i, name), 1)
			parts = append(parts, "apiVersion: v1\nkind: Pod\n"+strings.ReplaceAll(strings.Replace(pod, "\n  spec:", "\nspec:", 1), "\n    ", "\n  "))
		}
	}
	for i, from := range []string{"{pods: {podSelector: {matchLabels: {app: web}}}}", "{pods: {namespace: " + next + "}}", "{preset: Prometheus}"} {
		parts = append(parts, rule(name, fmt.Sprintf("api-%d", i), "api", from, 8080))
	}
	for i, from := range []string{"{pods: {podSelector: {matchLabels: {app: api}}}}", "{pods: {namespace: " + next + ", podSelector: {matchLabels: {app: web}}}}"} {
		parts = append(parts, rule(name, fmt.Sprintf("web-%d", i), "web", from, 8080))
	}
	return parts
}

func rule(namespace, name, app, from string, port int) string {
	return fmt.Sprintf("apiVersion: palisade.floe.dev/v1alpha1\nkind: TrafficRule\nmetadata: {name: %s, namespace: %s}\nspec: {to: {matchLabels: {app: %s}}, from: [%s], ports: [{port: %d}]}", name, namespace, app, from, port)
}

// fill writes a crowded cluster, as fast as the server takes it.
func fill(b *testing.B, namespaces int) {
	b.Helper()
	l := benchLab(b)
	l.apply(platform)
	l.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: monitoring}")
	work := make(chan []string)
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for parts := range work {
				for _, part := range parts {
					l.create(part)
				}
			}
		})
	}
	for i := range namespaces {
		work <- crowded(fmt.Sprintf("scale-%d", i), fmt.Sprintf("scale-%d", (i+1)%namespaces))
	}
	close(work)
	workers.Wait()
}

type benchCluster struct {
	*lab
	client dynamic.Interface
}

func benchLab(b *testing.B) *benchCluster {
	b.Helper()
	l := newLabFor(b)
	return &benchCluster{lab: l, client: l.client}
}

// create posts one object; a Deployment is available from the beginning.
func (c *benchCluster) create(text string) {
	o := &object{}
	require.NoError(c, yaml.Unmarshal([]byte(text), &o.Object), text)
	_, err := c.resource(o).Create(context.Background(), o, metav1.CreateOptions{})
	require.NoError(c, err, text)
	if o.GetKind() == "Deployment" {
		status := `{"status": {"observedGeneration": 1, "replicas": 5, "readyReplicas": 5, "availableReplicas": 5, "conditions": [{"type": "Available", "status": "True"}]}}`
		_, err := c.resource(o).Patch(context.Background(), o.GetName(), types.MergePatchType, []byte(status), metav1.PatchOptions{}, "status")
		require.NoError(c, err)
	}
}

// scaleProfile governs the crowded cluster, all of it at once.
const scaleProfile = `
apiVersion: palisade.floe.dev/v1alpha1
kind: SecurityProfile
metadata: {name: scale}
spec:
  namespaceSelector: {matchLabels: {lab: scale}}
  network: {prometheus: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]}
  podSecurity: {enforce: restricted}
  rollout: {soak: 0s, maxNamespaces: 1000}
`

// ready counts the namespaces whose posture is Ready.
func (c *benchCluster) ready() int {
	list, err := c.lab.client.Resource(postures).List(context.Background(), metav1.ListOptions{ResourceVersion: "0"})
	require.NoError(c, err)
	count := 0
	for i := range list.Items {
		if conditionOf(&list.Items[i], "Ready")["status"] == "True" {
			count++
		}
	}
	return count
}

// written are the writes that a controller has made, by kind and action.
func written(b *testing.B, address string) (map[string]int, int) {
	b.Helper()
	writes, all := map[string]int{}, 0
	for _, m := range regexp.MustCompile(`palisade_writes_total\{action="(\w+)",kind="(\w+)",result="ok"\} (\S+)`).FindAllStringSubmatch(readURL(b, address), -1) {
		n, err := strconv.ParseFloat(m[3], 64)
		require.NoError(b, err)
		writes[m[2]+" "+m[1]] = int(n)
		all += int(n)
	}
	return writes, all
}

// peak is the most memory that a process has had, in MiB.
func (p *process) peak(field string) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	require.NoError(p.l, err)
	for _, line := range strings.Split(string(text), "\n") {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			require.NoError(p.l, err)
			return float64(kib) / 1024
		}
	}
	return 0
}

// BenchmarkConverge governs 1,000 namespaces with 10,000 pods and 5,000 rules that are in use already, stage by stage;
// begins anew with nothing to write; and changes one rule after another.
func BenchmarkConverge(b *testing.B) {
	namespaces := size(b)
	began := time.Now()
	fill(b, namespaces)
	b.Logf("%d namespaces, %d pods, %d rules were written in %s", namespaces, 10*namespaces, 5*namespaces, time.Since(began).Round(time.Second))
	const metrics, pprof = "127.0.0.1:18090", "127.0.0.1:18091"
	for b.Loop() {
		c := benchLab(b)
		p := c.controller("--metrics-bind-address="+metrics, "--pprof-bind-address="+pprof, "--log-level=info")
		time.Sleep(10 * time.Second) // it has read the cluster, and waits
		b.Logf("before there is a profile: %.0f MiB, at most %.0f", p.peak("VmRSS"), p.peak("VmHWM"))
		began = time.Now()
		c.apply(scaleProfile)
		c.eventually(15*time.Minute, func() string {
			time.Sleep(500 * time.Millisecond)
			if n := c.ready(); n < namespaces {
				return fmt.Sprintf("%d of %d", n, namespaces)
			}
			return ""
		})
		b.ReportMetric(time.Since(began).Seconds(), "s-to-converge")
		time.Sleep(5 * time.Second)
		writes, all := written(b, "http://"+metrics+"/metrics")
		b.ReportMetric(p.peak("VmHWM"), "MiB-peak")
		b.ReportMetric(float64(all), "writes")
		b.Logf("converged in %s with %v; %.0f MiB now, at most %.0f", time.Since(began).Round(time.Second), writes, p.peak("VmRSS"), p.peak("VmHWM"))
		c.oneRule(b, "http://"+metrics+"/metrics", namespaces)
		p.stop()
		p = c.controller("--metrics-bind-address="+metrics, "--log-level=info")
		time.Sleep(20 * time.Second)
		_, again := written(b, "http://"+metrics+"/metrics")
		b.ReportMetric(float64(again), "writes-when-begun-anew")
		b.ReportMetric(p.peak("VmHWM"), "MiB-peak-anew")
		p.stop()
	}
}

// oneRule changes one rule after another, and measures until its policies are changed.
func (c *benchCluster) oneRule(b *testing.B, metrics string, namespaces int) {
	b.Helper()
	_, before := written(b, metrics)
	var took []time.Duration
	const times = 50
	for i := range times {
		home := fmt.Sprintf("scale-%d", i*7%namespaces)
		port := 20000 + i
		began := time.Now()
		patch, err := json.Marshal(map[string]any{"spec": map[string]any{"ports": []any{map[string]any{"port": port}}}})
		require.NoError(b, err)
		c.patch(rules, home, "api-0", string(patch))
		for {
			text, err := json.Marshal(c.list(networkPolicies, home))
			require.NoError(b, err)
			if strings.Contains(string(text), strconv.Itoa(port)) {
				break
			}
			require.Less(b, time.Since(began), time.Minute)
			time.Sleep(5 * time.Millisecond)
		}
		took = append(took, time.Since(began))
	}
	time.Sleep(5 * time.Second)
	_, after := written(b, metrics)
	slices.Sort(took)
	b.ReportMetric(took[times/2].Seconds(), "s-a-rule-p50")
	b.ReportMetric(took[times*99/100].Seconds(), "s-a-rule-p99")
	b.ReportMetric(float64(after-before)/times, "writes-a-rule")
}
