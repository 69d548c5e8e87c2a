package istio

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"

	"floe.dev/palisade/model"
)

// authorizationPolicy is an AuthorizationPolicy as far as judging goes
// (istio.io/api security/v1beta1/authorization_policy.proto).
type authorizationPolicy struct {
	number int
	ref    model.Ref
	spec   authorizationSpec
	dryRun bool
	// unreadable tells that the object could not be read; then nothing of spec counts but the action.
	unreadable bool
}

type authorizationSpec struct {
	Selector *struct {
		MatchLabels map[string]string `json:"matchLabels"`
	} `json:"selector"`
	TargetRef  *targetRef            `json:"targetRef"`
	TargetRefs []targetRef           `json:"targetRefs"`
	Action     string                `json:"action"`
	Provider   struct{ Name string } `json:"provider"`
	Rules      []authorizationRule   `json:"rules"`
}

type targetRef struct {
	Group     string `json:"group"`
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

type authorizationRule struct {
	From []ruleFrom  `json:"from"`
	To   []ruleTo    `json:"to"`
	When []condition `json:"when"`
}

type ruleFrom struct {
	Source peerSource `json:"source"`
}

type ruleTo struct {
	Operation requestOperation `json:"operation"`
}

type peerSource struct {
	Principals           []string `json:"principals"`
	NotPrincipals        []string `json:"notPrincipals"`
	RequestPrincipals    []string `json:"requestPrincipals"`
	NotRequestPrincipals []string `json:"notRequestPrincipals"`
	Namespaces           []string `json:"namespaces"`
	NotNamespaces        []string `json:"notNamespaces"`
	ServiceAccounts      []string `json:"serviceAccounts"`
	NotServiceAccounts   []string `json:"notServiceAccounts"`
	TrustDomains         []string `json:"trustDomains"`
	NotTrustDomains      []string `json:"notTrustDomains"`
	IPBlocks             []string `json:"ipBlocks"`
	NotIPBlocks          []string `json:"notIpBlocks"`
	RemoteIPBlocks       []string `json:"remoteIpBlocks"`
	NotRemoteIPBlocks    []string `json:"notRemoteIpBlocks"`
}

type requestOperation struct {
	Hosts      []string `json:"hosts"`
	NotHosts   []string `json:"notHosts"`
	Ports      []string `json:"ports"`
	NotPorts   []string `json:"notPorts"`
	Methods    []string `json:"methods"`
	NotMethods []string `json:"notMethods"`
	Paths      []string `json:"paths"`
	NotPaths   []string `json:"notPaths"`
}

type condition struct {
	Key       string   `json:"key"`
	Values    []string `json:"values"`
	NotValues []string `json:"notValues"`
}

func (r *Reader) addPolicy(o *model.Object) {
	ref := o.Ref()
	p := authorizationPolicy{number: len(r.policies[ref.Namespace]), ref: ref}
	p.dryRun, _ = strconv.ParseBool(o.Annotations()["istio.io/dry-run"])
	if spec := o.Map("spec"); spec != nil {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(spec, &p.spec); err != nil {
			r.unreadable(o, err)
			p.unreadable, p.spec = true, authorizationSpec{Action: text(o, "spec", "action")}
		}
	}
	if p.spec.TargetRef != nil && len(p.spec.TargetRefs) == 0 {
		p.spec.TargetRefs = []targetRef{*p.spec.TargetRef}
	}
	if p.spec.Action = strings.ToUpper(p.spec.Action); p.spec.Action == "" {
		p.spec.Action = "ALLOW"
	}
	r.policies[ref.Namespace] = append(r.policies[ref.Namespace], p)
}

// enforcer is what judges by AuthorizationPolicies.
type enforcer struct {
	kind enforcerKind
	// http are the ports where requests show, tcp those where they do not, disputed those
	// where it is not known; on every other each connection is looked at.
	http, tcp, disputed []int32
	// at are the ports that policies may name, with those of the server that they mean; nil takes ports as they are.
	at []namedTarget
	// addresses are those that connections end at; none where they are not known.
	addresses []netip.Addr
}

// namedTarget is a port of a Service, and the server's behind it.
type namedTarget struct{ port, target int32 }

type enforcerKind int8

const (
	envoy enforcerKind = iota
	ztunnel
	grpc
)

// carry notes what ports carry.
func (e *enforcer) carry(ports map[int32]carries) {
	e.http, e.tcp, e.disputed = portsThat(ports, carriesHTTP), portsThat(ports, carriesTCP), portsThat(ports, disputed)
}

// enforcerOf is a workload's own proxy. What a gateway's ports carry is for its Gateway to say, and not known here.
func (r *Reader) enforcerOf(w *model.Workload) enforcer {
	e := enforcer{kind: envoy, addresses: w.Addresses}
	switch {
	case w.Facts.Mode == model.ModeAmbient:
		e.kind = ztunnel
	case w.Facts.Mode == model.ModeProxyless:
		e.kind = grpc
	case !isGateway(w):
		e.carry(r.carriedTo(w))
	}
	return e
}

// authorization is the filter of a workload's own proxy.
func (r *Reader) authorization(w *model.Workload) *model.Filter {
	e := r.enforcerOf(w)
	policies := r.policiesFor(w)
	g := r.gapsOf(w)
	k := key{}.of("authz").number(int(e.kind)).ports(e.http).ports(e.tcp).ports(e.disputed).of(w.ID.Namespace)
	for _, p := range policies {
		k = k.of(p.ref.Namespace).number(p.number)
		if p.namesDestination() {
			k = k.of(w.ID.String(), fmt.Sprint(e.addresses))
		}
	}
	return r.remembered(k.of(g.key, string(w.Facts.Mode)), func() *model.Filter { return r.join(policies, e, g.rules) })
}

// namesDestination tells whether the server's addresses matter to a policy.
func (p *authorizationPolicy) namesDestination() bool {
	return slices.ContainsFunc(p.spec.Rules, func(rule authorizationRule) bool {
		return slices.ContainsFunc(rule.When, func(when condition) bool { return when.Key == "destination.ip" })
	})
}

// policiesFor are the policies that a workload's own proxy heeds: those of its
// namespace and of the root's that select it. Policies with targetRefs are for
// gateways and waypoints (pilot/pkg/model/policyattachment.go). To ztunnel, one
// with an empty selector is given for no workload (pilot/pkg/serviceregistry/ambient/workloads.go, buildWorkloadPolicies).
func (r *Reader) policiesFor(w *model.Workload) []*authorizationPolicy {
	gateway := w.Labels[gatewayNameLabel]
	return r.policiesIn([]string{r.root, w.ID.Namespace}, func(p *authorizationPolicy) bool {
		if selector := p.spec.Selector; len(p.spec.TargetRefs) == 0 {
			lost := selector != nil && selector.MatchLabels == nil && w.Facts.Mode == model.ModeAmbient
			return selector == nil || !lost && selects(selector.MatchLabels, w.Labels)
		}
		return gateway != "" && slices.ContainsFunc(p.spec.TargetRefs, func(t targetRef) bool {
			return t.isGateway(gateway, w.ID.Namespace) && p.ref.Namespace == w.ID.Namespace
		})
	})
}

func (t *targetRef) isGateway(name, namespace string) bool {
	return t.Group == gatewayGroup && t.Kind == "Gateway" && t.Name == name && (t.Namespace == "" || t.Namespace == namespace)
}

func (r *Reader) policiesIn(namespaces []string, heeds func(*authorizationPolicy) bool) []*authorizationPolicy {
	var found []*authorizationPolicy
	slices.Sort(namespaces)
	for _, namespace := range slices.Compact(namespaces) {
		list := r.policies[namespace]
		for i := range list {
			if p := &list[i]; heeds(p) {
				found = append(found, p)
			}
		}
	}
	return found
}

// enforces tells whether policies count. Those in dry run do not, but gRPC does not
// know of it (pilot/pkg/networking/grpcgen/lds.go), and of CUSTOM they still ask the
// provider (pilot/pkg/security/authz/builder/builder.go).
func (e *enforcer) enforces(p *authorizationPolicy) bool {
	switch p.spec.Action {
	case "CUSTOM":
		return e.kind == envoy // neither ztunnel nor gRPC knows it
	case "ALLOW", "DENY":
		return !p.dryRun || e.kind == grpc
	default:
		return false
	}
}

// join makes one filter of policies: CUSTOM and DENY are judged before ALLOW, and
// where some ALLOW is there one has to match (pilot/pkg/security/authz/builder/builder.go).
func (r *Reader) join(policies []*authorizationPolicy, e enforcer, first []model.FilterRule) *model.Filter {
	f := &model.Filter{Layer: model.FilterAuthorization, Otherwise: model.Allow, Rules: slices.Clone(first)}
	for _, action := range []string{"CUSTOM", "DENY", "ALLOW"} {
		for _, p := range policies {
			if p.spec.Action != action || !e.enforces(p) {
				continue
			}
			f.Rules = append(f.Rules, r.rulesOf(p, &e)...)
			if action == "ALLOW" && (e.kind != grpc || p.unreadable || slices.ContainsFunc(p.spec.Rules, func(rule authorizationRule) bool { return rule.known() })) {
				f.Otherwise = model.Deny
				f.Because = append(f.Because, model.Cause{Object: p.ref, Field: "spec.rules"})
			}
		}
	}
	return f
}

// rulesOf turns the rules of one policy into those of a filter.
func (r *Reader) rulesOf(p *authorizationPolicy, e *enforcer) []model.FilterRule {
	effect, unknown := model.Deny, ""
	switch p.spec.Action {
	case "ALLOW":
		effect = model.Allow
	case "CUSTOM":
		unknown = fmt.Sprintf("the external provider %q decides", p.spec.Provider.Name)
	}
	if p.unreadable {
		return []model.FilterRule{{Effect: effect, Unknown: "the policy cannot be read", Cause: model.Cause{Object: p.ref, Field: "spec"}}}
	}
	var rules []model.FilterRule
	for i := range p.spec.Rules {
		t := &ruleReader{Reader: r, policy: p, rule: &p.spec.Rules[i], enforcer: e, effect: effect}
		t.cause = model.Cause{Object: p.ref, Field: fmt.Sprintf("spec.rules[%d]", i)}
		for _, rule := range t.read() {
			if unknown != "" {
				rule.Unknown = unknown
			}
			rules = append(rules, rule)
		}
	}
	return rules
}
