package istio

import (
	"fmt"
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
	From []struct {
		Source peerSource `json:"source"`
	} `json:"from"`
	To []struct {
		Operation requestOperation `json:"operation"`
	} `json:"to"`
	When []condition `json:"when"`
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
	if p.spec.TargetRef != nil {
		p.spec.TargetRefs = append(p.spec.TargetRefs, *p.spec.TargetRef)
	}
	p.spec.Action = strings.ToUpper(p.spec.Action)
	r.policies[ref.Namespace] = append(r.policies[ref.Namespace], p)
}

// enforcer is what judges by AuthorizationPolicies.
type enforcer struct {
	kind enforcerKind
	// tcp are the ports that are declared to carry no HTTP: requests do not show there.
	tcp []int32
	// at turns a port that policies name into those of the server; nil takes it as it is.
	at func(port int32) []int32
}

type enforcerKind int8

const (
	envoy enforcerKind = iota
	ztunnel
	grpc
)

// authorization is the filter of a workload's own proxy.
func (r *Reader) authorization(w *model.Workload) *model.Filter {
	e := enforcer{kind: envoy, tcp: tcpPorts(w)}
	switch w.Facts.Mode {
	case model.ModeAmbient:
		e = enforcer{kind: ztunnel}
	case model.ModeProxyless:
		e = enforcer{kind: grpc}
	}
	policies := r.policiesFor(w)
	g := r.gapsOf(w)
	key := fmt.Sprint("authz ", e.kind, e.tcp, w.ID.Namespace)
	for _, p := range policies {
		key += fmt.Sprint("/", p.ref.Namespace, p.number)
	}
	return r.remembered(key+g.key+string(w.Facts.Mode), func() *model.Filter { return r.join(policies, e, g.rules) })
}

// policiesFor are the policies that a workload's own proxy heeds: those of its
// namespace and of the root's that select it. Policies with targetRefs are for
// gateways and waypoints (pilot/pkg/model/policyattachment.go).
func (r *Reader) policiesFor(w *model.Workload) []*authorizationPolicy {
	gateway := w.Labels[gatewayNameLabel]
	return r.policiesIn([]string{r.root, w.ID.Namespace}, func(p *authorizationPolicy) bool {
		if len(p.spec.TargetRefs) == 0 {
			return p.spec.Selector == nil || selects(p.spec.Selector.MatchLabels, w.Labels)
		}
		return gateway != "" && slices.ContainsFunc(p.spec.TargetRefs, func(t targetRef) bool {
			return t.isGateway(gateway) && p.ref.Namespace == w.ID.Namespace
		})
	})
}

func (t *targetRef) isGateway(name string) bool {
	return t.Group == "gateway.networking.k8s.io" && t.Kind == "Gateway" && t.Name == name
}

func (r *Reader) policiesIn(namespaces []string, heeds func(*authorizationPolicy) bool) []*authorizationPolicy {
	var found []*authorizationPolicy
	slices.Sort(namespaces)
	for _, namespace := range slices.Compact(namespaces) {
		list := r.policies[namespace]
		for i := range list {
			if p := &list[i]; !p.dryRun && heeds(p) {
				found = append(found, p)
			}
		}
	}
	return found
}

// join makes one filter of policies: CUSTOM and DENY are judged before ALLOW, and
// where some ALLOW is there one has to match (pilot/pkg/security/authz/builder/builder.go).
func (r *Reader) join(policies []*authorizationPolicy, e enforcer, first []model.FilterRule) *model.Filter {
	f := &model.Filter{Layer: model.FilterAuthorization, Otherwise: model.Allow, Rules: slices.Clone(first)}
	for _, action := range []string{"CUSTOM", "DENY", ""} {
		for _, p := range policies {
			if p.spec.Action == action || action == "" && p.spec.Action == "ALLOW" {
				f.Rules = append(f.Rules, r.rulesOf(p, &e)...)
			}
		}
	}
	for _, p := range policies {
		allows := p.spec.Action == "" || p.spec.Action == "ALLOW"
		if allows && (e.kind != grpc || len(p.spec.Rules) > 0) {
			f.Otherwise = model.Deny
			f.Because = append(f.Because, model.Cause{Object: p.ref, Field: "spec.rules"})
		}
	}
	return f
}

// rulesOf turns the rules of one policy into those of a filter.
func (r *Reader) rulesOf(p *authorizationPolicy, e *enforcer) []model.FilterRule {
	effect, unknown := model.Allow, ""
	switch p.spec.Action {
	case "DENY":
		effect = model.Deny
	case "CUSTOM":
		if e.kind != envoy {
			return nil // neither ztunnel nor gRPC knows it
		}
		effect, unknown = model.Deny, fmt.Sprintf("the external provider %q decides", p.spec.Provider.Name)
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

// tcpPorts are the container ports that some Service declares to carry no HTTP.
func tcpPorts(w *model.Workload) []int32 {
	var ports []int32
	for _, s := range w.Services {
		for _, p := range s.Ports {
			if number := int32(targetPort(p, w)); declaredTCP(p) && number > 0 {
				ports = append(ports, number)
			}
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}
