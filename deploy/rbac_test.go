package deploy_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/cluster"
)

// grants are what rules allow: "verb group/resource", and " name" behind it where only that one is meant.
func grants(rules []rbacv1.PolicyRule) []string {
	set := map[string]bool{}
	for _, r := range rules {
		names := r.ResourceNames
		if len(names) == 0 {
			names = []string{""}
		}
		for _, verb := range r.Verbs {
			for _, group := range r.APIGroups {
				for _, resource := range r.Resources {
					for _, name := range names {
						set[strings.TrimSpace(fmt.Sprintf("%s %s/%s %s", verb, group, resource, name))] = true
					}
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// resourceOf is group/resource of a kind.
func resourceOf(gk schema.GroupKind) string {
	switch gk.Kind {
	case "Endpoints":
		return gk.Group + "/endpoints"
	case "Gateway":
		return gk.Group + "/gateways"
	}
	resource, _ := meta.UnsafeGuessKindToResource(gk.WithVersion("v1"))
	return gk.Group + "/" + resource.Resource
}

func clusterRole(t *testing.T, name, role string) []rbacv1.PolicyRule {
	t.Helper()
	return one[rbacv1.ClusterRole](t, read(t, renderings(t)[name]), "ClusterRole", role).Rules
}

// TestReadingIsAllowedForWhatIsLookedAtAndNothingElse holds the ClusterRole to the list in package cluster.
func TestReadingIsAllowedForWhatIsLookedAtAndNothingElse(t *testing.T) {
	kinds := map[string]bool{} // group/resource
	groups := map[string]bool{}
	for _, gk := range cluster.LookedAt() {
		if gk.Kind == "" {
			groups[gk.Group] = true
			continue
		}
		kinds[resourceOf(gk)] = true
	}
	require.NotEmpty(t, kinds)
	require.NotEmpty(t, groups)
	granted := map[string]bool{}
	seen := map[string]bool{}
	for _, r := range clusterRole(t, "defaults", "palisade-read") {
		assert.ElementsMatch(t, []string{"get", "list", "watch"}, r.Verbs, r.Resources)
		for _, group := range r.APIGroups {
			for _, resource := range r.Resources {
				seen[group] = true
				granted[group+"/"+resource] = true
				assert.True(t, groups[group] || kinds[group+"/"+resource], "%s/%s is read by nobody", group, resource)
			}
		}
	}
	for kind := range kinds {
		assert.True(t, granted[kind], "%s is looked at, and may not be read", kind)
	}
	for group := range groups {
		assert.True(t, seen[group], "nothing of the group %s may be read", group)
	}
	for _, kind := range []string{"exemptions", "externalaccesses", "mtlsreports", "namespacepostures", "securityprofiles", "trafficrules"} {
		assert.True(t, granted[v1alpha1.GroupVersion.Group+"/"+kind], kind)
	}
}

// written are the group and kind of all objects that the compilers are known to write, by their golden files.
func written(t *testing.T, folders ...string) []schema.GroupKind {
	t.Helper()
	set := map[schema.GroupKind]bool{}
	for _, folder := range folders {
		files, err := filepath.Glob("../" + folder + "/testdata/*.out.yaml")
		require.NoError(t, err)
		require.NotEmpty(t, files, folder)
		for _, file := range files {
			for _, o := range read(t, file) {
				if gk := o.GroupVersionKind().GroupKind(); gk.Kind != "" {
					set[gk] = true
				}
			}
		}
	}
	return slices.SortedFunc(maps.Keys(set), func(a, b schema.GroupKind) int { return strings.Compare(a.String(), b.String()) })
}

// TestWritingIsAllowedForWhatCompilersWriteAndNothingElse holds the ClusterRole to what the compilers have in their golden files.
func TestWritingIsAllowedForWhatCompilersWriteAndNothingElse(t *testing.T) {
	own := []string{
		"create palisade.floe.dev/mtlsreports", "create palisade.floe.dev/namespacepostures",
		"delete palisade.floe.dev/mtlsreports", "delete palisade.floe.dev/namespacepostures",
		"patch palisade.floe.dev/mtlsreports", "patch palisade.floe.dev/namespacepostures",
		"patch palisade.floe.dev/exemptions/status", "patch palisade.floe.dev/externalaccesses/status", "patch palisade.floe.dev/mtlsreports/status",
		"patch palisade.floe.dev/namespacepostures/status", "patch palisade.floe.dev/securityprofiles/status", "patch palisade.floe.dev/trafficrules/status",
		"create events.k8s.io/events", "patch events.k8s.io/events",
		"patch /namespaces",
	}
	webhook := []string{
		"patch admissionregistration.k8s.io/validatingwebhookconfigurations palisade",
	}
	tests := map[string]struct {
		compilers []string
		admission bool
	}{
		"defaults":                     {[]string{"netpol", "budget", "mesh/istio", "mesh/linkerd"}, true},
		"one-replica-istio-only":       {[]string{"netpol", "budget", "mesh/istio"}, true},
		"linkerd-only-known-addresses": {[]string{"netpol", "budget", "mesh/linkerd"}, true},
		"no-mesh-admission-off":        {[]string{"netpol", "budget"}, false},
		"not-isolated-placed-by-hand":  {[]string{"netpol", "budget", "mesh/istio", "mesh/linkerd"}, true},
		"pods-hardened":                {[]string{"netpol", "budget", "mesh/istio"}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := slices.Clone(own)
			if test.admission {
				want = append(want, webhook...)
			}
			if name == "pods-hardened" {
				want = append(want, "patch admissionregistration.k8s.io/mutatingwebhookconfigurations palisade")
			}
			for _, gk := range written(t, test.compilers...) {
				for _, verb := range []string{"create", "update", "patch", "delete"} {
					want = append(want, verb+" "+resourceOf(gk))
				}
			}
			slices.Sort(want)
			assert.Equal(t, slices.Compact(want), grants(clusterRole(t, name, "palisade-write")))
		})
	}
}

func TestNothingIsAllowedThatLeadsToMore(t *testing.T) {
	leads := []string{"escalate", "bind", "impersonate", "*", "deletecollection", "approve", "sign"}
	for name, file := range renderings(t) {
		t.Run(name, func(t *testing.T) {
			objects := read(t, file)
			var rules []rbacv1.PolicyRule
			for _, r := range all[rbacv1.ClusterRole](t, objects, "ClusterRole") {
				rules = append(rules, r.Rules...)
				assert.Nil(t, r.AggregationRule)
			}
			for _, grant := range grants(rules) {
				assert.NotContains(t, grant, "/secrets", "in no ClusterRole")
			}
			for _, r := range all[rbacv1.Role](t, objects, "Role") {
				assert.Equal(t, "palisade-system", r.Namespace)
				if r.Name != "palisade-prober" { // see TestTokensAreOfTheProberAlone
					rules = append(rules, r.Rules...)
				}
			}
			for _, r := range rules {
				assert.Empty(t, r.NonResourceURLs)
				for _, verb := range r.Verbs {
					assert.NotContains(t, leads, verb)
				}
				for _, resource := range r.Resources {
					assert.NotContains(t, resource, "*")
					_, sub, _ := strings.Cut(resource, "/")
					assert.Contains(t, []string{"", "status"}, sub, "no exec, attach, proxy, token or ephemeralcontainers: %s", resource)
				}
				for _, group := range r.APIGroups {
					assert.NotContains(t, group, "*")
					assert.NotEqual(t, "rbac.authorization.k8s.io", group)
				}
			}
		})
	}
}

// TestInItsOwnNamespacePalisadeMayWriteByNameOnly lists the Role whole, as it is short.
func TestInItsOwnNamespacePalisadeMayWriteByNameOnly(t *testing.T) {
	lease := []string{
		"create /events", "create coordination.k8s.io/leases", "create events.k8s.io/events", "get coordination.k8s.io/leases palisade",
		"patch /events", "patch coordination.k8s.io/leases palisade", "patch events.k8s.io/events", "update coordination.k8s.io/leases palisade",
	}
	secret := []string{"create /secrets", "get /secrets palisade-webhook", "list /secrets palisade-webhook", "update /secrets palisade-webhook", "watch /secrets palisade-webhook"}
	with := slices.Sorted(slices.Values(append(slices.Clone(lease), secret...)))
	role := func(name string) []string {
		return grants(one[rbacv1.Role](t, read(t, renderings(t)[name]), "Role", "palisade").Rules)
	}
	assert.Equal(t, with, role("defaults"))
	assert.Equal(t, lease, role("no-mesh-admission-off"), "without admission no Secret")
}

// TestTokensAreOfTheProberAlone holds that palisade cannot be anybody else by TokenRequest.
func TestTokensAreOfTheProberAlone(t *testing.T) {
	for name, file := range renderings(t) {
		objects := read(t, file)
		var found []string
		for _, r := range all[rbacv1.Role](t, objects, "Role") {
			for _, grant := range grants(r.Rules) {
				if strings.Contains(grant, "serviceaccounts/token") {
					found = append(found, r.Name+": "+grant)
				}
			}
		}
		for _, r := range all[rbacv1.ClusterRole](t, objects, "ClusterRole") {
			for _, grant := range grants(r.Rules) {
				assert.NotContains(t, grant, "serviceaccounts/token", name)
			}
		}
		if strings.Contains(name, "no-mesh") {
			assert.Empty(t, found, name)
			continue
		}
		assert.Equal(t, []string{"palisade-prober: create /serviceaccounts/token palisade-prober"}, found, name)
	}
}

// TestRolesAreBoundToPalisadeAlone holds that nobody else gets what is palisade's.
func TestRolesAreBoundToPalisadeAlone(t *testing.T) {
	subject := []rbacv1.Subject{{Kind: "ServiceAccount", Name: "palisade", Namespace: "palisade-system"}}
	for name, file := range renderings(t) {
		objects := read(t, file)
		var bound []string
		for _, b := range all[rbacv1.ClusterRoleBinding](t, objects, "ClusterRoleBinding") {
			assert.Equal(t, subject, b.Subjects, name)
			bound = append(bound, b.RoleRef.Kind+" "+b.RoleRef.Name)
		}
		for _, b := range all[rbacv1.RoleBinding](t, objects, "RoleBinding") {
			assert.Equal(t, subject, b.Subjects, name)
			bound = append(bound, b.RoleRef.Kind+" "+b.RoleRef.Name)
		}
		wanted := []string{"ClusterRole palisade-read", "ClusterRole palisade-write", "Role palisade"}
		if !strings.Contains(name, "no-mesh") {
			wanted = append(wanted, "Role palisade-prober")
		}
		assert.ElementsMatch(t, wanted, bound, name)
	}
}
