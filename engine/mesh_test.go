package engine_test

import (
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
)

// istioCalls reads the emitted AuthorizationPolicies as Istio would: within a
// namespace with an empty policy, a call passes where some ALLOW rule of a policy
// that selects the server names the caller's principal and the port.
func istioCalls(t *testing.T, r engine.Result, namespace string) []string {
	t.Helper()
	found := map[string]bool{}
	denied := false
	for _, o := range objectsOf(r, "AuthorizationPolicy") {
		if o.Ref().Namespace != namespace {
			continue
		}
		spec := o.Map("spec")
		rules, _ := spec["rules"].([]any)
		if len(rules) == 0 {
			denied = true
			continue
		}
		selector := metav1.LabelSelector{MatchLabels: stringMap(o.Map("spec", "selector", "matchLabels"))}
		for _, server := range r.Model.WorkloadsIn(namespace) {
			if !model.Matches(&selector, server.Labels) {
				continue
			}
			for _, rule := range rules {
				istioRule(t, r, rule.(map[string]any), &server, found)
			}
		}
	}
	require.True(t, denied, "the namespace has no deny-all policy")
	return slices.Sorted(maps.Keys(found))
}

func istioRule(t *testing.T, r engine.Result, rule map[string]any, server *model.Workload, found map[string]bool) {
	t.Helper()
	froms, _ := rule["from"].([]any)
	tos, _ := rule["to"].([]any)
	require.NotEmpty(t, froms, "a rule without from lets everybody in")
	require.NotEmpty(t, tos, "a rule without to opens every port")
	for _, from := range froms {
		source := from.(map[string]any)["source"].(map[string]any)
		for _, principal := range stringList(source["principals"]) {
			for _, to := range tos {
				for _, port := range stringList(to.(map[string]any)["operation"].(map[string]any)["ports"]) {
					number, err := strconv.Atoi(port)
					require.NoError(t, err)
					for i := range r.Model.Workloads {
						client := &r.Model.Workloads[i]
						if client.Facts.Identity == principal && client.ID != server.ID && client.ID.Namespace == server.ID.Namespace {
							found[call(client.ID.Name, server.ID.Name, model.TCP(int32(number)))] = true
						}
					}
				}
			}
		}
	}
}

// linkerdCalls reads the emitted Servers and policies as Linkerd would.
func linkerdCalls(t *testing.T, r engine.Result, namespace string) []string {
	t.Helper()
	identities := map[string][]string{}
	for _, o := range objectsOf(r, "MeshTLSAuthentication") {
		identities[o.Ref().Name] = stringList(o.Map("spec")["identities"])
	}
	found := map[string]bool{}
	for _, server := range objectsOf(r, "Server") {
		selector := metav1.LabelSelector{MatchLabels: stringMap(server.Map("spec", "podSelector", "matchLabels"))}
		port := server.Map("spec")["port"].(int64)
		for _, policy := range objectsOf(r, "AuthorizationPolicy") {
			if policy.Map("spec", "targetRef")["name"] != server.Ref().Name {
				continue
			}
			refs, _ := policy.Map("spec")["requiredAuthenticationRefs"].([]any)
			require.NotEmpty(t, refs, "a policy without authentications lets everybody in")
			for _, ref := range refs {
				for _, identity := range identities[ref.(map[string]any)["name"].(string)] {
					for _, s := range r.Model.WorkloadsIn(namespace) {
						for _, c := range r.Model.WorkloadsIn(namespace) {
							if model.Matches(&selector, s.Labels) && c.Facts.Identity == identity && c.ID != s.ID {
								found[call(c.ID.Name, s.ID.Name, model.TCP(int32(port)))] = true
							}
						}
					}
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func stringMap(from map[string]any) map[string]string {
	to := map[string]string{}
	for key, value := range from {
		to[key] = value.(string)
	}
	return to
}

func stringList(from any) []string {
	list, _ := from.([]any)
	var to []string
	for _, value := range list {
		to = append(to, value.(string))
	}
	return to
}
