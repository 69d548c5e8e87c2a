package controller

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"
)

// object is an object as it goes over the wire.
type object = unstructured.Unstructured

// The resources that the tests look at.
var (
	networkPolicies = schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"}
	namespaceKind   = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	postures        = own("namespacepostures")
	profiles        = own("securityprofiles")
	rules           = own("trafficrules")
	accesses        = own("externalaccesses")
	exemptions      = own("exemptions")
	reports         = own("mtlsreports")
	deployments     = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	eventKind       = schema.GroupVersionResource{Group: "events.k8s.io", Version: "v1", Resource: "events"}
)

func own(resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "palisade.floe.dev", Version: "v1alpha1", Resource: resource}
}

// lab is the cluster as one test sees it.
type lab struct {
	testing.TB
	client     dynamic.Interface
	kubernetes *kubernetes.Clientset
	mapper     meta.RESTMapper
	// name is the test's own: its namespaces begin with it, its profiles select by the label lab.
	name       string
	namespaces []string
}

var labs struct {
	sync.Mutex
	count int
}

// newLab prepares a test. What it wrote is gone at its end.
func newLab(t *testing.T) *lab {
	t.Helper()
	l := newLabFor(t)
	l.apply(platform)
	t.Cleanup(l.clear)
	return l
}

func newLabFor(t testing.TB) *lab {
	t.Helper()
	labs.Lock()
	labs.count++
	l := &lab{TB: t, name: fmt.Sprintf("lab%d", labs.count)}
	labs.Unlock()
	var err error
	l.client, err = dynamic.NewForConfig(plane.Config)
	require.NoError(t, err)
	l.kubernetes, err = kubernetes.NewForConfig(plane.Config)
	require.NoError(t, err)
	d, err := discovery.NewDiscoveryClientForConfig(plane.Config)
	require.NoError(t, err)
	l.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(d))
	return l
}

// platform is what palisade must find in a cluster: a resolver.
const platform = `
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec:
  clusterIP: 10.96.0.10
  selector: {k8s-app: kube-dns}
  ports:
  - {name: dns, port: 53, protocol: UDP, targetPort: 53}
  - {name: dns-tcp, port: 53, protocol: TCP, targetPort: 53}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: coredns, namespace: kube-system}
spec:
  selector: {matchLabels: {k8s-app: kube-dns}}
  template:
    metadata: {labels: {k8s-app: kube-dns}}
    spec:
      containers:
      - {name: coredns, image: "registry.example/coredns:1", ports: [{name: dns, containerPort: 53, protocol: UDP}, {name: dns-tcp, containerPort: 53, protocol: TCP}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: palisade-system}
`

// apply writes objects as kubectl apply --server-side would. LAB stands for the test's own name.
func (l *lab) apply(text string) []*object {
	l.Helper()
	var list []*object
	for _, part := range strings.Split(strings.ReplaceAll(text, "LAB", l.name), "\n---\n") {
		o := &object{}
		require.NoError(l, yaml.Unmarshal([]byte(part), &o.Object), part)
		if len(o.Object) == 0 {
			continue
		}
		there, err := l.tryApply(o)
		require.NoError(l, err, part)
		list = append(list, there)
	}
	return list
}

func (l *lab) tryApply(o *object) (*object, error) {
	l.Helper()
	data, err := o.MarshalJSON()
	require.NoError(l, err)
	force := true
	return l.resource(o).Patch(context.Background(), o.GetName(), types.ApplyPatchType, data, metav1.PatchOptions{FieldManager: "kubectl", Force: &force})
}

func (l *lab) resource(o *object) dynamic.ResourceInterface {
	l.Helper()
	kind := o.GroupVersionKind()
	mapping, err := l.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	require.NoError(l, err)
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return l.client.Resource(mapping.Resource)
	}
	return l.client.Resource(mapping.Resource).Namespace(o.GetNamespace())
}

// namespace makes a namespace that the test's profiles select, and returns its full name.
func (l *lab) namespace(suffix string, labels ...string) string {
	l.Helper()
	name := l.name + "-" + suffix
	l.apply(fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {%s}}", name, strings.Join(append([]string{"lab: " + l.name}, labels...), ", ")))
	l.namespaces = append(l.namespaces, name)
	return name
}

// in looks into a resource.
func (l *lab) in(r schema.GroupVersionResource, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return l.client.Resource(r)
	}
	return l.client.Resource(r).Namespace(namespace)
}

// get is an object, or nil where there is none.
func (l *lab) get(r schema.GroupVersionResource, namespace, name string) *object {
	l.Helper()
	o, err := l.in(r, namespace).Get(context.Background(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	require.NoError(l, err)
	return o
}

func (l *lab) list(r schema.GroupVersionResource, namespace string) []object {
	l.Helper()
	list, err := l.in(r, namespace).List(context.Background(), metav1.ListOptions{})
	require.NoError(l, err)
	return list.Items
}

func (l *lab) names(r schema.GroupVersionResource, namespace string) []string {
	l.Helper()
	var names []string
	for _, o := range l.list(r, namespace) {
		names = append(names, o.GetName())
	}
	return names
}

func (l *lab) patch(r schema.GroupVersionResource, namespace, name, merge string, subresources ...string) {
	l.Helper()
	_, err := l.in(r, namespace).Patch(context.Background(), name, types.MergePatchType, []byte(merge), metav1.PatchOptions{FieldManager: "somebody"}, subresources...)
	require.NoError(l, err)
}

func (l *lab) delete(r schema.GroupVersionResource, namespace, name string) {
	l.Helper()
	now := int64(0)
	err := l.in(r, namespace).Delete(context.Background(), name, metav1.DeleteOptions{GracePeriodSeconds: &now})
	if !apierrors.IsNotFound(err) {
		require.NoError(l, err)
	}
}

// finalize ends a namespace that is being deleted, as the namespace controller would, which does not run here.
func (l *lab) finalize(name string) {
	l.Helper()
	ctx := context.Background()
	for _, r := range []schema.GroupVersionResource{networkPolicies, postures, rules, accesses, exemptions, reports, deployments} {
		for _, o := range l.list(r, name) {
			l.delete(r, name, o.GetName())
		}
	}
	there, err := l.kubernetes.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return
	}
	require.NoError(l, err)
	there.Spec.Finalizers = nil
	_, err = l.kubernetes.CoreV1().Namespaces().Finalize(ctx, there, metav1.UpdateOptions{})
	require.NoError(l, err)
}

// clear removes what the test wrote.
func (l *lab) clear() {
	for _, o := range l.list(profiles, "") {
		if strings.HasPrefix(o.GetName(), l.name) {
			l.delete(profiles, "", o.GetName())
		}
	}
	for _, name := range l.namespaces {
		l.delete(namespaceKind, "", name)
		l.finalize(name)
	}
}

// eventually waits until a condition holds, which says what is missing, and returns how long that took.
func (l *lab) eventually(most time.Duration, missing func() string) time.Duration {
	l.Helper()
	began := time.Now()
	for {
		what := missing()
		took := time.Since(began)
		if what == "" {
			return took
		}
		if took > most {
			require.FailNow(l, "not within "+most.String(), what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// governed says what a namespace lacks until it is governed: its posture is Ready.
func (l *lab) governed(namespace string) func() string {
	return l.condition(postures, namespace, "posture", "Ready", "True")
}

// condition says what an object lacks until a condition of it has a status.
func (l *lab) condition(r schema.GroupVersionResource, namespace, name, kind, status string) func() string {
	return func() string {
		l.Helper()
		o := l.get(r, namespace, name)
		if o == nil {
			return r.Resource + " " + namespace + "/" + name + " is not there"
		}
		c := conditionOf(o, kind)
		if c["status"] == status {
			return ""
		}
		return fmt.Sprintf("%s %s/%s: %s is not %s: %v", r.Resource, namespace, name, kind, status, o.Object["status"])
	}
}

func conditionOf(o *object, kind string) map[string]any {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == kind {
			return c
		}
	}
	return nil
}

// process is a running controller.
type process struct {
	l       *lab
	command *exec.Cmd
	log     *lockedBuffer
	done    chan struct{}
}

type lockedBuffer struct {
	sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.Lock()
	defer b.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.Lock()
	defer b.Unlock()
	return b.buffer.String()
}

// controller starts a controller; it ends with the test.
func (l *lab) controller(args ...string) *process {
	l.Helper()
	return l.controllerAt(plane.Kubeconfig, args...)
}

func (l *lab) controllerAt(kubeconfig string, args ...string) *process {
	l.Helper()
	all := []string{"controller", "--kubeconfig", kubeconfig, "--log-format", "text", "--log-level", "debug"}
	for flag, value := range map[string]string{"--mesh": "none", "--metrics-bind-address": "0", "--health-probe-bind-address": "0", "--leader-elect": "false"} {
		if !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, flag+"=") }) {
			all = append(all, flag+"="+value)
		}
	}
	p := &process{l: l, command: exec.Command(binary, append(all, args...)...), log: &lockedBuffer{}, done: make(chan struct{})}
	p.command.Stderr, p.command.Stdout = p.log, p.log
	require.NoError(l, p.command.Start())
	go func() {
		_ = p.command.Wait()
		close(p.done)
	}()
	l.Cleanup(func() {
		p.stop()
		if l.Failed() {
			l.Logf("the log of the controller:\n%s", p.log)
		}
	})
	return p
}

// stop ends the controller in order.
func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.kill()
		p.l.Errorf("the controller did not end in 20 s")
	}
}

// kill ends it on the spot.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	<-p.done
}

// plain is a profile for the test's namespaces, without a mesh and without soaking.
const plain = `
apiVersion: palisade.floe.dev/v1alpha1
kind: SecurityProfile
metadata: {name: LAB}
spec:
  enforcement: Enforce
  namespaceSelector: {matchLabels: {lab: LAB}}
  podSecurity: {enforce: baseline}
  rollout: {soak: 0s, maxNamespaces: 1000}
`

// save keeps a text where a test may look for it.
func save(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}
