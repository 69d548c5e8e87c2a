package engine_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/intent"
	"floe.dev/palisade/model"
)

// noon is when these tests judge exemptions.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// runYAML takes manifests through the whole engine, as the command line would.
func runYAML(t *testing.T, given engine.Given, manifests ...string) engine.Result {
	t.Helper()
	s, err := cluster.Read([]string{"-"}, strings.NewReader(strings.Join(manifests, "\n---\n")), cluster.Options{})
	require.NoError(t, err)
	return engine.Run(s, engine.Options{Given: given, Now: noon})
}

// runPaths does the same for files and folders.
func runPaths(t *testing.T, given engine.Given, paths ...string) engine.Result {
	t.Helper()
	return engine.Run(read(t, paths...), engine.Options{Given: given, Now: noon})
}

func read(t *testing.T, paths ...string) *intent.Snapshot {
	t.Helper()
	s, err := cluster.Read(paths, strings.NewReader(""), cluster.Options{})
	require.NoError(t, err)
	return s
}

// sharedInput is the path of a real input that is not part of this repository; the test is skipped without it.
func sharedInput(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join("..", "..", "shared", "inputs", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is not here: it is not part of the repository", path)
	}
	return path
}

// objectsOf returns the objects of a kind, in order.
func objectsOf(r engine.Result, kind string) []model.Object {
	return slices.DeleteFunc(slices.Clone(r.Objects), func(o model.Object) bool { return o.Ref().Kind != kind })
}

// typed decodes an object into an API type.
func typed[T any](t *testing.T, o model.Object) *T {
	t.Helper()
	into := new(T)
	require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Tree, into, true), "%s", o.Ref())
	return into
}

func policies(t *testing.T, r engine.Result) []*networkingv1.NetworkPolicy {
	t.Helper()
	var all []*networkingv1.NetworkPolicy
	for _, o := range objectsOf(r, "NetworkPolicy") {
		all = append(all, typed[networkingv1.NetworkPolicy](t, o))
	}
	return all
}

// wire is an independent judge of NetworkPolicies: cyclonus.
type wire struct {
	policy *matcher.Policy
	model  *model.Model
}

func wireOf(t *testing.T, r engine.Result) wire {
	t.Helper()
	return wire{policy: matcher.BuildNetworkPolicies(false, policies(t, r)), model: r.Model}
}

// pod makes a traffic peer of a workload, or of an address.
func (w wire) peer(t *testing.T, name string) *matcher.TrafficPeer {
	t.Helper()
	for i := range w.model.Workloads {
		load := &w.model.Workloads[i]
		if load.ID.Namespace+"/"+load.ID.Name == name {
			return &matcher.TrafficPeer{IP: "10.244.0.99", Internal: &matcher.InternalPeer{
				PodLabels: load.Labels, NamespaceLabels: load.NamespaceLabels, Namespace: load.ID.Namespace,
			}}
		}
	}
	require.NotContains(t, name, "/", "no such workload")
	return &matcher.TrafficPeer{IP: name}
}

// allows asks whether a packet from one workload (or address) to another passes.
func (w wire) allows(t *testing.T, from, to string, port model.Port) bool {
	t.Helper()
	return w.policy.IsTrafficAllowed(&matcher.Traffic{
		Source: w.peer(t, from), Destination: w.peer(t, to), ResolvedPort: int(port.Number), Protocol: port.Protocol,
	}).IsAllowed()
}

// calls lists every allowed call between workloads of a namespace as "from → to:port", over all ports that any workload declares.
func (w wire) calls(t *testing.T, namespace string) []string {
	t.Helper()
	workloads := w.model.WorkloadsIn(namespace)
	ports := map[model.Port]bool{}
	for i := range workloads {
		for _, p := range workloads[i].ContainerPorts() {
			ports[p.Port] = true
		}
	}
	var found []string
	for i := range workloads {
		for j := range workloads {
			if i == j {
				continue
			}
			for _, port := range slices.SortedFunc(maps.Keys(ports), model.ComparePorts) {
				from, to := workloads[i].ID, workloads[j].ID
				if w.allows(t, from.Namespace+"/"+from.Name, to.Namespace+"/"+to.Name, port) {
					found = append(found, call(from.Name, to.Name, port))
				}
			}
		}
	}
	slices.Sort(found)
	return found
}

func call(from, to string, port model.Port) string {
	return from + " → " + to + ":" + strings.TrimSuffix(port.String(), "/"+string(corev1.ProtocolTCP))
}

func problemCodes(r engine.Result) []string {
	var codes []string
	for _, p := range r.Problems {
		codes = append(codes, p.Code)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

func findingCodes(r engine.Result) []string {
	var codes []string
	for _, f := range r.Findings {
		codes = append(codes, f.Code)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}
