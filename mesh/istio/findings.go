package istio

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// Findings are faults of the user's own objects, as Istio reads them: what
// switches mTLS off or breaks it, what survives beside ours, what Istio ignores.
func Findings(m *model.Model) []model.Finding {
	mesh := m.Cluster.Mesh
	r := &faultReader{m: m, existing: readExisting(m.Existing, rootNamespace(&mesh))}
	for i := range r.existing.destinationRules {
		r.destinationRule(&r.existing.destinationRules[i])
	}
	for i := range r.existing.peerAuthentications {
		r.peerAuthentication(&r.existing.peerAuthentications[i])
	}
	for i := range r.existing.authorizationPolicies {
		r.authorizationPolicy(&r.existing.authorizationPolicies[i])
		r.authorizationPolicyBlocks(&r.existing.authorizationPolicies[i])
	}
	slices.SortFunc(r.findings, model.CompareFindings)
	return slices.Compact(r.findings)
}

// faultReader judges existing objects.
type faultReader struct {
	m        *model.Model
	existing existing
	findings []model.Finding
}

func (r *faultReader) find(code string, severity model.Severity, o *model.Object, field, message, fix string) {
	r.findings = append(r.findings, model.NewFinding(code, severity, o.Ref(), field, message, fix))
}

// destinationRule judges every TLS mode of a rule against the servers of its
// host. A rule always wins over auto-mTLS (istio pilot/pkg/xds/endpoints/mtls_checker.go).
func (r *faultReader) destinationRule(o *model.Object) {
	settings := tlsSettings(o)
	if o.Owned() || len(settings) == 0 {
		return
	}
	var strict, permissive, out []string
	for _, w := range r.serversOf(o) {
		switch {
		case !w.Facts.Meshed():
			out = append(out, w.ID.String())
		case r.modeOf(w) == "STRICT":
			strict = append(strict, w.ID.String())
		default:
			permissive = append(permissive, w.ID.String())
		}
	}
	for _, s := range settings {
		switch {
		case s.mode == "ISTIO_MUTUAL" && len(out) > 0:
			r.find("DestinationRuleToUnmeshedServer", model.Error, o, s.field,
				fmt.Sprintf("clients are told to speak the mesh's mTLS to %s, which %s outside the mesh: their calls fail", someOf(out), areOrIs(out)),
				"enrol the servers in the mesh, or drop the tls setting: clients find out by themselves")
		case s.mode != "ISTIO_MUTUAL" && len(strict) > 0:
			r.find("DestinationRuleDisablesMTLS", model.Error, o, s.field,
				fmt.Sprintf("mode %s wins over automatic mTLS, and %s will take nothing but the mesh's own: their calls fail", s.mode, someOf(strict)),
				"drop the tls setting, or set ISTIO_MUTUAL")
		case s.mode != "ISTIO_MUTUAL" && len(permissive) > 0:
			r.find("DestinationRuleDisablesMTLS", model.Warning, o, s.field,
				fmt.Sprintf("mode %s switches the mesh's mTLS off towards %s", s.mode, someOf(permissive)),
				"drop the tls setting, or set ISTIO_MUTUAL")
		}
	}
}

// someOf joins the first few of a list: a rule for *.local has hundreds of servers.
func someOf(list []string) string {
	const most = 5
	joined := strings.Join(list[:min(len(list), most)], ", ")
	if rest := len(list) - most; rest > 0 {
		joined += fmt.Sprintf(", %d more", rest)
	}
	return joined
}

func areOrIs(list []string) string {
	if len(list) > 1 {
		return "are"
	}
	return "is"
}

func (r *faultReader) serversOf(o *model.Object) []*model.Workload {
	host := text(o, "spec", "host")
	var servers []*model.Workload
	for i := range r.m.Services {
		s := &r.m.Services[i]
		if !hostMatches(host, o.Ref().Namespace, r.m.Cluster.Domain, s) || len(s.Selector) == 0 {
			continue
		}
		workloads := r.m.WorkloadsIn(s.Namespace)
		for j := range workloads {
			if w := &workloads[j]; selects(s.Selector, w.Labels) && !slices.Contains(servers, w) {
				servers = append(servers, w)
			}
		}
	}
	return servers
}

// modeOf is the mode that a workload has, or will have by its namespace's posture.
func (r *faultReader) modeOf(w *model.Workload) string {
	if n := r.m.Namespace(w.ID.Namespace); n != nil && n.Posture != nil && n.Posture.Mesh.MTLS == model.MTLSStrict {
		if w.Exempts(model.LayerMTLS, model.TCP(everyPort)) {
			return "PERMISSIVE"
		}
		return "STRICT"
	}
	return r.existing.effectiveMode(w.ID.Namespace, w.Labels)
}

// peerAuthentication reports downgrades that stay in force beside ours, and what Istio ignores.
func (r *faultReader) peerAuthentication(o *model.Object) {
	if o.Owned() {
		return
	}
	ref, selector := o.Ref(), matchLabels(o, "selector", "matchLabels")
	if selector != nil && ref.Namespace == r.existing.root {
		r.find("PeerAuthenticationIgnored", model.Info, o, "spec.selector",
			"Istio ignores a PeerAuthentication with a selector in the root namespace", "move it to the namespace of the workloads")
		return
	}
	severity, fix := model.Warning, "set the mode STRICT once all clients are in the mesh, or delete it"
	if n := r.m.Namespace(ref.Namespace); n != nil && n.Posture != nil {
		fix = "move it into an Exemption with an end, and delete it"
	} else if !r.counts(o, selector) {
		return // it lets nobody in: see the audit's PeerAuthenticationIgnored and PeerAuthenticationShadowed
	}
	if r.wantsStrict(ref.Namespace) {
		severity = model.Error
	}
	if mode := mtlsMode(o); mode == "PERMISSIVE" || mode == "DISABLE" {
		r.find("PeerAuthenticationDowngrade", severity, o, "spec.mtls.mode",
			fmt.Sprintf("mode %s lets %s take plaintext", mode, scopeOf(ref.Namespace, selector, r.existing.root)), fix)
	}
	ports := o.Map("spec", "portLevelMtls")
	if selector == nil {
		ports = nil // Istio heeds modes of ports beside a selector only
	}
	for _, port := range slices.Sorted(maps.Keys(ports)) {
		fields, _ := ports[port].(map[string]any)
		mode, _ := fields["mode"].(string)
		if mode = strings.ToUpper(mode); mode == "PERMISSIVE" || mode == "DISABLE" {
			r.find("PeerAuthenticationDowngrade", severity, o, "spec.portLevelMtls["+port+"].mode",
				fmt.Sprintf("mode %s lets port %s of %s take plaintext", mode, port, scopeOf(ref.Namespace, selector, r.existing.root)), fix)
		}
	}
}

// counts tells whether a PeerAuthentication counts for its namespace, or for some pods: whether
// there are any, and whether it is the oldest of its scope.
func (r *faultReader) counts(o *model.Object, selector map[string]string) bool {
	is := func(first *model.Object) bool { return first != nil && first.Ref() == o.Ref() }
	if selector == nil {
		return is(r.existing.peerAuthentication(o.Ref().Namespace, nil))
	}
	return slices.ContainsFunc(r.m.WorkloadsIn(o.Ref().Namespace), func(w model.Workload) bool {
		return selects(selector, w.Labels) && is(r.existing.peerAuthentication(w.ID.Namespace, w.Labels))
	}) || len(r.m.WorkloadsIn(o.Ref().Namespace)) == 0
}

func (r *faultReader) wantsStrict(namespace string) bool {
	n := r.m.Namespace(namespace)
	return n != nil && n.Posture != nil && n.Posture.Mesh.MTLS == model.MTLSStrict
}

func scopeOf(namespace string, selector map[string]string, root string) string {
	switch {
	case selector != nil:
		return "the pods it selects"
	case namespace == root:
		return "the whole mesh"
	default:
		return "namespace " + namespace
	}
}

// authorizationPolicy reports allows of others in namespaces whose allows are
// ours: Istio lets in what any of them matches. Those of the root namespace
// count everywhere.
func (r *faultReader) authorizationPolicy(o *model.Object) {
	rules, _ := o.Map("spec")["rules"].([]any)
	action := strings.ToUpper(text(o, "spec", "action"))
	dryRun := o.Annotations()["istio.io/dry-run"] == "true"
	if o.Owned() || dryRun || len(rules) == 0 || action != "" && action != "ALLOW" {
		return
	}
	where := r.authorizedNamespaces(o.Ref().Namespace)
	if len(where) == 0 {
		return
	}
	r.find("AuthorizationPolicyWidens", model.Warning, o, "spec.rules",
		fmt.Sprintf("what this policy allows is allowed beside what the rules of %s declare", strings.Join(where, ", ")),
		"declare it in a TrafficRule and delete the policy")
}

func (r *faultReader) authorizedNamespaces(namespace string) []string {
	var names []string
	for i := range r.m.Namespaces {
		n := &r.m.Namespaces[i]
		if n.Posture != nil && n.Posture.Mesh.Authorization && (namespace == n.Name || namespace == r.existing.root) {
			names = append(names, n.Name)
		}
	}
	return names
}
