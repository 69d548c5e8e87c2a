package apiserver

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	// The kinds of the Prometheus Operator: its CRDs are in no module of their own.
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)

// What is installed: rendered by Helm, as in the repository.
var (
	manifests  = filepath.Join(root, "deploy/manifests/palisade.yaml")
	renderings = filepath.Join(root, "deploy/testdata/chart")
)

const (
	home = "palisade-system"
	// account is whom the API server knows the controller as.
	account = "system:serviceaccount:" + home + ":palisade"
)

// TestServerTakesTheChart dry-runs what is rendered for each set of values, fields that are not known being errors and warnings too.
func TestServerTakesTheChart(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(renderings, "*.out.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range append(files, manifests) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".out.yaml"), func(t *testing.T) {
			s := newServer(t)
			s.given(t, []*object{restricted(home)})
			for _, o := range read(t, []string{file}) {
				if o.GroupVersionKind().Group == monitoringv1.SchemeGroupVersion.Group {
					assertMonitoring(t, o)
					continue
				}
				_, err := s.apply(t, "helm", o, true)
				assert.NoError(t, err, describe(o))
				assert.Empty(t, s.warnings.take(), "warnings about %s", describe(o))
			}
		})
	}
}

// restricted is a namespace that enforces the level restricted.
func restricted(name string) *object {
	o := namespace(name)
	o.SetLabels(map[string]string{"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"})
	return o
}

// assertMonitoring reads an object of the Prometheus Operator as its types, in which every field must be.
func assertMonitoring(t *testing.T, o *object) {
	t.Helper()
	into := map[string]any{"ServiceMonitor": &monitoringv1.ServiceMonitor{}, "PrometheusRule": &monitoringv1.PrometheusRule{}}[o.GetKind()]
	require.NotNil(t, into, describe(o))
	data, err := o.MarshalJSON()
	require.NoError(t, err)
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	assert.NoError(t, decoder.Decode(into), describe(o))
}

// install puts the manifests into the cluster, but for what is there already and the webhooks, which have a test of their own.
func (s *server) install(t *testing.T, without ...string) {
	t.Helper()
	for _, o := range read(t, []string{manifests}) {
		if !slices.Contains(append(without, "CustomResourceDefinition"), o.GetKind()) {
			_, err := s.apply(t, "helm", o, false)
			require.NoError(t, err, describe(o))
		}
	}
	require.Empty(t, s.warnings.take())
}

// as is the server as somebody else sees it.
func (s *server) as(t *testing.T, user string) *server {
	t.Helper()
	c := rest.CopyConfig(config)
	c.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groupsOf(user)}
	c.WarningHandler = s.warnings
	objects, err := dynamic.NewForConfig(c)
	require.NoError(t, err)
	return &server{objects: objects, mapper: s.mapper, warnings: s.warnings}
}

// groupsOf are the groups that a token of a service account brings along.
func groupsOf(user string) []string {
	parts := strings.Split(user, ":")
	return []string{"system:authenticated", "system:serviceaccounts", "system:serviceaccounts:" + parts[2]}
}

// kubeconfig lets a program act as somebody, or without a name as an administrator.
func kubeconfig(t *testing.T, user string) string {
	t.Helper()
	c := clientcmdapi.NewConfig()
	c.Clusters["c"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	c.AuthInfos["u"] = &clientcmdapi.AuthInfo{
		ClientCertificateData: config.CertData, ClientKeyData: config.KeyData,
	}
	if user != "" {
		c.AuthInfos["u"].Impersonate, c.AuthInfos["u"].ImpersonateGroups = user, groupsOf(user)
	}
	c.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	c.CurrentContext = "x"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, clientcmd.WriteToFile(*c, file))
	return file
}

// TestAccountMayReadAllThatPalisadeLooksAt has palisade read the cluster, with every CRD of the meshes in it, with the rights that the chart grants.
func TestAccountMayReadAllThatPalisadeLooksAt(t *testing.T) {
	s := newServer(t)
	s.install(t, "ValidatingWebhookConfiguration")
	unread := func(user string) []string {
		r := palisade(t, "plan", "--kubeconfig", kubeconfig(t, user), "--mesh", "none", "--fail-on", "never", "-o", "json")
		var plan struct {
			Problems []struct{ Code, Message string }
		}
		require.NoError(t, json.Unmarshal([]byte(r.out), &plan), r.notes)
		var list []string
		for _, p := range plan.Problems {
			if p.Code == "KindUnreadable" {
				list = append(list, p.Message)
			}
		}
		return list
	}
	assert.Empty(t, unread(account))
	assert.Greater(t, len(unread("system:serviceaccount:"+home+":nobody")), 40, "who has no rights reads nothing")
}

// TestAccountMayWriteWhatIsRendered applies, with the rights that the chart grants, what palisade renders, and deletes it.
func TestAccountMayWriteWhatIsRendered(t *testing.T) {
	paths := map[string][]string{
		"istio":     append(slices.Clone(cluster), istio, "testdata/ambient.yaml"),
		"proxyless": append(slices.Clone(cluster), istio, "testdata/proxyless.yaml"),
		"linkerd":   append(slices.Clone(cluster), filepath.Join(root, "examples/online-boutique/linkerd.yaml"), "testdata/linkerd-http.yaml"),
		"floe":      {filepath.Join(root, "examples/floe")},
	}
	kinds := map[string]bool{}
	for name, from := range paths {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.install(t, "ValidatingWebhookConfiguration")
			s.given(t, read(t, from))
			args := []string{"render", "--mesh", map[string]string{"linkerd": "linkerd"}[name], "--fail-on", "never"}
			if args[2] == "" {
				args[2] = "istio"
			}
			for _, path := range from {
				args = append(args, "-f", path)
			}
			palisades, nobody := s.as(t, account), s.as(t, "system:serviceaccount:"+home+":nobody")
			for _, o := range decode(t, []byte(palisade(t, args...).out)) {
				kinds[o.GetKind()] = true
				_, err := nobody.apply(t, "palisade", o, true)
				require.Error(t, err, "who has no rights writes nothing")
				there, err := palisades.apply(t, "palisade", o, false)
				require.NoError(t, err, describe(o))
				_, err = palisades.resource(t, o).Update(t.Context(), there, metav1.UpdateOptions{FieldManager: "palisade"})
				if o.GetKind() == "Namespace" {
					assert.True(t, apierrors.IsForbidden(err), "of a Namespace only a part is written")
				} else {
					assert.NoError(t, err, describe(o))
					assert.NoError(t, palisades.resource(t, o).Delete(t.Context(), o.GetName(), metav1.DeleteOptions{}), describe(o))
				}
			}
		})
	}
	want := []string{
		"AuthorizationPolicy", "DestinationRule", "Gateway", "HTTPRoute", "MeshTLSAuthentication", "Namespace", "NetworkPolicy",
		"PeerAuthentication", "Server", "Sidecar",
	}
	for _, kind := range want {
		assert.True(t, kinds[kind], "no %s was rendered: nothing is shown of it; there were %v", kind, slices.Sorted(maps.Keys(kinds)))
	}
}

// TestAccountMayNotDoWhatItNeedNot asks the server's own authorizer.
func TestAccountMayNotDoWhatItNeedNot(t *testing.T) {
	s := newServer(t)
	s.install(t, "ValidatingWebhookConfiguration")
	clients, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	may := func(verb, group, resource, namespace, name string) bool {
		resource, sub, _ := strings.Cut(resource, "/")
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: account, Groups: groupsOf(account),
			ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: verb, Group: group, Resource: resource, Subresource: sub, Namespace: namespace, Name: name},
		}}
		review, err := clients.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
		require.NoError(t, err)
		return review.Status.Allowed
	}
	const rbac, ours = "rbac.authorization.k8s.io", "palisade.floe.dev"
	for _, verb := range []string{"get", "list", "watch", "update"} {
		assert.True(t, may(verb, "", "secrets", home, "palisade-webhook"), verb)
	}
	assert.True(t, may("update", "coordination.k8s.io", "leases", home, "palisade"))
	assert.True(t, may("create", "coordination.k8s.io", "leases", home, ""))
	assert.True(t, may("patch", "admissionregistration.k8s.io", "validatingwebhookconfigurations", "", "palisade"))
	assert.True(t, may("patch", ours, "trafficrules/status", "shop", "web"))
	assert.True(t, may("create", "events.k8s.io", "events", "shop", ""))
	for _, no := range [][5]string{
		{"get", "", "secrets", "shop", ""}, {"list", "", "secrets", "", ""}, {"get", "", "secrets", home, "other"}, {"list", "", "secrets", home, ""}, {"create", "", "secrets", "shop", ""},
		{"delete", "", "secrets", home, "palisade-webhook"},
		{"create", "", "pods", "shop", ""}, {"delete", "", "pods", "shop", ""}, {"create", "", "pods/exec", "shop", ""}, {"create", "", "pods/eviction", "shop", ""},
		{"get", "", "pods/log", "shop", ""}, {"create", "", "serviceaccounts/token", "shop", ""}, {"get", "", "nodes/proxy", "", ""},
		{"create", "", "namespaces", "", ""}, {"delete", "", "namespaces", "", "shop"},
		{"patch", "apps", "deployments", "shop", ""}, {"patch", "", "configmaps", "shop", ""}, {"patch", "", "services", "shop", ""},
		{"create", rbac, "clusterrolebindings", "", ""}, {"escalate", rbac, "clusterroles", "", ""}, {"bind", rbac, "clusterroles", "", ""}, {"patch", rbac, "roles", home, ""},
		{"impersonate", "", "users", "", ""}, {"impersonate", "", "serviceaccounts", "kube-system", ""},
		{"patch", "admissionregistration.k8s.io", "validatingwebhookconfigurations", "", "other"}, {"create", "admissionregistration.k8s.io", "validatingwebhookconfigurations", "", ""},
		{"patch", "apiextensions.k8s.io", "customresourcedefinitions", "", ""},
		{"update", "coordination.k8s.io", "leases", "kube-system", "kube-scheduler"}, {"update", "coordination.k8s.io", "leases", home, "other"},
		{"patch", ours, "trafficrules", "shop", "web"}, {"patch", ours, "securityprofiles", "", ""}, {"delete", ours, "exemptions", "shop", ""},
		{"patch", "networking.istio.io", "envoyfilters", "shop", ""}, {"patch", "networking.istio.io", "virtualservices", "shop", ""},
	} {
		assert.False(t, may(no[0], no[1], no[2], no[3], no[4]), "%v", no)
	}
}

// TestWhilePalisadeIsDown has the webhooks of the chart in the cluster, and nobody behind them.
func TestWhilePalisadeIsDown(t *testing.T) {
	s := newServer(t)
	lenient, strict, system := namespace("lenient"), namespace("strict"), namespace("istio-system")
	label := map[string]string{"palisade.floe.dev/admission": "strict"}
	strict.SetLabels(label)
	system.SetLabels(label)
	s.given(t, []*object{lenient, strict, system})
	rule := func(in string) *object {
		o := sample(t, filepath.Join(samples, "valid/trafficrule-defaults.yaml")).DeepCopy()
		o.SetNamespace(in)
		o.SetName("web")
		return o
	}
	profile := func(name string, labels map[string]string) *object {
		o := sample(t, filepath.Join(samples, "valid/securityprofile-defaults.yaml")).DeepCopy()
		o.SetName(name)
		o.SetLabels(labels)
		return o
	}
	write := func(o *object, dryRun bool) error {
		_, err := s.apply(t, "kubectl", o, dryRun)
		return err
	}
	// One that is there already, and whose spec was taken while there was no webhook.
	held := rule("strict")
	held.SetName("held")
	held.SetFinalizers([]string{"example.org/hold"})
	strictProfile := profile("guarded", label)
	for _, o := range []*object{held, strictProfile} {
		require.NoError(t, write(o, false))
	}
	s.install(t)
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Error(c, write(rule("strict"), true)) }, 20*time.Second, 100*time.Millisecond,
		"the server has heard of the webhooks")

	t.Run("what is written in a strict namespace is refused", func(t *testing.T) {
		err := write(rule("strict"), false)
		require.Error(t, err)
		assert.Contains(t, err.Error(), "strict.validate.palisade.floe.dev")
	})
	t.Run("elsewhere it passes", func(t *testing.T) {
		assert.NoError(t, write(rule("lenient"), false))
		assert.NoError(t, write(rule("istio-system"), false), "whatever the label of a mesh's namespace says")
	})
	t.Run("a profile says by itself whether it is strict", func(t *testing.T) {
		assert.NoError(t, write(profile("plain", nil), false))
		assert.Error(t, write(profile("another", label), true))
	})
	t.Run("labels, finalizers and statuses pass, and so does deleting", func(t *testing.T) {
		s.patch(t, held, `{"metadata": {"labels": {"example.org/team": "web"}}}`)
		palisades := s.as(t, account)
		status := &object{Object: map[string]any{"apiVersion": held.GetAPIVersion(), "kind": held.GetKind(), "metadata": map[string]any{"name": "held", "namespace": "strict"}}}
		require.NoError(t, unstructured.SetNestedField(status.Object, int64(1), "status", "observedGeneration"))
		_, err := palisades.apply(t, "palisade", status, false, "status")
		assert.NoError(t, err)
		require.NoError(t, s.resource(t, held).Delete(t.Context(), "held", metav1.DeleteOptions{}))
		s.patch(t, held, `{"metadata": {"finalizers": null}}`)
	})
	t.Run("the way out of a strict profile is its label", func(t *testing.T) {
		s.patch(t, strictProfile, `{"metadata": {"labels": {"palisade.floe.dev/admission": null}}}`)
		there, err := s.resource(t, strictProfile).Get(t.Context(), strictProfile.GetName(), metav1.GetOptions{})
		require.NoError(t, err)
		mode, _, _ := unstructured.NestedString(there.Object, "spec", "enforcement")
		other := map[string]string{"Observe": "Enforce", "Enforce": "Observe"}[mode]
		s.patch(t, strictProfile, `{"spec": {"enforcement": "`+other+`"}}`)
	})
	t.Run("nobody else is asked about", func(t *testing.T) {
		o := &object{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "any", "namespace": "strict"}}}
		assert.NoError(t, write(o, false))
	})
}
