package linkerd

import (
	"fmt"
	"net/netip"
	"slices"

	"floe.dev/palisade/model"
)

// requireIdentity lists ports on which the default policy demands an identity whatever it says.
const requireIdentity = "config.linkerd.io/proxy-require-identity-inbound-ports"

// The default inbound policies (linkerd2 policy-controller/k8s/index/src/defaults.rs).
const (
	allUnauthenticated     = "all-unauthenticated"
	allAuthenticated       = "all-authenticated"
	clusterUnauthenticated = "cluster-unauthenticated"
	clusterAuthenticated   = "cluster-authenticated"
	policyDeny             = "deny"
	policyAudit            = "audit"
)

func isPolicy(text string) bool {
	return slices.Contains([]string{allUnauthenticated, allAuthenticated, clusterUnauthenticated, clusterAuthenticated, policyDeny, policyAudit}, text)
}

// defaultPolicy is what holds on the ports of a workload that no Server selects.
type defaultPolicy struct {
	// policy is empty where it is not known.
	policy string
	cause  model.Cause
	// required are ports that demand an identity all the same.
	required      []model.Port
	requiredCause model.Cause
	// probed are ports with HTTP probes, and their paths.
	probed []probedPort
}

type probedPort struct {
	port  int32
	paths []string
}

// defaultOf finds the default policy of a workload: that of its annotation, where
// Linkerd knows the value, else the cluster's.
func (r *Reader) defaultOf(w *model.Workload) defaultPolicy {
	d := defaultPolicy{policy: r.dialect.mesh.Linkerd.DefaultInboundPolicy}
	said, field, found := annotation(w, inboundPolicy)
	switch {
	case found && isPolicy(said):
		d.policy, d.cause = said, causeAt(w, field, fmt.Sprintf("no Server selects the port, and the default inbound policy is %q", said))
	case isPolicy(d.policy):
		d.cause.Message = fmt.Sprintf("no Server selects the port, and the cluster's default inbound policy is %q (proxy.defaultInboundPolicy)", d.policy)
	default:
		d.policy, d.cause.Message = "", "no Server selects the port, and the cluster's default inbound policy (proxy.defaultInboundPolicy) is not known"
	}
	if d.policy == allUnauthenticated || d.policy == clusterUnauthenticated {
		d.require(w)
	}
	if d.policy != allUnauthenticated && d.policy != policyAudit || len(d.required) > 0 {
		d.probed = r.probedOf(w)
	}
	return d
}

// key is equal for policies that lead to the same rules.
func (d *defaultPolicy) key() string {
	key := " else " + d.policy + causeKey(d.cause)
	if len(d.required) > 0 {
		key += " but " + joinPorts(d.required) + causeKey(d.requiredCause)
	}
	for _, p := range d.probed {
		key += fmt.Sprintf(" probed %d%q", p.port, p.paths)
	}
	return key
}

// require reads the ports that demand an identity. A list of which some part is no port counts for
// nothing (linkerd2 policy-controller/k8s/index/src/ports.rs).
func (d *defaultPolicy) require(w *model.Workload) {
	list, field, _ := annotation(w, requireIdentity)
	if ports, bad := parsePorts(list, nil); len(ports) > 0 && len(bad) == 0 {
		d.required = ports
		d.requiredCause = causeAt(w, field, "the default inbound policy demands an identity on these ports")
	}
}

// probedOf are the ports whose probes Linkerd permits of itself under the default
// policy. On those that the pod's own list makes opaque there are no requests to permit.
func (r *Reader) probedOf(w *model.Workload) []probedPort {
	own := *w
	own.Services = nil
	opaque := r.dialect.opaquePorts(&own)
	var probed []probedPort
	for _, p := range probes(w) {
		paths := probePaths(w, p.port)
		if last := len(probed) - 1; len(paths) > 0 && !contains(opaque, p.port) && (last < 0 || probed[last].port != p.port) {
			probed = append(probed, probedPort{p.port, paths})
		}
	}
	return probed
}

// finish gives a filter the default policy, for the ports that no Server holds.
func (r *Reader) finish(f *model.Filter, d *defaultPolicy) {
	for _, p := range d.probed {
		f.Rules = append(f.Rules, probeRule(p.paths, p.port))
	}
	if len(d.required) > 0 {
		strict := allAuthenticated
		if d.policy == clusterUnauthenticated {
			strict = clusterAuthenticated
		}
		rules, _ := r.byPolicy(strict, d.requiredCause)
		for _, rule := range append(rules, model.FilterRule{Effect: model.Deny, Cause: d.requiredCause}) {
			rule.Ports = portTerms(d.required)
			f.Rules = append(f.Rules, rule)
		}
	}
	rules, otherwise := r.byPolicy(d.policy, d.cause)
	f.Rules, f.Otherwise, f.Because = append(f.Rules, rules...), otherwise, []model.Cause{d.cause}
}

// byPolicy turns a policy into what it lets in, and what happens to others.
func (r *Reader) byPolicy(policy string, cause model.Cause) (rules []model.FilterRule, otherwise model.Effect) {
	rule := model.FilterRule{Effect: model.Allow, Cause: cause}
	anybodyNamed := []model.NameTerm{{Of: model.NamePrincipal, Patterns: []string{"*"}}}
	switch policy {
	case allUnauthenticated, policyAudit: // audit lets in and notes it
		return nil, model.Allow
	case policyDeny:
		return nil, model.Deny
	case allAuthenticated:
		rule.Peers = []model.Term{{Names: anybodyNamed}}
	case clusterUnauthenticated:
		rule.Peers = []model.Term{{In: r.cluster}}
	case clusterAuthenticated:
		rule.Peers = []model.Term{{Names: anybodyNamed, In: r.cluster}}
	default:
		rule.Unknown = cause.Message
	}
	return []model.FilterRule{rule}, model.Deny
}

// clusterNetworks are those of the installation, or the chart's default (charts/linkerd-control-plane values.yaml, clusterNetworks).
func clusterNetworks(facts *model.LinkerdFacts) []model.AddressBlock {
	networks := facts.ClusterNetworks
	if len(networks) == 0 {
		networks = defaultNetworks
	}
	blocks := make([]model.AddressBlock, len(networks))
	for i, n := range networks {
		blocks[i].CIDR = n
	}
	return blocks
}

var defaultNetworks = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("fd00::/8"),
}
