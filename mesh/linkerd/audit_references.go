package linkerd

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// policy reports an AuthorizationPolicy that refers to what is not there. One
// with an authentication that is missing is ignored as a whole (linkerd2
// policy-controller/k8s/index/src/inbound/index.rs, policy_client_authz).
func (a *auditor) policy(o *model.Object) {
	var spec struct {
		TargetRef reference   `json:"targetRef"`
		Required  []reference `json:"requiredAuthenticationRefs"`
	}
	if readSpec(o, &spec, noFault) != nil {
		return
	}
	ref := o.Ref()
	a.target(ref, &spec.TargetRef)
	for i := range spec.Required {
		t, field := &spec.Required[i], fmt.Sprintf("spec.requiredAuthenticationRefs[%d]", i)
		home := t.in(ref.Namespace)
		for _, kind := range []string{"MeshTLSAuthentication", "NetworkAuthentication"} {
			if t.is(policyGroup, kind) && !a.isThere(policyGroup, kind, home, t.Name) {
				a.missing(ref, field, home, fmt.Sprintf("%s %s/%s", kind, home, t.Name), "Linkerd ignores the policy as a whole, and it lets in nobody")
			}
		}
		if t.is(coreGroup, "ServiceAccount") {
			a.nobody(ref, field, a.unknownAccount(home, t.Name))
		}
	}
}

// missing reports a reference to an object that was not read.
func (a *auditor) missing(ref model.Ref, field, namespace, what, effect string) {
	const fix = "correct the name, or create what it refers to"
	if a.m.Namespace(namespace) == nil && !a.wholeCluster() {
		a.find("AuthorizationMissingRef", model.Warning, ref, field,
			fmt.Sprintf("it refers to %s, and nothing of that namespace was read: if it is not there, %s", what, effect), fix)
		return
	}
	a.find("AuthorizationMissingRef", model.Error, ref, field, fmt.Sprintf("it refers to %s, which is not among what was read: %s", what, effect), fix)
}

// target reports a policy for what is not there, or for the Servers of a namespace that has none.
func (a *auditor) target(ref model.Ref, t *reference) {
	const effect = "it counts for nothing"
	switch {
	case t.is(policyGroup, "Server"):
		if !a.isThere(policyGroup, "Server", ref.Namespace, t.Name) {
			a.missing(ref, "spec.targetRef", ref.Namespace, fmt.Sprintf("Server %s/%s", ref.Namespace, t.Name), effect)
		}
	case t.is(policyGroup, "HTTPRoute"), t.is(gatewayGroup, "HTTPRoute"), t.is(gatewayGroup, "GRPCRoute"):
		kind := "HTTPRoute"
		if strings.EqualFold(t.Kind, "GRPCRoute") {
			kind = "GRPCRoute"
		}
		if !a.isThere(strings.ToLower(t.Group), kind, ref.Namespace, t.Name) {
			a.missing(ref, "spec.targetRef", ref.Namespace, fmt.Sprintf("%s %s/%s of %s", kind, ref.Namespace, t.Name, t.Group), effect)
		}
	case t.is(coreGroup, "Namespace") && len(a.servers[ref.Namespace]) == 0:
		a.find("AuthorizationPolicySelectsNothing", model.Warning, ref, "spec.targetRef",
			fmt.Sprintf("it is for all Servers of namespace %s, and there is none: ports without a Server are held by the default inbound policy alone", ref.Namespace),
			"write a Server for each port that it is meant for")
	}
}

// serverAuthorization reports one for Servers that are not there, and the names in it.
func (a *auditor) serverAuthorization(o *model.Object) {
	var spec struct {
		Server struct {
			Name     string                `json:"name"`
			Selector *metav1.LabelSelector `json:"selector"`
		} `json:"server"`
		Client existingClient `json:"client"`
	}
	if readSpec(o, &spec, noFault) != nil {
		return
	}
	ref := o.Ref()
	switch {
	case spec.Server.Name != "":
		if !a.isThere(policyGroup, "Server", ref.Namespace, spec.Server.Name) {
			a.missing(ref, "spec.server.name", ref.Namespace, fmt.Sprintf("Server %s/%s", ref.Namespace, spec.Server.Name), "it counts for nothing")
		}
	case spec.Server.Selector != nil && !a.selectsServer(ref.Namespace, spec.Server.Selector):
		a.find("AuthorizationPolicySelectsNothing", model.Warning, ref, "spec.server.selector",
			"no Server of the namespace that was read has these labels, so it counts for nothing", "correct the labels, which are those of the Server and not of the pods")
	}
	if tls := spec.Client.MeshTLS; tls != nil {
		a.identityTexts(ref, "spec.client.meshTLS.identities", tls.Identities)
		for i := range tls.ServiceAccounts {
			t := &tls.ServiceAccounts[i]
			a.nobody(ref, fmt.Sprintf("spec.client.meshTLS.serviceAccounts[%d]", i), a.unknownAccount(t.in(ref.Namespace), t.Name))
		}
	}
}

func (a *auditor) selectsServer(namespace string, selector *metav1.LabelSelector) bool {
	for i := range a.servers[namespace] {
		if model.Matches(selector, a.servers[namespace][i].labels) {
			return true
		}
	}
	return false
}

// parentsOf reports a route for a Server that is not there.
func (a *auditor) parentsOf(o *model.Object) {
	var spec existingRouteSpec
	ref := o.Ref()
	if readSpec(o, &spec, noFault) != nil {
		return
	}
	servers, err := spec.parents(ref)
	if err != nil {
		a.find("AuthorizationMissingRef", model.Error, ref, "spec.parentRefs", "Linkerd ignores the route as a whole: "+err.Error(), "name Servers of the route's own namespace, without a port or a section")
		return
	}
	for _, name := range servers {
		if !a.isThere(policyGroup, "Server", ref.Namespace, name) {
			a.missing(ref, "spec.parentRefs", ref.Namespace, fmt.Sprintf("Server %s/%s", ref.Namespace, name), "the route counts for nothing there, and neither do its authorizations")
		}
	}
}
