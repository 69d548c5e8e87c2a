package istio

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"floe.dev/palisade/model"
)

// namesNobody reports names in a policy that no client can bear, or that nobody bears who was read.
func (a *auditor) namesNobody(p *authorizationPolicy) {
	for i := range p.spec.Rules {
		rule := &p.spec.Rules[i]
		for j := range rule.From {
			s, at := &rule.From[j].Source, fmt.Sprintf("spec.rules[%d].from[%d].source", i, j)
			a.principals(p, at+".principals", s.Principals, false)
			a.principals(p, at+".notPrincipals", s.NotPrincipals, true)
			a.nobody(p, at+".serviceAccounts", a.unknownAccounts(accountsIn(p, s.ServiceAccounts)))
			a.nobody(p, at+".namespaces", a.unknownNamespaces(s.Namespaces))
		}
		for j := range rule.When {
			when, at := &rule.When[j], fmt.Sprintf("spec.rules[%d].when[%d]", i, j)
			switch when.Key {
			case "source.principal":
				a.principals(p, at+".values", when.Values, false)
				a.principals(p, at+".notValues", when.NotValues, true)
			case "source.namespace":
				a.nobody(p, at+".values", a.unknownNamespaces(when.Values))
			}
		}
	}
}

// principals judges patterns of principals: whether some identity of the mesh may
// match at all, then whether anybody bears it.
func (a *auditor) principals(p *authorizationPolicy, field string, patterns []string, not bool) {
	var wrong, accounts []string
	var why string
	for _, pattern := range patterns {
		if reason := a.impossible(p, pattern); reason != "" {
			wrong = append(wrong, pattern)
			if why == "" {
				why = reason
			}
			continue
		}
		if parts := strings.Split(pattern, "/"); len(parts) == 5 && parts[1] == "ns" && parts[3] == "sa" && !strings.Contains(parts[2]+parts[4], "*") {
			accounts = append(accounts, parts[2]+"/"+parts[4])
		}
	}
	if len(wrong) > 0 {
		effect := p.lets() + " nobody by that name"
		if not {
			effect = "excepts nobody by that name"
		}
		a.find("TrustDomainMismatch", model.Error, p.ref, field, fmt.Sprintf("no identity of the mesh matches %s: %s; the rule %s", strings.Join(wrong, ", "), why, effect),
			"write the principal as <trust domain>/ns/<namespace>/sa/<service account>"+a.domainHint())
	}
	a.nobody(p, field, a.unknownAccounts(accounts))
}

func (a *auditor) domainHint() string {
	if a.mesh.TrustDomain == "" {
		return ""
	}
	return ", with the mesh's trust domain " + a.mesh.TrustDomain
}

// impossible says why a pattern matches no identity "<trust domain>/ns/<namespace>/sa/<account>", or is empty.
func (a *auditor) impossible(p *authorizationPolicy, pattern string) string {
	if strings.HasPrefix(pattern, "spiffe://") {
		return "Istio puts spiffe:// before it once more"
	}
	if strings.HasPrefix(pattern, "*") {
		return ""
	}
	prefix, wild := strings.CutSuffix(pattern, "*")
	parts := strings.Split(pattern, "/")
	if !wild && len(parts) != 5 || !fitsParts(parts) {
		return "it is not of the form <trust domain>/ns/<namespace>/sa/<service account>"
	}
	if a.mesh.TrustDomain == "" || len(parts) == 1 {
		return "" // not known, or a part of a trust domain
	}
	return a.foreignDomain(p, parts[0], prefix)
}

// fitsParts tells whether the parts of a name, of which the last may be cut short by a wildcard, stand where they belong.
func fitsParts(parts []string) bool {
	for i, part := range parts {
		want := map[int]string{1: "ns", 3: "sa"}[i]
		short, wild := strings.CutSuffix(part, "*")
		switch {
		case i > 4, part == "":
			return false
		case want == "" || part == want:
		case !wild || i != len(parts)-1 || !strings.HasPrefix(want, short):
			return false
		}
	}
	return true
}

// foreignDomain says why a trust domain is not the mesh's. Envoy takes cluster.local and aliases
// for it (pilot/pkg/security/trustdomain/bundle.go); ztunnel and gRPC take names to the letter.
func (a *auditor) foreignDomain(p *authorizationPolicy, domain, prefix string) string {
	own := append([]string{a.mesh.TrustDomain}, a.mesh.TrustDomainAliases...)
	if slices.ContainsFunc(own, func(d string) bool { return domain == d || globMatches(domain, d) }) || slices.Contains(a.furtherDomains(), domain) {
		if domain == a.mesh.TrustDomain || !a.toTheLetter(p) {
			return ""
		}
		return fmt.Sprintf("the trust domain %s is an alias of the mesh's (%s), and all that enforces the policy takes names to the letter", domain, a.mesh.TrustDomain)
	}
	switch {
	case domain != defaultTrustDomain || len(strings.Split(prefix, "/")) != 5:
		return fmt.Sprintf("the trust domain %s is neither the mesh's (%s) nor an alias of it", domain, a.mesh.TrustDomain)
	case a.toTheLetter(p):
		return fmt.Sprintf("the mesh's trust domain is %s, and only sidecars and gateways take %s for it", a.mesh.TrustDomain, defaultTrustDomain)
	default:
		return ""
	}
}

// toTheLetter tells whether nothing that enforces a policy translates trust domains.
func (a *auditor) toTheLetter(p *authorizationPolicy) bool {
	return len(a.selected[p]) > 0 && !slices.ContainsFunc(a.selected[p], func(w *model.Workload) bool {
		return w.Facts.Mode != model.ModeAmbient && w.Facts.Mode != model.ModeProxyless
	})
}

// furtherDomains are trust domains whose certificates the mesh takes beside its own (MeshConfig.caCertificates).
func (a *auditor) furtherDomains() []string {
	var all []string
	for i := range a.m.Existing {
		o := &a.m.Existing[i]
		data, _ := o.Map("data")["mesh"].(string)
		if ref := o.Ref(); ref.Kind != "ConfigMap" || !named(ref.Name, "istio") || data == "" {
			continue
		}
		var config struct {
			Certificates []struct {
				TrustDomains []string `json:"trustDomains"`
			} `json:"caCertificates"`
		}
		if yaml.Unmarshal([]byte(data), &config) == nil {
			for _, c := range config.Certificates {
				all = append(all, c.TrustDomains...)
			}
		}
	}
	return all
}

func accountsIn(p *authorizationPolicy, names []string) []string {
	accounts := slices.Clone(names)
	for i, name := range accounts {
		if !strings.Contains(name, "/") {
			accounts[i] = p.ref.Namespace + "/" + name
		}
	}
	return accounts
}

// unknown are names that nobody bears, and whether that is for certain as far as was read.
type unknown struct {
	names []string
	// sure tells that all of their namespaces were read.
	sure bool
	why  string
}

// unknownAccounts finds service accounts as which nothing runs that was read, or nothing in the mesh.
func (a *auditor) unknownAccounts(accounts []string) unknown {
	u := unknown{sure: true}
	for _, account := range accounts {
		namespace, name, _ := strings.Cut(account, "/")
		why, sure := a.runsAs(namespace, name)
		if why == "" {
			continue
		}
		u.names, u.sure = append(u.names, account), u.sure && sure
		if u.why == "" {
			u.why = why
		}
	}
	return u
}

func (a *auditor) runsAs(namespace, name string) (why string, sure bool) {
	workloads := a.m.WorkloadsIn(namespace)
	out := ""
	for i := range workloads {
		w := a.atBest(&workloads[i])
		if w.ServiceAccount != name {
			continue
		}
		if w.Facts.Meshed() || runsGateway(w) || !a.enrolmentKnown(w) {
			return "", true
		}
		out = w.ID.String()
	}
	switch {
	case out != "":
		return out + " runs as it outside the mesh, and brings no identity", true
	case a.gatewayRunsAs(namespace, name):
		return "", true
	case namespace == a.root && len(workloads) == 0:
		return "", true // the mesh's own gateways, of which nothing was read
	case a.m.Namespace(namespace) == nil:
		return "nothing of namespace " + namespace + " was read", a.wholeCluster()
	case len(workloads) == 0:
		return "no workload of namespace " + namespace + " was read", false
	case a.accounts()[namespace+"/"+name]:
		return "the ServiceAccount is there, and no workload that was read runs as it", false
	default:
		return "no workload that was read runs as it", true
	}
}

// accounts are the ServiceAccounts that were read: something may make pods of its own that run as one.
func (a *auditor) accounts() map[string]bool {
	if a.read == nil {
		a.read = map[string]bool{}
		for ref := range a.objects {
			if ref.Kind == "ServiceAccount" && ref.Group() == "" {
				a.read[ref.Namespace+"/"+ref.Name] = true
			}
		}
	}
	return a.read
}

// gatewayRunsAs tells whether it is the account that Istio makes for a Gateway of its own class (pilot/pkg/config/kube/gateway/deploymentcontroller.go).
func (a *auditor) gatewayRunsAs(namespace, account string) bool {
	for key, o := range a.gateways {
		class := text(o, "spec", "gatewayClassName")
		if key[0] == namespace && (account == key[1]+"-"+class || account == key[1] || account == o.Annotations()["gateway.istio.io/service-account"]) {
			return true
		}
	}
	return false
}

// unknownNamespaces finds namespaces of which nothing was read; one of patterns has to match some.
func (a *auditor) unknownNamespaces(patterns []string) unknown {
	u := unknown{sure: a.wholeCluster(), why: "there is no such namespace among those that were read"}
	for _, pattern := range patterns {
		parts := strings.Split(pattern, "*")
		known := pattern == a.root || slices.ContainsFunc(a.m.Namespaces, func(n model.Namespace) bool { return pattern == n.Name || len(parts) > 1 && starMatches(parts, n.Name) })
		if !known {
			u.names = append(u.names, pattern)
		}
	}
	return u
}

func (a *auditor) nobody(p *authorizationPolicy, field string, u unknown) {
	if len(u.names) == 0 {
		return
	}
	severity, not := model.Warning, ""
	if !u.sure {
		severity, not = model.Info, ", so it is not known whether anybody bears it"
	}
	a.find("PrincipalUnknown", severity, p.ref, field, fmt.Sprintf("it names %s: %s%s", strings.Join(u.names, ", "), u.why, not), "correct the name, or take it out")
}
