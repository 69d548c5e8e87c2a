package istio

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// existing are the cluster's own objects that this dialect takes into account.
type existing struct {
	peerAuthentications   []model.Object
	authorizationPolicies []model.Object
	destinationRules      []model.Object
	sidecars              []model.Object
	gateways              []model.Object
	root                  string
}

func readExisting(objects []model.Object, root string) existing {
	e := existing{root: root}
	for _, o := range objects {
		ref := o.Ref()
		switch ref.Group() + " " + ref.Kind {
		case "security.istio.io PeerAuthentication":
			e.peerAuthentications = append(e.peerAuthentications, o)
		case "security.istio.io AuthorizationPolicy":
			e.authorizationPolicies = append(e.authorizationPolicies, o)
		case "networking.istio.io DestinationRule":
			e.destinationRules = append(e.destinationRules, o)
		case "networking.istio.io Sidecar":
			e.sidecars = append(e.sidecars, o)
		case "gateway.networking.k8s.io Gateway":
			e.gateways = append(e.gateways, o)
		}
	}
	return e
}

// matchLabels is spec.<field>.matchLabels of an Istio object, or nil where it selects everything.
func matchLabels(o *model.Object, path ...string) map[string]string {
	labels := map[string]string{}
	for key, value := range o.Map(append([]string{"spec"}, path...)...) {
		if text, ok := value.(string); ok {
			labels[key] = text
		}
	}
	if len(labels) == 0 {
		return nil
	}
	return labels
}

// text is the string at a path, or "".
func text(o *model.Object, path ...string) string {
	last := len(path) - 1
	value, _ := o.Map(path[:last]...)[path[last]].(string)
	return value
}

// selects tells whether labels of an Istio selector choose a pod; no labels choose every pod.
func selects(labels, pod map[string]string) bool {
	return model.Matches(&metav1.LabelSelector{MatchLabels: labels}, pod)
}

// byAge orders objects as Istio does where only the oldest counts: by
// creationTimestamp (RFC 3339 sorts as text), then by name. One without a timestamp
// beside one that has it is yet to be created. Without any, as in a folder,
// somebody else's is taken for older than ours.
func byAge(a, b model.Object) int {
	before, after := text(&a, "metadata", "creationTimestamp"), text(&b, "metadata", "creationTimestamp")
	switch {
	case before == "" && after == "":
		return cmp.Or(last(a.Owned(), b.Owned()), cmp.Compare(a.Ref().Name, b.Ref().Name))
	case before == "" || after == "":
		return last(before == "", after == "")
	default:
		return cmp.Or(cmp.Compare(before, after), cmp.Compare(a.Ref().Name, b.Ref().Name))
	}
}

// last orders what is so behind what is not.
func last(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

// peerAuthentication finds the PeerAuthentication that counts among those of
// its scope in a namespace: those without selector (pod is nil), or those whose
// selector chooses the pod. Nothing is merged: the oldest wins.
// (istio pilot/pkg/security/authn/policy_applier.go)
func (e *existing) peerAuthentication(namespace string, pod map[string]string) *model.Object {
	var found []model.Object
	for _, o := range e.peerAuthentications {
		labels := matchLabels(&o, "selector", "matchLabels")
		if o.Ref().Namespace != namespace || (pod == nil) != (labels == nil) {
			continue
		}
		if pod == nil || selects(labels, pod) {
			found = append(found, o)
		}
	}
	if len(found) == 0 {
		return nil
	}
	oldest := slices.MinFunc(found, byAge)
	return &oldest
}

func mtlsMode(o *model.Object) string {
	if o == nil {
		return ""
	}
	if mode := strings.ToUpper(text(o, "spec", "mtls", "mode")); mode != "UNSET" {
		return mode
	}
	return ""
}

// effectiveMode is the mode that existing objects give a pod, or a namespace
// where pod is nil: the workload's, else the namespace's, else the mesh's, else PERMISSIVE.
func (e *existing) effectiveMode(namespace string, pod map[string]string) string {
	var own string
	if pod != nil {
		own = mtlsMode(e.peerAuthentication(namespace, pod))
	}
	return cmp.Or(own, mtlsMode(e.peerAuthentication(namespace, nil)), mtlsMode(e.peerAuthentication(e.root, nil)), "PERMISSIVE")
}
