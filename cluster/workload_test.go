package cluster

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

const podSpec = `{serviceAccount: old, containers: [{name: a, image: x, ports: [{name: http, containerPort: 8080}], readinessProbe: {httpGet: {port: http}}}]}`

func template(indent int) string {
	pad := strings.Repeat(" ", indent)
	return pad + "template:\n" + pad + "  metadata: {labels: {app: a}, annotations: {note: x}}\n" + pad + "  spec: " + podSpec + "\n"
}

func head(apiVersion, kind string) string {
	return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: a, namespace: shop}\n", apiVersion, kind)
}

func TestEveryKindBecomesThePodsThatItWouldRun(t *testing.T) {
	selector := "  selector: {matchLabels: {app: a}}\n"
	for kind, c := range map[string]struct {
		text     string
		replicas int32
	}{
		"Deployment":            {head("apps/v1", "Deployment") + "spec:\n  replicas: 3\n" + selector + template(2), 3},
		"ReplicaSet":            {head("apps/v1", "ReplicaSet") + "spec:\n" + selector + template(2), 1},
		"StatefulSet":           {head("apps/v1", "StatefulSet") + "spec:\n  replicas: 0\n" + selector + template(2), 0},
		"DaemonSet":             {head("apps/v1", "DaemonSet") + "spec:\n" + selector + template(2), 1},
		"Job":                   {head("batch/v1", "Job") + "spec:\n  parallelism: 2\n" + template(2), 2},
		"CronJob":               {head("batch/v1", "CronJob") + "spec:\n  schedule: '* * * * *'\n  jobTemplate:\n    spec:\n" + template(6), 1},
		"ReplicationController": {head("v1", "ReplicationController") + "spec:\n  replicas: 2\n" + template(2), 2},
		"Pod":                   {"apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop, labels: {app: a}, annotations: {note: x}}\nspec: " + podSpec + "\n", 1},
	} {
		t.Run(kind, func(t *testing.T) {
			s := read(t, c.text)
			require.Len(t, s.Workloads, 1)
			w := s.Workloads[0]
			assert.Equal(t, model.WorkloadID{Namespace: "shop", Kind: kind, Name: "a"}, w.ID)
			assert.Equal(t, map[string]string{"app": "a"}, w.Labels)
			assert.Equal(t, map[string]string{"note": "x"}, w.Annotations)
			assert.Equal(t, metav1.LabelSelector{MatchLabels: map[string]string{"app": "a"}}, w.Selector)
			assert.Equal(t, "old", w.ServiceAccount)
			assert.Equal(t, c.replicas, w.Replicas)
			assert.False(t, w.Running)
			assert.Equal(t, []model.NamedPort{{Name: "http", Port: model.TCP(8080)}}, w.ContainerPorts())
			assert.Equal(t, map[string]string{"kubernetes.io/metadata.name": "shop"}, w.NamespaceLabels)
			assert.Equal(t, model.Source{File: "-", Document: 1, Line: 1}, w.Source)
			assert.Empty(t, s.Unknown)
		})
	}
}

func TestPodsAreDefaultedAsTheAPIServerWould(t *testing.T) {
	s := read(t, `apiVersion: v1
kind: Pod
metadata: {name: a}
spec:
  hostNetwork: true
  initContainers: [{name: i, image: x, ports: [{containerPort: 1}]}]
  containers:
  - name: a
    image: x
    ports: [{containerPort: 53, protocol: UDP}, {containerPort: 80, hostPort: 8080}]
    livenessProbe: {httpGet: {port: 80}}
    readinessProbe: {grpc: {port: 9}}
    startupProbe: {httpGet: {port: 80, path: /up, scheme: HTTPS}}
    lifecycle: {preStop: {httpGet: {port: 80}}}
`)
	spec := s.Workloads[0].Spec
	assert.Equal(t, "default", spec.ServiceAccountName)
	assert.Equal(t, corev1.RestartPolicyAlways, spec.RestartPolicy)
	assert.Equal(t, corev1.DNSClusterFirst, spec.DNSPolicy)
	assert.Nil(t, spec.SecurityContext)
	assert.Equal(t, []corev1.ContainerPort{{ContainerPort: 1, HostPort: 1, Protocol: "TCP"}}, spec.InitContainers[0].Ports)
	c := spec.Containers[0]
	assert.Equal(t, []corev1.ContainerPort{{ContainerPort: 53, HostPort: 53, Protocol: "UDP"}, {ContainerPort: 80, HostPort: 8080, Protocol: "TCP"}}, c.Ports)
	assert.Equal(t, corev1.URISchemeHTTP, c.LivenessProbe.HTTPGet.Scheme)
	assert.Equal(t, "/", c.LivenessProbe.HTTPGet.Path)
	assert.Equal(t, corev1.URISchemeHTTPS, c.StartupProbe.HTTPGet.Scheme)
	assert.Equal(t, "/up", c.StartupProbe.HTTPGet.Path)
	assert.Equal(t, "", *c.ReadinessProbe.GRPC.Service)
	assert.Equal(t, corev1.URISchemeHTTP, c.Lifecycle.PreStop.HTTPGet.Scheme)
}

func TestOlderVersionsAreUnknownKinds(t *testing.T) {
	s := read(t, head("apps/v1beta1", "Deployment")+"spec: {}\n---\n"+head("example.org/v1", "Thing")+"---\napiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yaml]\n")
	assert.Empty(t, s.Workloads)
	assert.Equal(t, map[string]int{"apps/v1beta1 Deployment": 1, "example.org/v1 Thing": 1, "kustomize.config.k8s.io/v1beta1 Kustomization": 1}, s.Unknown)
	assert.Equal(t, "shop", s.Namespaces[0].Name, "what lives in a namespace shows that it exists")
}

// dumped is an object as a server gives it, with its controller.
func dumped(apiVersion, kind, name, labels, owner, spec string) string {
	text := fmt.Sprintf("---\napiVersion: %s\nkind: %s\nmetadata:\n  name: %s\n  namespace: shop\n  uid: u-%s\n  labels: {%s}\n", apiVersion, kind, name, name, labels)
	if owner != "" {
		ownerKind, ownerName, _ := strings.Cut(owner, "/")
		text += fmt.Sprintf("  ownerReferences: [{apiVersion: apps/v1, kind: %s, name: %s, uid: x, controller: true}]\n", ownerKind, ownerName)
	}
	return text + spec
}

func dumpedSet(kind, name, labels, owner string, replicas int) string {
	return dumped("apps/v1", kind, name, labels, owner, fmt.Sprintf("spec:\n  replicas: %d\n  selector: {matchLabels: {%s}}\n  template:\n    metadata: {labels: {%s}}\n    spec: %s\n", replicas, labels, labels, podSpec))
}

func dumpedPod(name, labels, owner, phase string) string {
	return dumped("v1", "Pod", name, labels, owner, "spec: "+podSpec+"\nstatus: {phase: "+phase+"}\n")
}

func TestDumpsOfALiveClusterCountEachWorkloadOnce(t *testing.T) {
	const hash = "app: web, pod-template-hash: 5d4"
	web := dumpedSet("Deployment", "web", "app: web", "", 2)
	replicaSet := dumpedSet("ReplicaSet", "web-5d4", hash, "Deployment/web", 2)
	pods := dumpedPod("web-5d4-a", hash, "ReplicaSet/web-5d4", "Running") + dumpedPod("web-5d4-b", hash, "ReplicaSet/web-5d4", "Running")
	cron := dumped("batch/v1", "CronJob", "tidy", "", "", "spec: {schedule: '* * * * *', jobTemplate: {spec: {template: {metadata: {labels: {app: tidy}}, spec: "+podSpec+"}}}}\n")
	job := dumped("batch/v1", "Job", "tidy-29012345", "", "CronJob/tidy", "spec: {template: {metadata: {labels: {app: tidy}}, spec: "+podSpec+"}}\n")
	jobPod := dumpedPod("tidy-29012345-x", "app: tidy", "Job/tidy-29012345", "Running")
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"all of it":                         {pods + replicaSet + web, []string{"Deployment web 2"}},
		"without the ReplicaSet":            {web + pods, []string{"Deployment web 2"}},
		"without the Deployment":            {replicaSet + pods + dumpedSet("ReplicaSet", "web-777", "app: web, pod-template-hash: '777'", "Deployment/web", 0), []string{"Deployment web 2"}},
		"pods alone":                        {pods, []string{"ReplicaSet web-5d4 2"}},
		"pods of another Deployment":        {strings.ReplaceAll(web, "app: web", "app: other") + pods, []string{"Deployment web 2", "ReplicaSet web-5d4 2"}},
		"a CronJob with all of its":         {cron + job + jobPod, []string{"CronJob tidy 1"}},
		"a CronJob without the Job":         {cron + jobPod, []string{"CronJob tidy 1"}},
		"a Job whose CronJob is not there":  {job + jobPod, []string{"CronJob tidy 1"}},
		"pods that have ended":              {dumpedPod("a", "app: a", "", "Succeeded") + dumpedPod("b", "app: b", "Job/b", "Failed") + dumpedPod("c", "app: c", "", "Pending"), []string{"Pod c 1"}},
		"the kubelet's own pods":            {dumpedPod("etcd", "tier: x", "Node/n1", "Running") + dumpedPod("api", "tier: x", "Node/n1", "Running"), []string{"Pod api 1", "Pod etcd 1"}},
		"pods of an operator stay as such":  {dumpedPod("driver", "role: d", "SparkApplication/s", "Running") + dumpedPod("exec", "role: e", "SparkApplication/s", "Running"), []string{"Pod driver 1", "Pod exec 1"}},
		"revisions of a Rollout are one":    {dumpedSet("ReplicaSet", "r-1", "app: r", "Rollout/r", 1) + dumpedSet("ReplicaSet", "r-2", "app: r", "Rollout/r", 2), []string{"Rollout r 3"}},
		"a Pod that nobody controls":        {dumpedPod("a", "app: a", "", "Running"), []string{"Pod a 1"}},
		"the same name in another kind":     {dumpedSet("StatefulSet", "web", "app: web", "", 1) + dumpedPod("web-5d4-a", hash, "ReplicaSet/web-5d4", "Running"), []string{"StatefulSet web 1", "ReplicaSet web-5d4 1"}},
		"a Job that only looks like a cron": {cron + dumpedPod("p", "app: x", "Job/tidy-up", "Running"), []string{"CronJob tidy 1", "Job tidy-up 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, w := range read(t, c.text).Workloads {
				got = append(got, fmt.Sprintf("%s %s %d", w.ID.Kind, w.ID.Name, w.Replicas))
			}
			assert.Equal(t, c.want, got)
		})
	}
}

func TestOrphansAreFoundByWhatTheirNextPodsWillBear(t *testing.T) {
	s := read(t, dumpedPod("db-0", "app: db, statefulset.kubernetes.io/pod-name: db-0, controller-revision-hash: x", "StatefulSet/db", "Running")+
		dumpedPod("db-1", "app: db, statefulset.kubernetes.io/pod-name: db-1, controller-revision-hash: x", "StatefulSet/db", "Running"))
	require.Len(t, s.Workloads, 1)
	w := s.Workloads[0]
	assert.Equal(t, map[string]string{"app": "db"}, w.Labels)
	assert.Equal(t, metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}, w.Selector)
	assert.True(t, w.Running)
	assert.Equal(t, "apps/v1", w.APIVersion)
}
