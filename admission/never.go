package admission

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/cluster"
)

// fault is something that can never be right.
type fault struct {
	Field, Message, Fix string
}

func (f fault) String() string { return f.Field + ": " + f.Message + "; " + f.Fix }

// never is one reason to refuse an object.
type never struct {
	// name is stable, and the anchor in docs/admission.md.
	name string
	// why says why no cluster could make it right.
	why  string
	find func(object any) []fault
}

// nevers is the list of all that is refused. The schemas of the kinds are not on it: an API
// server holds objects to its own, which may be newer than this program.
var nevers = []never{
	{"selector-malformed", "a selector that is no valid label selector matches nothing, or nobody can say what; a schema cannot check it", malformedSelectors},
	{"peer-without-namespace", "a profile lives in no namespace, so a peer of it that names none is nowhere", peersWithoutNamespace},
	{"except-outside-cidr", "an exception that does not lie within its range leaves nothing out, and one that covers it leaves nothing in; a NetworkPolicy with it is refused by every API server", exceptsOutside},
	{"http-on-other-protocol", "HTTP runs over TCP: requests on a UDP or SCTP port cannot be limited by any mesh, so the rule would stay closed for ever", httpOnOtherProtocols},
	{"limits-below-requests", "an API server refuses every pod that is given such resources", limitsBelowRequests},
	{"registry-with-scheme", "an image reference has no scheme and no spaces, so no image comes from such a registry, and all would be refused", registriesWithScheme},
}

// neverRight lists what is wrong with an object (a pointer to one of palisade's own kinds) in every cluster.
func neverRight(object any) []fault {
	var all []fault
	for _, n := range nevers {
		all = append(all, n.find(object)...)
	}
	return all
}

func malformedSelectors(object any) []fault {
	var faults []fault
	for _, f := range cluster.SelectorFaults(object) {
		faults = append(faults, fault{f.Field, f.Message, "correct the selector: keys and values as in labels, operators In, NotIn, Exists and DoesNotExist"})
	}
	return faults
}

func peersWithoutNamespace(object any) []fault {
	p, ok := object.(*v1alpha1.SecurityProfile)
	if !ok {
		return nil
	}
	var faults []fault
	for _, list := range []struct {
		field string
		peers []v1alpha1.PodPeer
	}{{"ingressGateways", p.Spec.Network.IngressGateways}, {"prometheus", p.Spec.Network.Prometheus}} {
		for i := range list.peers {
			if peer := &list.peers[i]; peer.Namespace == "" && peer.NamespaceSelector == nil {
				faults = append(faults, fault{
					fmt.Sprintf("spec.network.%s[%d]", list.field, i), "names neither a namespace nor a namespaceSelector, and a profile has no namespace of its own", "add one",
				})
			}
		}
	}
	return faults
}

// block is a range with its exceptions, and where it stands.
type block struct {
	field  string
	cidr   v1alpha1.CIDR
	except []v1alpha1.CIDR
}

func blocksOf(object any) []block {
	var blocks []block
	switch o := object.(type) {
	case *v1alpha1.TrafficRule:
		for i := range o.Spec.From {
			blocks = append(blocks, block{fmt.Sprintf("spec.from[%d]", i), o.Spec.From[i].CIDR, o.Spec.From[i].Except})
		}
	case *v1alpha1.ExternalAccess:
		for i := range o.Spec.To {
			blocks = append(blocks, block{fmt.Sprintf("spec.to[%d]", i), o.Spec.To[i].CIDR, o.Spec.To[i].Except})
		}
	}
	return blocks
}

func exceptsOutside(object any) []fault {
	var faults []fault
	for _, b := range blocksOf(object) {
		cidr, err := netip.ParsePrefix(string(b.cidr))
		if err != nil {
			continue // the schema says so
		}
		for i, text := range b.except {
			except, err := netip.ParsePrefix(string(text))
			if err != nil {
				continue
			}
			field := fmt.Sprintf("%s.except[%d]", b.field, i)
			switch {
			case except.Bits() <= cidr.Bits() && except.Contains(cidr.Masked().Addr()):
				faults = append(faults, fault{field, fmt.Sprintf("%s covers all of cidr %s, so that nothing is left", text, b.cidr), "except a part of it, or drop the entry"})
			case !cidr.Contains(except.Masked().Addr()):
				faults = append(faults, fault{field, fmt.Sprintf("%s does not lie within cidr %s, so that it leaves nothing out", text, b.cidr), "except a part of cidr, or drop it"})
			}
		}
	}
	return faults
}

func httpOnOtherProtocols(object any) []fault {
	r, ok := object.(*v1alpha1.TrafficRule)
	if !ok || len(r.Spec.HTTP) == 0 {
		return nil
	}
	var faults []fault
	for i := range r.Spec.Ports {
		if p := r.Spec.Ports[i].Protocol; p != "" && p != corev1.ProtocolTCP {
			faults = append(faults, fault{
				fmt.Sprintf("spec.ports[%d].protocol", i), fmt.Sprintf("is %s in a rule that is limited to HTTP requests, which run over TCP", p), "write a rule of its own for that port, without http",
			})
		}
	}
	return faults
}

func limitsBelowRequests(object any) []fault {
	p, ok := object.(*v1alpha1.SecurityProfile)
	if !ok || p.Spec.Workload == nil || p.Spec.Workload.Resources == nil {
		return nil
	}
	resources := p.Spec.Workload.Resources
	var faults []fault
	for _, name := range sortedNames(resources.Requests) {
		request := resources.Requests[name]
		if limit, limited := resources.Limits[name]; limited && limit.Cmp(request) < 0 {
			faults = append(faults, fault{
				fmt.Sprintf("spec.workload.resources.requests[%s]", name), fmt.Sprintf("%s is above the limit, %s", request.String(), limit.String()), "lower the request or raise the limit",
			})
		}
	}
	for _, list := range []struct {
		field string
		of    corev1.ResourceList
	}{{"limits", resources.Limits}, {"requests", resources.Requests}} {
		for _, name := range sortedNames(list.of) {
			if quantity := list.of[name]; quantity.Cmp(resource.Quantity{}) < 0 {
				faults = append(faults, fault{fmt.Sprintf("spec.workload.resources.%s[%s]", list.field, name), quantity.String() + " is below zero", "give a quantity of zero or more"})
			}
		}
	}
	return faults
}

func sortedNames(list corev1.ResourceList) []corev1.ResourceName {
	names := make([]corev1.ResourceName, 0, len(list))
	for name := range list {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func registriesWithScheme(object any) []fault {
	p, ok := object.(*v1alpha1.SecurityProfile)
	if !ok || p.Spec.Workload == nil {
		return nil
	}
	var faults []fault
	for i, registry := range p.Spec.Workload.AllowedRegistries {
		if strings.Contains(registry, "://") || strings.ContainsAny(registry, " \t\n") {
			faults = append(faults, fault{
				fmt.Sprintf("spec.workload.allowedRegistries[%d]", i), fmt.Sprintf("%q is not how an image reference begins", registry), `write it as images name it, "registry.example/team"`,
			})
		}
	}
	return faults
}
