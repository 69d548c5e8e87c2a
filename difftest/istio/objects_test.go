package difftest

import (
	"fmt"

	networkingapi "istio.io/api/networking/v1alpha3"
	securityapi "istio.io/api/security/v1beta1"
	typeapi "istio.io/api/type/v1beta1"
	networkingclient "istio.io/client-go/pkg/apis/networking/v1"
	securityclient "istio.io/client-go/pkg/apis/security/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Istio's objects at random, with most of what their APIs let them say.

func (w *world) mode() *securityapi.PeerAuthentication_MutualTLS {
	switch w.IntN(9) {
	case 0:
		return nil
	case 1:
		return mutualTLS(securityapi.PeerAuthentication_MutualTLS_UNSET)
	case 2, 3:
		return mutualTLS(securityapi.PeerAuthentication_MutualTLS_DISABLE)
	case 4, 5:
		return mutualTLS(securityapi.PeerAuthentication_MutualTLS_PERMISSIVE)
	default:
		return mutualTLS(securityapi.PeerAuthentication_MutualTLS_STRICT)
	}
}

func (w *world) peerAuthentication(namespace string) *securityclient.PeerAuthentication {
	p := &securityclient.PeerAuthentication{
		TypeMeta: metav1.TypeMeta{APIVersion: "security.istio.io/v1", Kind: "PeerAuthentication"}, ObjectMeta: w.meta(namespace, "pa"),
	}
	p.Spec.Mtls = w.mode()
	if labels := w.selector(); labels != nil {
		p.Spec.Selector = &typeapi.WorkloadSelector{MatchLabels: labels}
	} else {
		if w.chance(6) {
			p.Spec.Selector = &typeapi.WorkloadSelector{}
		}
		return p
	}
	for _, port := range ports {
		if w.chance(3) {
			if p.Spec.PortLevelMtls == nil {
				p.Spec.PortLevelMtls = map[uint32]*securityapi.PeerAuthentication_MutualTLS{}
			}
			p.Spec.PortLevelMtls[uint32(port)] = mutualTLS(securityapi.PeerAuthentication_MutualTLS_Mode(w.IntN(4)))
		}
	}
	return p
}

func (w *world) authorizationPolicy(namespace string) *securityclient.AuthorizationPolicy {
	p := &securityclient.AuthorizationPolicy{
		TypeMeta: metav1.TypeMeta{APIVersion: "security.istio.io/v1", Kind: "AuthorizationPolicy"}, ObjectMeta: w.meta(namespace, "ap"),
	}
	p.Annotations = map[string]string{}
	if w.chance(8) {
		p.Annotations["istio.io/dry-run"] = w.one("true", "true", "false", "perhaps")
	}
	switch w.IntN(12) {
	case 0, 1, 2, 3:
		p.Spec.Action = securityapi.AuthorizationPolicy_DENY
	case 4:
		p.Spec.Action = securityapi.AuthorizationPolicy_AUDIT
	case 5:
		p.Spec.Action = securityapi.AuthorizationPolicy_CUSTOM
		p.Spec.ActionDetail = &securityapi.AuthorizationPolicy_Provider{Provider: &securityapi.AuthorizationPolicy_ExtensionProvider{Name: w.one("ext-grpc", "ext-http", "ext-none")}}
	}
	if w.chance(4) {
		for range 1 + w.IntN(2) {
			p.Spec.TargetRefs = append(p.Spec.TargetRefs, w.targetRef())
		}
		if w.chance(4) {
			p.Spec.TargetRef, p.Spec.TargetRefs = p.Spec.TargetRefs[0], nil
		}
	} else if labels := w.selector(); labels != nil {
		p.Spec.Selector = &typeapi.WorkloadSelector{MatchLabels: labels}
	} else if w.chance(6) {
		p.Spec.Selector = &typeapi.WorkloadSelector{}
	}
	for range w.IntN(4) {
		p.Spec.Rules = append(p.Spec.Rules, w.authorizationRule())
	}
	return p
}

func (w *world) targetRef() *typeapi.PolicyTargetReference {
	switch w.IntN(6) {
	case 0, 1:
		t := &typeapi.PolicyTargetReference{Group: "gateway.networking.k8s.io", Kind: "Gateway", Name: w.one("wp", "wp", "gw", "other")}
		if w.chance(4) {
			t.Namespace = w.one("north", "south")
		}
		return t
	case 2:
		return &typeapi.PolicyTargetReference{Group: w.one("gateway.networking.k8s.io", "gateway.networking.k8s.io", ""), Kind: "GatewayClass", Name: w.one("istio-waypoint", "istio-waypoint", "istio")}
	default:
		return &typeapi.PolicyTargetReference{Group: w.one("", "core"), Kind: "Service", Name: w.one("a", "b", "c")}
	}
}

func (w *world) authorizationRule() *securityapi.Rule {
	r := &securityapi.Rule{}
	for range w.IntN(3) {
		r.From = append(r.From, &securityapi.Rule_From{Source: w.source()})
	}
	for range w.IntN(3) {
		r.To = append(r.To, &securityapi.Rule_To{Operation: w.operation()})
	}
	for range max(0, w.IntN(4)-1) {
		r.When = append(r.When, w.condition())
	}
	return r
}

var (
	somePrincipals = []string{
		"td.example/ns/north/sa/s1", "td.example/ns/south/sa/default", "cluster.local/ns/north/sa/s1", "old.example/ns/south/sa/s2", "*/ns/north/sa/s2",
		"td.example/ns/north/*", "*/sa/default", "*", "other.example/ns/north/sa/s1", "*.example/ns/south/sa/s1", "old*/ns/north/sa/default", "sa/s1",
		"td.example/ns/south/sa/wp", "td.example/ns/north/sa/wp", "cluster.local/ns/south/sa/default", "cluster.local/ns/north/sa/s2",
	}
	someNamespaces   = []string{"north", "south", "nor*", "*th", "*", "n*h", rootNamespace}
	someAccounts     = []string{"s1", "north/s1", "south/default", "default", "wp"}
	someTrustDomains = []string{"td.example", "old.example", "other.example", "*", "*.example", "td*"}
	someBlocks       = []string{"10.1.0.0/16", "10.2.0.10", "10.1.0.10/31", "10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32", "10.1.0.12", "rubbish", "10.1.0.7/24"}
	somePorts        = []string{"8080", "8081", "9090", "80", "81", "9999", "0", "70000", "http"}
)

// some is one or two of a list.
func (w *world) some(of []string) []string {
	list := []string{w.one(of...)}
	if w.chance(3) {
		list = append(list, w.one(of...))
	}
	return list
}

// maybe sets one field of two, or both, or none.
func (w *world) maybe(of []string, rarity int, yes, not *[]string) {
	if w.chance(rarity) {
		*yes = w.some(of)
	}
	if w.chance(rarity * 2) {
		*not = w.some(of)
	}
}

func (w *world) source() *securityapi.Source {
	s := &securityapi.Source{}
	w.maybe(somePrincipals, 4, &s.Principals, &s.NotPrincipals)
	w.maybe(someNamespaces, 4, &s.Namespaces, &s.NotNamespaces)
	w.maybe(someAccounts, 5, &s.ServiceAccounts, &s.NotServiceAccounts)
	w.maybe(someTrustDomains, 10, &s.TrustDomains, &s.NotTrustDomains)
	w.maybe(someBlocks, 5, &s.IpBlocks, &s.NotIpBlocks)
	w.maybe(someBlocks, 16, &s.RemoteIpBlocks, &s.NotRemoteIpBlocks)
	w.maybe([]string{"issuer/subject", "*"}, 12, &s.RequestPrincipals, &s.NotRequestPrincipals)
	return s
}

func (w *world) operation() *securityapi.Operation {
	o := &securityapi.Operation{}
	w.maybe(somePorts, 3, &o.Ports, &o.NotPorts)
	w.maybe([]string{"GET", "POST"}, 6, &o.Methods, &o.NotMethods)
	w.maybe([]string{"/a", "/b*", "/{*}"}, 8, &o.Paths, &o.NotPaths)
	w.maybe([]string{"example.com", "*.example.com"}, 10, &o.Hosts, &o.NotHosts)
	return o
}

func (w *world) condition() *securityapi.Condition {
	c := &securityapi.Condition{}
	values := map[string][]string{
		"source.ip": someBlocks, "source.namespace": someNamespaces, "source.principal": somePrincipals, "source.serviceAccount": someAccounts,
		"source.trustDomain": someTrustDomains, "destination.port": somePorts, "destination.ip": someBlocks, "remote.ip": someBlocks,
		"request.headers[x-team]": {"red", "blue*"}, "request.auth.claims[group]": {"admin"}, "request.auth.principal": {"issuer/subject"},
		"request.auth.audiences": {"us"}, "request.auth.presenter": {"them"}, "connection.sni": {"example.com"},
		"experimental.envoy.filters.network.mysql_proxy[db.table]": {"[select]"}, "request.unheard": {"of"}, "connection.snip": {"x"}, "source.ips": {"10.0.0.0/8"},
	}
	c.Key = w.one("source.ip", "source.namespace", "source.principal", "source.serviceAccount", "source.trustDomain", "destination.port", "destination.port",
		"destination.ip", "remote.ip", "request.headers[x-team]", "request.auth.claims[group]", "request.auth.principal", "request.auth.audiences",
		"request.auth.presenter", "connection.sni", "experimental.envoy.filters.network.mysql_proxy[db.table]", "request.unheard", "connection.snip", "source.ips")
	if !w.chance(3) {
		c.Values = w.some(values[c.Key])
	}
	if c.Values == nil && !w.chance(10) || w.chance(4) {
		c.NotValues = w.some(values[c.Key])
	}
	return c
}

func (w *world) tls() *networkingapi.ClientTLSSettings {
	switch w.IntN(8) {
	case 0, 1:
		return &networkingapi.ClientTLSSettings{Mode: networkingapi.ClientTLSSettings_DISABLE}
	case 2:
		return &networkingapi.ClientTLSSettings{Mode: networkingapi.ClientTLSSettings_SIMPLE}
	case 3:
		return &networkingapi.ClientTLSSettings{Mode: networkingapi.ClientTLSSettings_MUTUAL, ClientCertificate: "/etc/cert", PrivateKey: "/etc/key", CaCertificates: "/etc/ca"}
	case 4, 5, 6:
		return &networkingapi.ClientTLSSettings{Mode: networkingapi.ClientTLSSettings_ISTIO_MUTUAL}
	default:
		return nil
	}
}

func (w *world) destinationRule(namespace string) *networkingclient.DestinationRule {
	d := &networkingclient.DestinationRule{
		TypeMeta: metav1.TypeMeta{APIVersion: "networking.istio.io/v1", Kind: "DestinationRule"}, ObjectMeta: w.meta(namespace, "dr"),
	}
	app, home := w.one("a", "b", "c"), w.one("north", "south")
	d.Spec.Host = w.one(app, app+"."+home+".svc.cluster.local", app+"."+home+".svc.cluster.local", app+"."+home,
		"*."+home+".svc.cluster.local", "*.svc.cluster.local", "*.local", "*", "*."+home+".svc", "*luster.local")
	if len(w.rules) > 0 && w.chance(3) {
		d.Spec.Host = w.rules[w.IntN(len(w.rules))].Spec.Host // rules of one host are merged
	}
	if w.chance(3) {
		d.Spec.ExportTo = [][]string{{"."}, {"*"}, {"south"}, {".", "south"}, {"north", "south"}, {"north"}, {rootNamespace}}[w.IntN(7)]
	}
	if w.chance(4) {
		d.Spec.WorkloadSelector = &typeapi.WorkloadSelector{MatchLabels: map[string]string{"app": w.one("a", "b", "c")}}
	}
	if w.chance(5) {
		d.Spec.Subsets = []*networkingapi.Subset{{Name: "v1", Labels: map[string]string{"tier": "x"}}}
		if w.chance(2) {
			return d
		}
	}
	d.Spec.TrafficPolicy = &networkingapi.TrafficPolicy{Tls: w.tls()}
	for _, port := range []uint32{80, 81, 82, 3306} {
		if w.chance(5) {
			d.Spec.TrafficPolicy.PortLevelSettings = append(d.Spec.TrafficPolicy.PortLevelSettings,
				&networkingapi.TrafficPolicy_PortTrafficPolicy{Port: &networkingapi.PortSelector{Number: port}, Tls: w.tls()})
		}
	}
	return d
}

func (w *world) sidecar(namespace string) *networkingclient.Sidecar {
	s := &networkingclient.Sidecar{
		TypeMeta: metav1.TypeMeta{APIVersion: "networking.istio.io/v1", Kind: "Sidecar"}, ObjectMeta: w.meta(namespace, "sc"),
	}
	if labels := w.selector(); labels != nil {
		s.Spec.WorkloadSelector = &networkingapi.WorkloadSelector{Labels: labels}
	} else if w.chance(8) {
		s.Spec.WorkloadSelector = &networkingapi.WorkloadSelector{}
	}
	for i := range w.IntN(3) {
		e := &networkingapi.IstioEgressListener{}
		for range 1 + w.IntN(3) {
			app, home := w.one("a", "b", "c"), w.one("north", "south")
			e.Hosts = append(e.Hosts, w.one("*/*", "./*", home+"/*", "*/"+app+"."+home+".svc.cluster.local", "./"+app+"."+namespace+".svc.cluster.local",
				home+"/"+app+"."+home+".svc.cluster.local", "*/*."+home+".svc.cluster.local", "~/*", "~"+home+"/*", "~/"+app+"."+home+".svc.cluster.local", "*/"+app, "./"+app))
		}
		if i == 0 && w.chance(4) {
			e.Port = &networkingapi.SidecarPort{Number: []uint32{80, 81, 3306}[w.IntN(3)], Protocol: "HTTP", Name: "egress"}
		}
		s.Spec.Egress = append(s.Spec.Egress, e)
		if e.Port == nil {
			break // the catch-all comes last
		}
	}
	for _, port := range ports[:3] {
		if w.chance(9) {
			s.Spec.Ingress = append(s.Spec.Ingress, &networkingapi.IstioIngressListener{
				Port: &networkingapi.SidecarPort{Number: uint32(port), Protocol: w.one("HTTP", "TCP", "GRPC-WEB", "HTTPS", "Redis", "unheard"), Name: fmt.Sprint("ingress-", port)}, DefaultEndpoint: fmt.Sprint("127.0.0.1:", port),
			})
		}
	}
	if w.chance(3) {
		s.Spec.OutboundTrafficPolicy = &networkingapi.OutboundTrafficPolicy{Mode: networkingapi.OutboundTrafficPolicy_Mode(w.IntN(2))}
	}
	return s
}

// objects are all of them, as a folder would hold them.
func (w *world) objects() []any {
	var all []any
	for _, o := range w.peers {
		all = append(all, o)
	}
	for _, o := range w.policies {
		all = append(all, o)
	}
	for _, o := range w.rules {
		all = append(all, o)
	}
	for _, o := range w.sidecars {
		all = append(all, o)
	}
	for _, o := range w.gateways {
		o.TypeMeta = metav1.TypeMeta{APIVersion: "gateway.networking.k8s.io/v1", Kind: "Gateway"}
		all = append(all, o)
	}
	return all
}
