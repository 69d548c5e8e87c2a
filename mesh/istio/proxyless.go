package istio

import (
	"fmt"
	"slices"
	"strings"

	networkingapi "istio.io/api/networking/v1alpha3"
	securityapi "istio.io/api/security/v1beta1"
	networking "istio.io/client-go/pkg/apis/networking/v1"
	security "istio.io/client-go/pkg/apis/security/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// denyAll is the default deny of a namespace: an ALLOW that matches nothing.
// Without rules it is that for every proxy, but not for proxyless gRPC: istiod
// gives a server an RBAC filter only where some policy has rules
// (pilot/pkg/networking/grpcgen/lds.go). There it has one rule that asks for an
// identity and for none.
func (a *authorization) denyAll() *security.AuthorizationPolicy {
	policy := &security.AuthorizationPolicy{TypeMeta: authorizationPolicyType, ObjectMeta: meta(a.namespace, denyAllName, fromProfile(a.namespace))}
	if slices.ContainsFunc(a.servers, func(w *model.Workload) bool { return w.Facts.Mode == model.ModeProxyless }) {
		policy.Spec.Rules = []*securityapi.Rule{{From: []*securityapi.Rule_From{{
			Source: &securityapi.Source{Principals: []string{"*"}, NotPrincipals: []string{"*"}},
		}}}}
	}
	return policy
}

// destinationRules tells clients that do not find out by themselves to speak
// mTLS: proxyless gRPC has no auto-mTLS, neither towards others nor from others
// unless its pods bear the label security.istio.io/tlsMode, and a mesh may have
// it switched off (istio pilot/pkg/xds/endpoints/mtls_checker.go).
func (c *compilation) destinationRules(n *model.Namespace) {
	if n.Posture.Mesh.MTLS == "" || c.m.IsHeld(n.Name, model.LayerMTLS) {
		return
	}
	for i := range c.m.Services {
		s := &c.m.Services[i]
		if s.Namespace != n.Name {
			continue
		}
		servers := c.behind(s)
		from := c.needsExplicitMTLS(n, servers)
		if len(from) == 0 {
			continue
		}
		c.destinationRule(n, s, servers, from)
	}
}

// behind are the workloads that a Service selects.
func (c *compilation) behind(s *model.Service) []*model.Workload {
	workloads := c.m.WorkloadsIn(s.Namespace)
	var servers []*model.Workload
	for i := range workloads {
		if len(s.Selector) > 0 && selects(s.Selector, workloads[i].Labels) {
			servers = append(servers, &workloads[i])
		}
	}
	return servers
}

// needsExplicitMTLS are the flows to these servers that need a DestinationRule.
func (c *compilation) needsExplicitMTLS(n *model.Namespace, servers []*model.Workload) origins {
	from := origins{}
	for _, w := range servers {
		if w.Facts.Mode == model.ModeProxyless && n.Posture.Mesh.MTLS != model.MTLSStrict && w.Labels[tlsModeLabel] != "istio" {
			continue // it takes plaintext only: see permissiveProxyless
		}
		for _, f := range c.byServer[w.ID] {
			for _, id := range f.Client.Workloads {
				client := c.m.Workload(id)
				if client != nil && !autoMTLS(&c.mesh, client, w) && cannotMeet(&client.Facts, &w.Facts) == "" {
					from.add(f.Origin)
				}
			}
		}
	}
	return from
}

// autoMTLS tells whether a client finds out by itself that it must speak mTLS
// to a server; HBONE needs no finding out.
func autoMTLS(mesh *model.Mesh, client, server *model.Workload) bool {
	switch {
	case !client.Facts.Meshed(), !server.Facts.Meshed():
		return true // no mTLS to speak
	case client.Facts.Mode == model.ModeAmbient, server.Facts.Mode == model.ModeAmbient:
		return true
	case client.Facts.Mode == model.ModeProxyless:
		return false
	case server.Facts.Mode == model.ModeProxyless:
		return mesh.AutoMTLS && server.Labels[tlsModeLabel] == "istio"
	default:
		return mesh.AutoMTLS
	}
}

func (c *compilation) destinationRule(n *model.Namespace, s *model.Service, servers []*model.Workload, from origins) {
	ref := serviceRef(s)
	if c.domain == "" {
		c.domainUnknown(ref, "the DestinationRule that its clients need to speak mTLS")
		return
	}
	host := c.fqdn(s)
	if theirs := c.ruleFor(host); theirs != nil {
		if modes := ruleModes(theirs); len(modes) != 1 || modes[0] != "ISTIO_MUTUAL" {
			c.problem("DestinationRuleExists", model.Error, theirs.Ref(), "spec.trafficPolicy.tls",
				"clients without auto-mTLS call "+host+", but this DestinationRule of the host does not set mTLS throughout; two for one host do not merge reliably, so ours is not written",
				"set spec.trafficPolicy.tls.mode to ISTIO_MUTUAL there")
		}
		return
	}
	if out := outsiders(servers); len(out) > 0 {
		c.problem("ServiceSpansMesh", model.Error, ref, "spec.selector",
			fmt.Sprintf("clients without auto-mTLS call it, but it also selects %s outside the mesh, which mTLS would cut off: no DestinationRule is written", strings.Join(out, ", ")),
			"enrol these workloads, or give them a Service of their own")
		return
	}
	rule := &networking.DestinationRule{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.istio.io/v1", Kind: "DestinationRule"},
		ObjectMeta: meta(n, model.NameFor(s.Name, "host "+s.Namespace+"/"+s.Name), from),
	}
	rule.Spec.Host = host
	rule.Spec.TrafficPolicy = &networkingapi.TrafficPolicy{Tls: &networkingapi.ClientTLSSettings{Mode: networkingapi.ClientTLSSettings_ISTIO_MUTUAL}}
	c.write(rule, model.PhaseAllow)
}

func outsiders(servers []*model.Workload) []string {
	var out []string
	for _, w := range servers {
		if !w.Facts.Meshed() {
			out = append(out, w.ID.String())
		}
	}
	return out
}

func (c *compilation) fqdn(s *model.Service) string {
	return s.Name + "." + s.Namespace + ".svc." + c.domain
}

func (c *compilation) domainUnknown(ref model.Ref, what string) {
	c.problem("ClusterDomainUnknown", model.Error, ref, "",
		"the cluster's DNS domain is not known, so "+what+" is not written", "say --cluster-domain, or read the manifests of CoreDNS or the kubelet's configuration (-f)")
}
