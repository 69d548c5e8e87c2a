package apiserver

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// inputs are manifests of others, which not every clone stands beside.
var inputs = filepath.Join(root, "../shared/inputs")

// The facts of a cluster and of its Istio, without applications.
var (
	cluster = []string{filepath.Join(root, "examples/online-boutique/cluster.yaml")}
	istio   = filepath.Join(root, "examples/online-boutique/istio.yaml")
)

// TestServerTakesWhatIsRenderedAndNothingIsLeftToPlan walks the whole way: the
// manifests are in the cluster, what palisade renders of them is applied, and
// palisade, reading the cluster back, finds nothing to do.
func TestServerTakesWhatIsRenderedAndNothingIsLeftToPlan(t *testing.T) {
	example := func(name string) []string {
		return []string{filepath.Join(root, "examples", name), filepath.Join(inputs, name)}
	}
	cases := []struct {
		name  string
		paths []string
		mesh  string
		// kinds must be among what is rendered, lest a case prove nothing.
		kinds []string
	}{
		{"floe/istio", []string{filepath.Join(root, "examples/floe")}, "istio", []string{"Namespace", "NetworkPolicy", "PeerAuthentication", "AuthorizationPolicy", "Sidecar"}},
		{"floe/none", []string{filepath.Join(root, "examples/floe")}, "none", []string{"Namespace", "NetworkPolicy"}},
		{"online-boutique/istio", example("online-boutique"), "istio", []string{"Namespace", "NetworkPolicy", "PeerAuthentication", "AuthorizationPolicy"}},
		{"online-boutique/linkerd", example("online-boutique"), "linkerd", []string{"Namespace", "NetworkPolicy", "Server", "AuthorizationPolicy", "MeshTLSAuthentication"}},
		{"online-boutique/none", example("online-boutique"), "none", []string{"Namespace", "NetworkPolicy"}},
		{"bookinfo/istio", example("bookinfo"), "istio", []string{"Namespace", "NetworkPolicy", "PeerAuthentication", "AuthorizationPolicy"}},
		{"bookinfo/linkerd", example("bookinfo"), "linkerd", []string{"Namespace", "NetworkPolicy", "Server", "AuthorizationPolicy", "MeshTLSAuthentication"}},
		{"bookinfo/none", example("bookinfo"), "none", []string{"Namespace", "NetworkPolicy"}},
		{"linkerd-2-18-http", append(cluster, filepath.Join(root, "examples/online-boutique/linkerd.yaml"), "testdata/linkerd-http.yaml"), "linkerd", []string{"Server", "HTTPRoute", "AuthorizationPolicy"}},
		{"linkerd-2-14-http", append(cluster, "testdata/linkerd-2-14.yaml", "testdata/linkerd-http.yaml"), "linkerd", []string{"Server", "HTTPRoute", "AuthorizationPolicy"}},
		{"ambient", append(cluster, istio, "testdata/ambient.yaml"), "istio", []string{"NetworkPolicy", "PeerAuthentication", "AuthorizationPolicy", "Gateway"}},
		{"budgets", append(cluster, "testdata/budgets.yaml"), "none", []string{"NetworkPolicy", "PodDisruptionBudget"}},
		{"proxyless", append(cluster, istio, "testdata/proxyless.yaml"), "istio", []string{"NetworkPolicy", "PeerAuthentication", "AuthorizationPolicy", "DestinationRule"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for _, path := range c.paths {
				if _, err := os.Stat(path); err != nil {
					t.Skipf("%s is not here: it is no part of the repository", path)
				}
			}
			roundTrip(t, c.paths, c.mesh, c.kinds)
		})
	}
}

func roundTrip(t *testing.T, paths []string, mesh string, kinds []string) {
	s := newServer(t)
	s.given(t, read(t, paths))
	args := []string{"--mesh", mesh, "--fail-on", "never"}
	for _, path := range paths {
		args = append(args, "-f", path)
	}
	rendered := palisade(t, append([]string{"render"}, args...)...)
	objects := decode(t, []byte(rendered.out))
	found := map[string]bool{}
	for _, o := range objects {
		found[o.GetKind()] = true
	}
	for _, kind := range kinds {
		require.True(t, found[kind], "no %s is rendered:\n%s", kind, rendered.notes)
	}

	t.Run("a dry run is taken without warnings", func(t *testing.T) { s.applyAll(t, objects, true) })
	if t.Failed() {
		return
	}
	var versions map[string]string
	t.Run("it is taken in the order of the file", func(t *testing.T) { versions = s.applyAll(t, objects, false) })
	t.Run("applied again it changes nothing", func(t *testing.T) {
		assert.Equal(t, versions, s.applyAll(t, objects, false))
	})
	t.Run("beside the manifests nothing is left to plan", func(t *testing.T) {
		assertNothingToPlan(t, append(args, "-f", write(t, "dump.json", s.dump(t, objects))))
	})
	t.Run("the cluster alone renders the same", func(t *testing.T) {
		alone := []string{"--mesh", mesh, "--fail-on", "never", "-f", write(t, "dump.json", s.dump(t, s.written))}
		assertNothingToPlan(t, alone)
		assert.Equal(t, rendered.out, palisade(t, append([]string{"render"}, alone...)...).out)
	})
}

// settles are kinds whose status has defaults: the server stores these only when
// an object is written for the second time.
var settles = map[string]bool{"Gateway": true}

// applyAll applies as palisade, and returns what tells a write: the resourceVersions,
// or the generations where the server itself writes once more.
func (s *server) applyAll(t *testing.T, objects []*object, dryRun bool) map[string]string {
	t.Helper()
	versions := map[string]string{}
	for _, o := range objects {
		there, err := s.apply(t, "palisade", o, dryRun)
		if assert.NoError(t, err, describe(o)) {
			versions[describe(o)] = there.GetResourceVersion()
			if settles[o.GetKind()] {
				versions[describe(o)] = fmt.Sprint("generation ", there.GetGeneration())
			}
		}
		assert.Empty(t, s.warnings.take(), "warnings about %s", describe(o))
	}
	return versions
}

func assertNothingToPlan(t *testing.T, args []string) {
	t.Helper()
	plan := planned(t, args)
	require.NotZero(t, plan.Summary.Unchanged)
	for _, c := range plan.Changes {
		t.Errorf("%s %s %s/%s is still to come:\n%s", c.Action, c.Object.Kind, c.Object.Namespace, c.Object.Name, c.Diff)
	}
}

func planned(t *testing.T, args []string) document {
	t.Helper()
	r := palisade(t, append([]string{"plan", "-o", "json"}, args...)...)
	var plan document
	require.NoError(t, json.Unmarshal([]byte(r.out), &plan))
	return plan
}

// TestPlanLooksPastWhatOthersAddAndSeesWhatTheyChange lets other managers write to objects of palisade's.
func TestPlanLooksPastWhatOthersAddAndSeesWhatTheyChange(t *testing.T) {
	paths := append(cluster, istio, "testdata/proxyless.yaml")
	args := []string{"render", "--mesh", "istio", "--fail-on", "never"}
	for _, path := range paths {
		args = append(args, "-f", path)
	}
	s := newServer(t)
	s.given(t, read(t, paths))
	objects := decode(t, []byte(palisade(t, args...).out))
	s.applyAll(t, objects, false)
	dump := func() []string {
		return []string{"--mesh", "istio", "--fail-on", "never", "-f", write(t, "dump.json", s.dump(t, s.written))}
	}

	for _, o := range objects {
		s.patch(t, o, `{"metadata": {"labels": {"example.org/team": "web"}, "annotations": {"example.org/note": "seen"}, "finalizers": ["example.org/hold"]}}`)
	}
	assertNothingToPlan(t, dump())

	changed := objects[slices.IndexFunc(objects, func(o *object) bool { return o.GetKind() == "NetworkPolicy" })]
	s.patch(t, changed, `{"spec": {"podSelector": {"matchLabels": {"example.org/none": "such"}}}}`)
	plan := planned(t, dump())
	require.Len(t, plan.Changes, 1)
	assert.Equal(t, "Update", plan.Changes[0].Action)
	assert.Equal(t, changed.GetName(), plan.Changes[0].Object.Name)
	assert.Contains(t, plan.Changes[0].Diff, "-      example.org/none: such")

	for _, o := range objects {
		s.patch(t, o, `{"metadata": {"finalizers": null}}`)
	}
}

// patch changes an object as somebody else.
func (s *server) patch(t *testing.T, o *object, patch string) {
	t.Helper()
	_, err := s.resource(t, o).Patch(t.Context(), o.GetName(), types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "somebody"})
	require.NoError(t, err, describe(o))
}

// document is what these tests read of palisade plan -o json.
type document struct {
	Summary struct{ Unchanged int }
	Changes []struct {
		Action, Diff string
		Object       struct{ Kind, Namespace, Name string }
	}
	Findings []struct {
		Code, Message string
		Subject       struct{ Kind, Name string }
	}
}
