package audit

import (
	"fmt"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// webhookCanDeadlock is a webhook of failurePolicy Fail that judges the creation of
// pods where it must not: of its own, which then cannot come back once they are
// gone, of kube-system, or of the mesh. Each namespace is looked at by its labels;
// where these are not known, or expressions decide too, nothing is reported.
func webhookCanDeadlock() Kind {
	return Kind{
		Code: "WebhookCanDeadlock", Severities: []model.Severity{model.Warning},
		Says: "a webhook that fails closed judges its own pods, or those that the cluster lives by",
		Why:  "While the webhook is down no pod is created there: neither its own, which would bring it back, nor those of the network, of DNS, or of the mesh that it may need itself.",
		Fix:  "exclude these namespaces by the webhook's namespaceSelector (kubernetes.io/metadata.name NotIn …), or set failurePolicy: Ignore",
		Find: findWebhookCanDeadlock,
	}
}

func findWebhookCanDeadlock(e *Evidence) []model.Finding {
	var found []model.Finding
	for i := range e.Webhooks {
		w := &e.Webhooks[i]
		if !w.Blocks || w.Conditions || !judgesPods(w) {
			continue
		}
		if message := e.deadlock(w); message != "" {
			found = append(found, webhookCanDeadlock().At(model.Warning, w.Ref, w.Field+".namespaceSelector", message, ""))
		}
	}
	return found
}

// judgesPods tells whether a webhook is asked about new pods.
func judgesPods(w *Webhook) bool {
	has := func(list []string, names ...string) bool {
		return slices.ContainsFunc(list, func(s string) bool { return slices.Contains(names, s) })
	}
	return slices.ContainsFunc(w.Rules, func(r admissionregistrationv1.RuleWithOperations) bool {
		creates := slices.ContainsFunc(r.Operations, func(o admissionregistrationv1.OperationType) bool {
			return o == admissionregistrationv1.Create || o == admissionregistrationv1.OperationAll
		})
		return creates && has(r.APIGroups, "", "*") && has(r.APIVersions, "v1", "*") && has(r.Resources, "pods", "*", "*/*") && (r.Scope == nil || *r.Scope != admissionregistrationv1.ClusterScope)
	})
}

// deadlock says whose pods a webhook keeps from being created while it is down, or is empty.
func (e *Evidence) deadlock(w *Webhook) string {
	mesh := e.Model.Cluster.Mesh.Namespace
	if c := w.Call; c != nil {
		if own := e.ownPods(c); len(own) > 0 && slices.ContainsFunc(own, func(pod *model.Workload) bool { return e.judges(w, c.Namespace, pod.Labels) }) {
			return fmt.Sprintf("it fails closed and judges pods of its own namespace %s, %s among them: once they are gone, they cannot come back", c.Namespace, named(own))
		}
	}
	if e.judges(w, "kube-system", nil) {
		return "it fails closed and judges pods of kube-system: while it is down, the cluster's own pods cannot be created"
	}
	if mesh != "" && e.judges(w, mesh, nil) {
		return fmt.Sprintf("it fails closed and judges pods of %s: while it is down, the mesh's control plane cannot come back", mesh)
	}
	return ""
}

// ownPods are the workloads that answer a webhook, each once.
func (e *Evidence) ownPods(c *Call) []*model.Workload {
	var own []*model.Workload
	e.calledAt(c, func(w *model.Workload, _ model.Port) {
		if !slices.Contains(own, w) {
			own = append(own, w)
		}
	})
	return own
}

// judges tells whether a webhook surely judges pods with some labels in a namespace. Without
// labels it is asked of any pods, of whose labels nothing is known.
func (e *Evidence) judges(w *Webhook, namespace string, pod map[string]string) bool {
	labels := map[string]string{corev1.LabelMetadataName: namespace}
	declared := false
	if n := e.Model.Namespace(namespace); n != nil {
		labels, declared = n.Labels, n.Declared
	}
	if !everything(w.NamespaceSelector) && (!declared && !onlyByName(w.NamespaceSelector) || !model.Matches(w.NamespaceSelector, labels)) {
		return false
	}
	if everything(w.ObjectSelector) {
		return true
	}
	return model.Matches(w.ObjectSelector, pod) && (pod != nil || len(w.ObjectSelector.MatchLabels) == 0)
}

func everything(selector *metav1.LabelSelector) bool {
	return selector == nil || model.IsEverything(selector)
}

// onlyByName tells whether a selector looks at nothing but the label that every namespace bears.
func onlyByName(selector *metav1.LabelSelector) bool {
	for key := range selector.MatchLabels {
		if key != corev1.LabelMetadataName {
			return false
		}
	}
	return !slices.ContainsFunc(selector.MatchExpressions, func(e metav1.LabelSelectorRequirement) bool { return e.Key != corev1.LabelMetadataName })
}
