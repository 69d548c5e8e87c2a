package linkerd

import (
	"fmt"
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// Findings reports what in the cluster keeps Linkerd from holding the posture.
func Findings(m *model.Model) []model.Finding {
	var all []model.Finding
	for i := range m.Namespaces {
		n := &m.Namespaces[i]
		if !wantsMesh(n) {
			continue
		}
		workloads := m.WorkloadsIn(n.Name)
		all = append(all, undeclaredPorts(m, n, workloads)...)
		for j := range workloads {
			if workloads[j].Facts.Meshed() {
				all = append(all, probesWithQuery(m, &workloads[j])...)
			}
		}
	}
	all = append(all, openings(m)...)
	slices.SortFunc(all, model.CompareFindings)
	return all
}

// wantsMesh tells whether a profile asks anything of the mesh for a namespace.
func wantsMesh(n *model.Namespace) bool {
	return n.Posture != nil && (n.Posture.Mesh.MTLS != "" || n.Posture.Mesh.Authorization)
}

// undeclaredPorts reports pods whose ports without a Server are open: Servers
// hold declared ports only, and the default inbound policy all others.
func undeclaredPorts(m *model.Model, n *model.Namespace, workloads []model.Workload) []model.Finding {
	const most = 3
	var all []model.Finding
	byPolicy := map[string][]string{}
	for i := range workloads {
		w := &workloads[i]
		if !w.Facts.Meshed() {
			continue
		}
		if own, found := w.Annotations[inboundPolicy]; found {
			if !authenticates(own) {
				all = append(all, model.NewFinding("UndeclaredPortsOpen", model.Warning, w.Ref(), "metadata.annotations["+inboundPolicy+"]",
					fmt.Sprintf("the pods' default inbound policy is %q: ports that no manifest declares take any client, without mTLS", own), undeclaredFix(n.Name)))
			}
			continue
		}
		policy := m.Cluster.Mesh.Linkerd.DefaultInboundPolicy
		if of, found := n.Annotations[inboundPolicy]; found && !w.Running {
			policy = of
		}
		if !authenticates(policy) {
			byPolicy[policy] = append(byPolicy[policy], w.ID.String())
		}
	}
	for policy, ids := range byPolicy {
		names := strings.Join(ids[:min(len(ids), most)], ", ")
		if len(ids) > most {
			names += fmt.Sprintf(" and %d more", len(ids)-most)
		}
		said := fmt.Sprintf("is %q", policy)
		if policy == "" {
			said = "is not known (Linkerd's own default lets everyone in)"
		}
		all = append(all, model.NewFinding("UndeclaredPortsOpen", model.Warning, n.Ref(), "metadata.annotations["+inboundPolicy+"]",
			fmt.Sprintf("the default inbound policy of %s %s: ports that no manifest declares take any client, without mTLS", names, said), undeclaredFix(n.Name)))
	}
	return all
}

// authenticates tells whether a default inbound policy asks for an identity of the mesh.
func authenticates(policy string) bool {
	return policy == "deny" || policy == "all-authenticated" || policy == "cluster-authenticated"
}

func undeclaredFix(namespace string) string {
	return fmt.Sprintf("kubectl annotate namespace %s %s=deny, then restart the workloads: pods get the annotation when they are created", namespace, inboundPolicy)
}

// probesWithQuery reports HTTP probes that Linkerd does not permit of itself: before
// 2.14 it compares the declared path, query included, with the path of the request (linkerd2#10934).
func probesWithQuery(m *model.Model, w *model.Workload) []model.Finding {
	if release, known := parseRelease(m.Cluster.Mesh.Version); known && release.atLeast(probeQueries) {
		return nil
	}
	var all []model.Finding
	for _, p := range probes(w) {
		if p.kind == probeHTTP && strings.Contains(p.path, "?") {
			all = append(all, model.NewFinding("ProbeWithQuery", model.Warning, w.Ref(), w.TemplatePath()+p.field, queryMessage(&p), queryFix))
		}
	}
	return all
}

// openings reports objects of somebody else's that let clients without an
// identity in: beside palisade's they still count.
func openings(m *model.Model) []model.Finding {
	var all []model.Finding
	for i := range m.Existing {
		o := &m.Existing[i]
		ref := o.Ref()
		if ref.Group() != policyGroup || o.Owned() {
			continue
		}
		if n := m.Namespace(ref.Namespace); n == nil || !wantsMesh(n) {
			continue
		}
		if field, what := opening(o); field != "" {
			all = append(all, model.NewFinding("PlaintextAuthorized", model.Warning, ref, field,
				what+": clients without an identity of the mesh are let in", "name identities (MeshTLSAuthentication), or delete the object"))
		} else if field := widening(o); field != "" && m.Namespace(ref.Namespace).Posture.Mesh.Authorization {
			all = append(all, model.NewFinding("AuthorizationPolicyWidens", model.Warning, ref, field,
				"it counts for the Servers of palisade's too: what it allows is allowed beside what the rules of "+ref.Namespace+" declare",
				"declare it in a TrafficRule and delete the object"))
		}
	}
	return all
}

// widening is the field by which a policy of somebody else's counts for Servers
// of ours: it is for the whole namespace, or names one, or selects their labels.
func widening(o *model.Object) string {
	switch o.Ref().Kind {
	case "AuthorizationPolicy":
		target := o.Map("spec", "targetRef")
		name, _ := target["name"].(string)
		if target["kind"] == "Namespace" || target["kind"] == "Server" && strings.HasPrefix(name, model.NamePrefix) {
			return "spec.targetRef"
		}
	case "ServerAuthorization":
		server := o.Map("spec", "server")
		name, _ := server["name"].(string)
		if strings.HasPrefix(name, model.NamePrefix) {
			return "spec.server.name"
		}
		if selector := server["selector"]; selector != nil && mayMatch(selector, map[string]string{model.ManagedByLabel: model.ManagedByValue}) {
			return "spec.server.selector"
		}
	}
	return ""
}

func opening(o *model.Object) (field, what string) {
	spec := o.Map("spec")
	switch o.Ref().Kind {
	case "Server":
		if policy, _ := spec["accessPolicy"].(string); strings.HasSuffix(policy, "-unauthenticated") || policy == "audit" {
			return "spec.accessPolicy", fmt.Sprintf("the Server's access policy is %q", policy)
		}
	case "AuthorizationPolicy":
		list, _ := spec["requiredAuthenticationRefs"].([]any)
		identified := slices.ContainsFunc(list, func(item any) bool {
			ref, _ := item.(map[string]any)
			return ref["kind"] == "MeshTLSAuthentication" || ref["kind"] == "ServiceAccount"
		})
		if !identified {
			return "spec.requiredAuthenticationRefs", "the policy asks for no identity"
		}
	case "ServerAuthorization":
		if o.Map("spec", "client")["unauthenticated"] == true {
			return "spec.client.unauthenticated", "the authorization is for unauthenticated clients"
		}
	}
	return "", ""
}
