package istio

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	securityapi "istio.io/api/security/v1beta1"
	typeapi "istio.io/api/type/v1beta1"
	security "istio.io/client-go/pkg/apis/security/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

const denyAllName = model.NamePrefix + "deny-all"

var authorizationPolicyType = metav1.TypeMeta{APIVersion: "security.istio.io/v1", Kind: "AuthorizationPolicy"}

// authorization writes the default deny of a namespace and the allows of its
// flows, or what of them the stage asks for. Every allow names its ports: in ambient
// all of them arrive on 15008, where a NetworkPolicy cannot tell them apart (istio#56659).
func (c *compilation) authorization(n *model.Namespace) {
	stage := c.authorizationStage(n)
	if stage == model.StageObserve || c.m.IsHeld(n.Name, model.LayerAuthorization) {
		return
	}
	if c.mesh.TrustDomain == "" {
		c.trustDomainUnknown(n)
		return
	}
	a := &authorization{
		compilation: c, namespace: n, stage: stage, opens: stage != model.StageEnforce && c.opened(n),
		targets: map[string]*target{}, waypoints: map[string]*servicePolicy{},
		servers: c.meshed(n.Name),
	}
	for _, f := range c.toNamespace[n.Name] {
		a.flow(f)
	}
	for _, w := range a.servers {
		a.relaxed(w)
	}
	a.write()
}

func (c *compilation) trustDomainUnknown(n *model.Namespace) {
	control := c.mesh.Namespace
	if control == "" {
		control = "<Istio's namespace>"
	}
	c.problem("TrustDomainUnknown", model.Error, n.Ref(), "",
		"principals begin with the mesh's trust domain, which is not known: no AuthorizationPolicy is written, neither deny nor allow",
		fmt.Sprintf("say --trust-domain, or read the ConfigMap %s/istio (-f)", control))
}

// authorization is the work on one namespace.
type authorization struct {
	*compilation
	namespace *model.Namespace
	// stage is how far it is written; opens tells that palisade-open stands beside it.
	stage   model.Stage
	opens   bool
	servers []*model.Workload
	// targets are the policies for pods, by the labels that they select.
	targets map[string]*target
	// waypoints are the policies for Services behind a waypoint, by Service.
	waypoints map[string]*servicePolicy
	// asksWaypoint tells that some workload needs the waypoint that palisade writes.
	asksWaypoint origins
}

// target is one policy for the pods that labels select; no labels select the whole namespace.
type target struct {
	labels map[string]string
	*ruleSet
}

func (a *authorization) target(labels map[string]string) *target {
	key := model.SelectorKey(&metav1.LabelSelector{MatchLabels: labels})
	if a.targets[key] == nil {
		a.targets[key] = &target{labels: labels, ruleSet: newRuleSet()}
	}
	return a.targets[key]
}

// flow adds what one flow allows.
func (a *authorization) flow(f *model.Flow) {
	f, left := a.expressible(f)
	if !left {
		return
	}
	ports := a.numbers(f.Ports, f.Origin.Ref)
	servers := a.serversOf(f, ports)
	if len(ports) == 0 || len(servers) == 0 && len(f.Server.Workloads) > 0 {
		return // nothing that a proxy would see
	}
	var direct []*model.Workload
	for _, w := range servers {
		a.unseenHTTP(f, w, ports)
		if wp := a.waypointFor(w, f); wp != nil {
			a.behindWaypoint(w, wp, f, ports)
			continue
		}
		direct = append(direct, w)
	}
	if len(servers) > 0 && len(direct) == 0 {
		return
	}
	for _, group := range a.bySources(f, direct) {
		whole := len(group.servers) == len(servers)
		for _, labels := range a.labelsFor(f, group.servers, whole) {
			a.target(labels).allow(f.Origin, group.sources, ports, f.HTTP)
		}
	}
}

// serversOf are the meshed servers of a flow in this namespace whose proxies see some of its ports.
func (a *authorization) serversOf(f *model.Flow, ports []uint32) []*model.Workload {
	var servers []*model.Workload
	for _, id := range f.Server.Workloads {
		w := a.m.Workload(id)
		if id.Namespace != a.namespace.Name || w == nil || !w.Facts.Meshed() {
			continue
		}
		if len(a.capturedPorts(w, f, ports)) > 0 {
			servers = append(servers, w)
		}
	}
	return servers
}

// sourceGroup are servers that let in the same clients of a flow.
type sourceGroup struct {
	sources []string
	servers []*model.Workload
}

// bySources groups servers by the clients that can reach them under an
// identity; a flow to no workload yet makes one group with no servers.
func (a *authorization) bySources(f *model.Flow, servers []*model.Workload) []*sourceGroup {
	if len(servers) == 0 {
		return []*sourceGroup{{sources: a.sources(f, nil)}}
	}
	var groups []*sourceGroup
	for _, w := range servers {
		sources := a.sources(f, w)
		at := slices.IndexFunc(groups, func(g *sourceGroup) bool { return slices.Equal(g.sources, sources) })
		if at < 0 {
			groups = append(groups, &sourceGroup{sources: sources})
			at = len(groups) - 1
		}
		groups[at].servers = append(groups[at].servers, w)
	}
	return groups
}

// sources are the clients of a flow as a server's rules name them. A client
// without identity cannot be named: it stays out, and that is said. Where the
// posture is permissive it is let in among those without identity, as far as
// the network lets it come: permissive means that it may still call in plaintext.
func (a *authorization) sources(f *model.Flow, server *model.Workload) []string {
	var sources []string
	for _, id := range f.Client.Workloads {
		client := a.m.Workload(id)
		if client == nil {
			continue
		}
		if reason := a.nameless(client, server); reason != "" {
			switch {
			case f.Plaintext:
			case a.namespace.Posture.Mesh.MTLS == model.MTLSPermissive && !client.Facts.Meshed():
				sources = append(sources, strangers(server)...)
			default:
				a.clientHasNoIdentity(f, client, server, reason)
			}
			continue
		}
		sources = append(sources, client.Facts.Identity)
	}
	if f.Plaintext {
		sources = append(sources, strangers(server)...)
	} else if f.Client.Kind != model.PeerPods {
		a.foreignClient(f, server)
	}
	slices.Sort(sources)
	return slices.Compact(sources)
}

// strangers are clients without identity. A gateway takes no mesh identity on
// its listeners, and may ask its own clients for certificates, so there the port
// alone decides. A proxyless server takes none at all.
func strangers(server *model.Workload) []string {
	switch {
	case server != nil && isGateway(server):
		return []string{anySource}
	case server != nil && server.Facts.Mode == model.ModeProxyless:
		return nil
	default:
		return []string{noIdentity}
	}
}

func (a *authorization) nameless(client, server *model.Workload) string {
	switch {
	case !client.Facts.Meshed():
		return client.Facts.Outside
	case client.Facts.Identity == "":
		return "its identity is not known"
	case server != nil:
		return cannotMeet(&client.Facts, &server.Facts)
	default:
		return ""
	}
}

// clientHasNoIdentity says that a client cannot be named. It stays silent where
// the server takes it without a name, and where a finding says already that
// strict mTLS will refuse a pod outside the mesh.
func (a *authorization) clientHasNoIdentity(f *model.Flow, client, server *model.Workload, reason string) {
	if server != nil && server.ExemptsAll(model.LayerAuthorization, f.Ports) {
		return
	}
	if server != nil && !client.Facts.Meshed() && a.namespace.Posture.Mesh.MTLS == model.MTLSStrict && !server.ExemptsAll(model.LayerMTLS, f.Ports) {
		return
	}
	to := "the servers of " + f.Origin.Ref.String()
	if server != nil {
		to = server.ID.String()
	}
	a.problem("ClientHasNoIdentity", model.Warning, client.Ref(), "",
		fmt.Sprintf("%s cannot be allowed to call %s (%s), since it brings no identity there: %s; its calls will be refused", client.ID, to, f.Origin, reason),
		"enrol the client in the mesh, or exempt the server's port from MTLS and Authorization for the time being")
}

// foreignClient says that a client which is no pod and is not let in without
// identity stays out. The kubelet's probes are no such case where the proxy lets them by.
func (a *authorization) foreignClient(f *model.Flow, server *model.Workload) {
	if f.Client.Kind == model.PeerNodes || server == nil {
		return // said with the mTLS mode, where it matters
	}
	a.problem("ClientHasNoIdentity", model.Warning, f.Origin.Ref, "",
		fmt.Sprintf("%s: clients of the kind %s bring no mesh identity to %s; their calls will be refused", f.Origin, f.Client.Kind, server.ID), "")
}

// labelsFor are the selectors for some servers of a flow: the flow's own where
// it says just these and is made of labels only, else one for each server.
func (a *authorization) labelsFor(f *model.Flow, servers []*model.Workload, whole bool) []map[string]string {
	selector := &f.Server.PodSelector
	if whole && len(selector.MatchExpressions) == 0 && f.Server.Namespace == a.namespace.Name {
		return []map[string]string{selector.MatchLabels}
	}
	if len(servers) == 0 {
		a.problem("SelectorNotExpressible", model.Warning, f.Origin.Ref, "spec.to",
			"Istio's selectors have no expressions, and no workload matches these today: nothing is opened in the mesh until one does", "choose the servers by matchLabels")
		return nil
	}
	var list []map[string]string
	for _, w := range servers {
		if labels := a.ownLabels(w, servers); labels != nil {
			list = append(list, labels)
		}
	}
	return list
}

// ownLabels chooses one workload without choosing any but the given ones beside it.
func (a *authorization) ownLabels(w *model.Workload, allowed []*model.Workload) map[string]string {
	var spills []string
	for _, labels := range []map[string]string{selectorLabels(w), w.Labels} {
		if len(labels) == 0 {
			continue
		}
		spills = nil
		for _, o := range a.servers {
			if selects(labels, o.Labels) && !slices.Contains(allowed, o) {
				spills = append(spills, o.ID.String())
			}
		}
		if len(spills) == 0 {
			return labels
		}
	}
	message := "the pods have no labels that an Istio selector could choose them by: what is allowed to them stays closed in the mesh"
	if len(spills) > 0 {
		message = "every selector of its pods also chooses those of " + strings.Join(spills, ", ") + ": what is allowed to it alone stays closed in the mesh"
	}
	a.problem("SelectorNotExpressible", model.Error, w.Ref(), "spec.selector", message, "give the pods a label of their own")
	return nil
}

// relaxed opens a workload, or some of its ports, to whoever the network lets through.
func (a *authorization) relaxed(w *model.Workload) {
	for _, r := range w.Relaxed {
		if r.Layer != model.LayerAuthorization {
			continue
		}
		ports := []uint32{everyPort}
		if r.Ports != nil {
			ports = a.numbers(r.Ports, r.Origin.Ref)
		}
		if labels := a.ownLabels(w, []*model.Workload{w}); labels != nil {
			a.target(labels).allow(r.Origin, []string{anySource}, ports, nil)
		}
		a.relaxServices(w, r.Origin, ports)
	}
}

func (a *authorization) writeAllows() {
	for _, key := range slices.Sorted(maps.Keys(a.targets)) {
		t := a.targets[key]
		rules := t.rules()
		if len(rules) == 0 {
			continue
		}
		selector := &metav1.LabelSelector{MatchLabels: t.labels}
		policy := &security.AuthorizationPolicy{
			TypeMeta: authorizationPolicyType, ObjectMeta: meta(a.namespace, allowName(selector), t.from),
		}
		if len(t.labels) > 0 {
			policy.Spec.Selector = &typeapi.WorkloadSelector{MatchLabels: t.labels}
		}
		policy.Spec.Action = securityapi.AuthorizationPolicy_ALLOW
		policy.Spec.Rules = rules
		a.policy(policy, model.PhaseAllow)
	}
}

func allowName(selector *metav1.LabelSelector) string {
	if model.IsEverything(selector) {
		return model.NamePrefix + "allow-namespace"
	}
	return model.NameForSelector(selector)
}
