package pss

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// pod is what Pod Security admission sees: it runs after the mutating
// webhooks, so injected containers count.
type pod struct {
	meta metav1.ObjectMeta
	spec corev1.PodSpec
	// kind is the kind of the workload's object, for the paths of fields.
	kind string
	// init and app are how many containers of each list are the workload's own; injected ones come after.
	init, app int
}

// admitted builds the pod that admission will judge.
func admitted(w *model.Workload) pod {
	p := pod{
		meta: metav1.ObjectMeta{Labels: w.Labels, Annotations: w.Annotations},
		spec: w.Spec,
		kind: w.ID.Kind,
		init: len(w.Spec.InitContainers), app: len(w.Spec.Containers),
	}
	if w.Running {
		return p
	}
	added := w.Facts.Injected
	p.spec.InitContainers = slices.Concat(w.Spec.InitContainers, added.InitContainers)
	p.spec.Containers = slices.Concat(w.Spec.Containers, added.Containers)
	if added.CopiesFirstCapabilities {
		p.copyCapabilities()
	}
	return p
}

// copyCapabilities gives the injected proxy, be it a container or a native
// sidecar, the capabilities of the first application container.
func (p *pod) copyCapabilities() {
	if p.app == 0 || p.spec.Containers[0].SecurityContext == nil || p.spec.Containers[0].SecurityContext.Capabilities == nil {
		return
	}
	capabilities := p.spec.Containers[0].SecurityContext.Capabilities
	give := func(c *corev1.Container) {
		context := corev1.SecurityContext{}
		if c.SecurityContext != nil {
			context = *c.SecurityContext
		}
		context.Capabilities = capabilities
		c.SecurityContext = &context
	}
	for i := p.app; i < len(p.spec.Containers); i++ {
		give(&p.spec.Containers[i])
	}
	for i := p.init; i < len(p.spec.InitContainers); i++ {
		if p.spec.InitContainers[i].RestartPolicy != nil {
			give(&p.spec.InitContainers[i])
		}
	}
}
