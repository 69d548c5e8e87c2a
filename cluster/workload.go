package cluster

import (
	"net/netip"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"floe.dev/palisade/model"
)

// pods is what a kind says about the pods that it would run.
type pods struct {
	template *corev1.PodTemplateSpec
	// at is the path of the template, empty for a Pod.
	at string
	// selector is nil where the kind has none that a person writes.
	selector *metav1.LabelSelector
	replicas *int32
	// ready are those that take traffic, desired those that there should be: the declared count where nil.
	ready   int32
	desired *int32
}

func readDeployment(o *object, it *item) InputErrors {
	d, wrong := decode[appsv1.Deployment](o)
	if wrong != nil {
		return InputErrors{wrong}
	}
	return o.controller(it, pods{template: &d.Spec.Template, at: "spec.template", selector: d.Spec.Selector, replicas: d.Spec.Replicas, ready: d.Status.ReadyReplicas})
}

func readReplicaSet(o *object, it *item) InputErrors {
	rs, wrong := decode[appsv1.ReplicaSet](o)
	if wrong != nil {
		return InputErrors{wrong}
	}
	it.owner = metav1.GetControllerOf(rs)
	return o.controller(it, pods{template: &rs.Spec.Template, at: "spec.template", selector: rs.Spec.Selector, replicas: rs.Spec.Replicas, ready: rs.Status.ReadyReplicas})
}

func readStatefulSet(o *object, it *item) InputErrors {
	s, wrong := decode[appsv1.StatefulSet](o)
	if wrong != nil {
		return InputErrors{wrong}
	}
	return o.controller(it, pods{template: &s.Spec.Template, at: "spec.template", selector: s.Spec.Selector, replicas: s.Spec.Replicas, ready: s.Status.ReadyReplicas})
}

func readDaemonSet(o *object, it *item) InputErrors {
	d, wrong := decode[appsv1.DaemonSet](o)
	if wrong != nil {
		return InputErrors{wrong}
	}
	return o.controller(it, pods{
		template: &d.Spec.Template, at: "spec.template", selector: d.Spec.Selector,
		ready: d.Status.NumberReady, desired: &d.Status.DesiredNumberScheduled,
	})
}

func readReplicationController(o *object, it *item) InputErrors {
	rc, wrong := decode[corev1.ReplicationController](o)
	if wrong != nil {
		return InputErrors{wrong}
	}
	if rc.Spec.Template == nil {
		return InputErrors{o.fault("spec.template", "must be set")}
	}
	selector := rc.Spec.Selector
	if len(selector) == 0 {
		selector = rc.Spec.Template.Labels
	}
	return o.controller(it, pods{
		template: rc.Spec.Template, at: "spec.template", selector: &metav1.LabelSelector{MatchLabels: selector},
		replicas: rc.Spec.Replicas, ready: rc.Status.ReadyReplicas,
	})
}

func readJob(o *object, it *item) InputErrors {
	j, wrong := decode[batchv1.Job](o)
	if wrong != nil {
		return InputErrors{wrong}
	}
	it.owner = metav1.GetControllerOf(j)
	return o.workload(it, pods{template: &j.Spec.Template, at: "spec.template", replicas: j.Spec.Parallelism})
}

func readCronJob(o *object, it *item) InputErrors {
	c, wrong := decode[batchv1.CronJob](o)
	if wrong != nil {
		return InputErrors{wrong}
	}
	job := &c.Spec.JobTemplate.Spec
	return o.workload(it, pods{template: &job.Template, at: "spec.jobTemplate.spec.template", replicas: job.Parallelism})
}

// readPod reads a Pod. One that has ended runs nothing and is left out.
func readPod(o *object, it *item) InputErrors {
	p, wrong := decode[corev1.Pod](o)
	if wrong != nil {
		return InputErrors{wrong}
	}
	if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
		return nil
	}
	it.owner = metav1.GetControllerOf(p)
	faults := o.workload(it, pods{template: &corev1.PodTemplateSpec{ObjectMeta: p.ObjectMeta, Spec: p.Spec}})
	if w, ok := it.value.(*model.Workload); ok {
		w.Running = p.UID != "" || p.Status.Phase != ""
		w.Addresses = podAddresses(p)
		if w.Health != nil && isReady(p) {
			w.Health.Ready = 1
		}
	}
	return faults
}

func isReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// podAddresses are those that a pod has been given; text that is no address is none.
func podAddresses(p *corev1.Pod) []netip.Addr {
	var list []netip.Addr
	add := func(text string) {
		if a, err := netip.ParseAddr(text); err == nil && !slices.Contains(list, a.Unmap()) {
			list = append(list, a.Unmap())
		}
	}
	add(p.Status.PodIP)
	for _, ip := range p.Status.PodIPs {
		add(ip.IP)
	}
	return list
}

// controller reads a kind whose selector must match the labels of its template.
func (o *object) controller(it *item, p pods) InputErrors {
	at := field.NewPath("spec", "selector")
	if p.selector == nil || len(p.selector.MatchLabels)+len(p.selector.MatchExpressions) == 0 {
		return InputErrors{o.fault(at.String(), "must be set")}
	}
	var faults InputErrors
	for _, err := range metav1validation.ValidateLabelSelector(p.selector, metav1validation.LabelSelectorValidationOptions{}, at) {
		faults = append(faults, o.invalid(err))
	}
	if len(faults) == 0 && !model.Matches(p.selector, p.template.Labels) {
		faults = append(faults, o.fault(p.at+".metadata.labels", "spec.selector (%s) does not match these labels", model.SelectorKey(p.selector)))
	}
	return append(faults, o.workload(it, p)...)
}

// workload makes the pods that would run of a template.
func (o *object) workload(it *item, p pods) InputErrors {
	spec, labels := "spec", "metadata.labels"
	if p.at != "" {
		spec, labels = p.at+".spec", p.at+"."+labels
	}
	defaultPod(&p.template.Spec)
	faults := o.checkPod(&p.template.Spec, spec)
	for _, err := range metav1validation.ValidateLabels(p.template.Labels, field.NewPath(labels)) {
		faults = append(faults, o.invalid(err))
	}
	selector := metav1.LabelSelector{MatchLabels: p.template.Labels}
	if p.selector != nil {
		selector = *p.selector
	}
	replicas := int32(1)
	if p.replicas != nil {
		replicas = *p.replicas
	}
	it.value = &model.Workload{
		ID:             model.WorkloadID{Namespace: o.ref.Namespace, Kind: o.ref.Kind, Name: o.ref.Name},
		APIVersion:     o.ref.APIVersion,
		Labels:         p.template.Labels,
		Annotations:    p.template.Annotations,
		Selector:       selector,
		ServiceAccount: p.template.Spec.ServiceAccountName,
		Spec:           p.template.Spec,
		Replicas:       replicas,
		Health:         o.health(p, replicas),
	}
	return faults
}

// health is what the status of an object says, where it has one. Jobs end, so that none need be ready.
func (o *object) health(p pods, replicas int32) *model.Health {
	status, _ := o.tree["status"].(map[string]any)
	switch {
	case len(status) == 0, o.ref.Kind == "Job", o.ref.Kind == "CronJob":
		return nil
	case p.desired != nil:
		return &model.Health{Desired: *p.desired, Ready: p.ready}
	default:
		return &model.Health{Desired: replicas, Ready: p.ready}
	}
}
