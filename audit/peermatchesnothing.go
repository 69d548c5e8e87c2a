package audit

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// peerMatchesNothing is a peer of a NetworkPolicy whose selectors match no pod.
// A folder often holds one application: pods of namespaces that were not read may be
// meant, and then it is for the record only.
func peerMatchesNothing() Kind {
	return Kind{
		Code: "PeerMatchesNothing", Severities: []model.Severity{model.Warning, model.Info},
		Says: "a rule of a NetworkPolicy names peers that no pod matches",
		Why:  "The rule opens nothing, so the connections that it was written for are refused, and nothing says so.",
		Fix:  "name labels that the pods bear, which are those of the template in their Deployment and not those of a Service",
		Find: findPeerMatchesNothing,
	}
}

func findPeerMatchesNothing(e *Evidence) []model.Finding {
	var found []model.Finding
	for i := range e.Policies {
		p := &e.Policies[i]
		var notRead []string
		field := ""
		eachPeer(p, func(at string, peer *networkingv1.NetworkPolicyPeer) {
			u := e.unmatched(p.Namespace, peer)
			switch u.severity {
			case model.Warning:
				found = append(found, peerMatchesNothing().At(model.Warning, p.Ref(), at, u.says, u.fix))
			case model.Info:
				if field == "" {
					field = at
				}
				notRead = append(notRead, u.says)
			}
		})
		if field != "" {
			found = append(found, peerMatchesNothing().At(model.Info, p.Ref(), field,
				fmt.Sprintf("no pod that was read matches %s: the pods may be elsewhere, for not all of the cluster was read", firstFew(notRead)),
				"check the labels, or read the manifests of those namespaces as well"))
		}
	}
	return found
}

// unmatched is why a peer matches nobody; the severity is empty where it may match somebody.
type unmatched struct {
	severity model.Severity
	// says is a sentence, and for Info only what the peer asks for.
	says, fix string
}

func (e *Evidence) unmatched(home string, peer *networkingv1.NetworkPolicyPeer) unmatched {
	if peer.PodSelector == nil && peer.NamespaceSelector == nil {
		return unmatched{}
	}
	asked := peerText(home, peer)
	namespaces := []string{home}
	if peer.NamespaceSelector != nil {
		namespaces = e.chosenNamespaces(peer.NamespaceSelector)
	}
	if len(namespaces) == 0 {
		return e.noNamespace(peer.NamespaceSelector, asked)
	}
	matched, allRead, hint := e.matchedIn(namespaces, peer.PodSelector)
	certain := e.podsListed() || hint != "" || allRead && (peer.NamespaceSelector == nil || len(pinned(peer.NamespaceSelector)) > 0)
	switch {
	case matched == somebody:
		return unmatched{}
	case matched == hostsOnly:
		return unmatched{model.Warning, fmt.Sprintf("%s are only pods on their node's network, which no selector finds: this peer lets nobody through", asked),
			"allow the addresses of their nodes with an ipBlock"}
	case certain:
		return unmatched{model.Warning, fmt.Sprintf("no pod that was read matches %s: this peer lets nobody through%s", asked, hint), ""}
	default:
		return unmatched{severity: model.Info, says: asked}
	}
}

// matchedIn tells who of some namespaces a selector matches, whether pods of all of
// these were read, and what Services say to the labels.
func (e *Evidence) matchedIn(namespaces []string, selector *metav1.LabelSelector) (matched bearer, allRead bool, hint string) {
	matched, allRead = nobody, true
	for _, namespace := range namespaces {
		matched = max(matched, e.bears(namespace, selector))
		allRead = allRead && e.runs(namespace)
		if hint == "" {
			hint = e.serviceHint(namespace, selector)
		}
	}
	return matched, allRead, hint
}

// noNamespace is for a namespaceSelector that chooses no namespace that was read.
func (e *Evidence) noNamespace(selector *metav1.LabelSelector, asked string) unmatched {
	switch _, name := e.meant(selector); {
	case name != "":
		return unmatched{} // NamespaceLabelUnknown says it
	case e.namespacesListed() && (len(pinned(selector)) > 0 || e.allDeclared()):
		return unmatched{model.Warning, fmt.Sprintf("no namespace matches %s: this peer lets nobody through", selectorText(selector)), "name labels that a namespace bears"}
	default:
		if _, by := selector.MatchLabels["name"]; by {
			asked += " (the label that every namespace bears is " + corev1.LabelMetadataName + ")"
		}
		return unmatched{severity: model.Info, says: asked}
	}
}

// chosenNamespaces are those that were read and that a selector chooses.
func (e *Evidence) chosenNamespaces(selector *metav1.LabelSelector) []string {
	var names []string
	for i := range e.Model.Namespaces {
		if n := &e.Model.Namespaces[i]; model.Matches(selector, n.Labels) {
			names = append(names, n.Name)
		}
	}
	return names
}

// allDeclared tells whether the labels of all namespaces that are known of were read.
func (e *Evidence) allDeclared() bool {
	for i := range e.Model.Namespaces {
		if !e.Model.Namespaces[i].Declared {
			return false
		}
	}
	return true
}

// pinned are the names by which a selector chooses namespaces; nil where it chooses by other labels.
func pinned(selector *metav1.LabelSelector) []string {
	if name, ok := selector.MatchLabels[corev1.LabelMetadataName]; ok {
		return []string{name}
	}
	for _, x := range selector.MatchExpressions {
		if x.Key == corev1.LabelMetadataName && x.Operator == metav1.LabelSelectorOpIn {
			return x.Values
		}
	}
	return nil
}

// peerText says whom a peer asks for.
func peerText(home string, peer *networkingv1.NetworkPolicyPeer) string {
	pods := "pods"
	if peer.PodSelector != nil && !model.IsEverything(peer.PodSelector) {
		pods += " " + model.SelectorKey(peer.PodSelector)
	}
	switch {
	case peer.NamespaceSelector == nil:
		return pods + " in namespace " + home
	case model.IsEverything(peer.NamespaceSelector):
		return pods + " in any namespace"
	default:
		return pods + " in namespaces " + model.SelectorKey(peer.NamespaceSelector)
	}
}
