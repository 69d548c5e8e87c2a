package audit

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// mayBear tells whether a selector may match the pods of a workload. A template
// does not hold every label of its pods: controllers and meshes add some, and of
// these the values are not known, so that whatever is asked of them counts as met.
func mayBear(w *model.Workload, selector *metav1.LabelSelector) bool {
	if selector == nil {
		return false
	}
	for key, value := range selector.MatchLabels {
		if got, there := w.Labels[key]; there && got == value {
			continue
		}
		if !addedLater(w, key, value) {
			return false
		}
	}
	for i := range selector.MatchExpressions {
		x := &selector.MatchExpressions[i]
		one := metav1.LabelSelector{MatchExpressions: selector.MatchExpressions[i : i+1]}
		if !model.Matches(&one, w.Labels) && !slices.ContainsFunc(append(x.Values, ""), func(value string) bool { return addedLater(w, x.Key, value) }) {
			return false
		}
	}
	return true
}

// addedLater tells whether pods may come to bear a label that their template does
// not have. An empty value asks for any.
func addedLater(w *model.Workload, key, value string) bool {
	if _, there := w.Labels[key]; there || w.Running {
		return false
	}
	switch key {
	case "job-name", "batch.kubernetes.io/job-name": // k8s.io/api batch/v1
		return w.ID.Kind == "Job" && (value == "" || value == w.ID.Name) || w.ID.Kind == "CronJob" && strings.HasPrefix(value, w.ID.Name)
	}
	return slices.Contains(controllerLabels(w.ID.Kind), key) || w.Facts.Meshed() && isOfMesh(key)
}

// controllerLabels are those that a controller puts on its pods (k8s.io/api apps/v1, batch/v1).
func controllerLabels(kind string) []string {
	switch kind {
	case "Deployment", "ReplicaSet":
		return []string{"pod-template-hash"}
	case "StatefulSet":
		return []string{"statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index", "controller-revision-hash"}
	case "DaemonSet":
		return []string{"controller-revision-hash", "pod-template-generation"}
	case "Job", "CronJob":
		return []string{"controller-uid", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-completion-index"}
	default:
		return nil
	}
}

// isOfMesh tells whether a label is one of those that injection sets.
func isOfMesh(key string) bool {
	domain, _, found := strings.Cut(key, "/")
	return found && (domain == "linkerd.io" || domain == "istio.io" || strings.HasSuffix(domain, ".istio.io"))
}

// bearer tells which pods of a namespace a selector may match, as policies would.
type bearer int8

const (
	// nobody is matched.
	nobody bearer = iota
	// hostsOnly: nobody but pods on their node's network, which policies do not find.
	hostsOnly
	// somebody is matched.
	somebody
)

// bears tells whether pods of a namespace that were read may match a selector; nil is for all of them.
func (e *Evidence) bears(namespace string, selector *metav1.LabelSelector) bearer {
	found := nobody
	look := func(w *model.Workload) {
		switch {
		case selector != nil && !mayBear(w, selector):
		case w.Spec.HostNetwork:
			found = max(found, hostsOnly)
		default:
			found = somebody
		}
	}
	for _, w := range e.workloadsIn(namespace) {
		look(w)
	}
	pods := e.Model.PodsIn(namespace)
	for i := range pods {
		look(&pods[i])
	}
	if found == nobody && selector != nil && (e.madeForGateway(namespace, selector) || e.behindService(namespace, selector)) {
		return somebody
	}
	return found
}

// behindService tells whether the pods of some Service must bear what a selector asks
// for, though none was read: a Service tells of pods by the labels that it asks of them.
func (e *Evidence) behindService(namespace string, selector *metav1.LabelSelector) bool {
	return slices.ContainsFunc(e.Model.Services, func(s model.Service) bool {
		return s.Namespace == namespace && len(s.Selector) > 0 && len(selector.MatchLabels) > 0 && model.Matches(selector, s.Selector) && !e.hasPods(&s)
	})
}

// hasPods tells whether some workload that was read is behind a Service.
func (e *Evidence) hasPods(s *model.Service) bool {
	return slices.ContainsFunc(e.workloadsIn(s.Namespace), func(w *model.Workload) bool {
		return model.Matches(&metav1.LabelSelector{MatchLabels: s.Selector}, w.Labels)
	})
}

// madeForGateway tells whether a selector means pods that a controller makes for a Gateway of the namespace.
func (e *Evidence) madeForGateway(namespace string, selector *metav1.LabelSelector) bool {
	name, asked := selector.MatchLabels["gateway.networking.k8s.io/gateway-name"]
	return asked && slices.ContainsFunc(e.Model.Existing, func(o model.Object) bool {
		ref := o.Ref()
		return ref.Kind == "Gateway" && ref.Group() == "gateway.networking.k8s.io" && ref.Namespace == namespace && ref.Name == name
	})
}

// runs tells whether some pods of a namespace were read.
func (e *Evidence) runs(namespace string) bool {
	return len(e.workloadsIn(namespace)) > 0 || len(e.Model.PodsIn(namespace)) > 0
}

// namespacesListed tells whether the namespaces of a whole cluster were read: kube-system
// is in each, and nobody has it among the manifests of an application.
func (e *Evidence) namespacesListed() bool {
	n := e.Model.Namespace("kube-system")
	return n != nil && n.Declared
}

// podsListed tells whether the pods of a whole cluster were read: those that run in kube-system are among them.
func (e *Evidence) podsListed() bool {
	running := func(w model.Workload) bool { return w.Running }
	return slices.ContainsFunc(e.Model.WorkloadsIn("kube-system"), running) || slices.ContainsFunc(e.Model.PodsIn("kube-system"), running)
}

// labelledService finds a Service of a namespace that bears the labels which a selector asks of pods, and has other pods.
func (e *Evidence) labelledService(namespace string, selector *metav1.LabelSelector) *model.Service {
	if selector == nil || model.IsEverything(selector) {
		return nil
	}
	for i := range e.Model.Services {
		if s := &e.Model.Services[i]; s.Namespace == namespace && len(s.Selector) > 0 && model.Matches(selector, s.Labels) && !model.Matches(selector, s.Selector) {
			return s
		}
	}
	return nil
}

// serviceHint says that labels of a Service are not those of its pods; empty where no Service bears what is asked for.
func (e *Evidence) serviceHint(namespace string, selector *metav1.LabelSelector) string {
	s := e.labelledService(namespace, selector)
	if s == nil {
		return ""
	}
	return "; Service " + s.Namespace + "/" + s.Name + " bears these labels, but policies look at pods, and its pods bear " +
		model.SelectorKey(&metav1.LabelSelector{MatchLabels: s.Selector})
}

// selectorText is a selector as a person reads it.
func selectorText(selector *metav1.LabelSelector) string {
	if model.IsEverything(selector) {
		return "every pod"
	}
	return model.SelectorKey(selector)
}
