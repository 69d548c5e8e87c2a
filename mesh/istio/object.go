package istio

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// origins collects what an object came from.
type origins map[string]bool

func (o origins) add(origin model.Origin) { o[origin.String()] = true }

// profileOrigin is the origin of what a profile alone demands.
func profileOrigin(n *model.Namespace) model.Origin {
	return model.Origin{Ref: model.Ref{Kind: "SecurityProfile", Name: n.Posture.Profile}, Part: "spec.mesh"}
}

// meta is the metadata of every object that is written for a namespace.
func meta(n *model.Namespace, name string, from origins) metav1.ObjectMeta {
	lines := make([]string, 0, len(from))
	for line := range from {
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return metav1.ObjectMeta{
		Name: name, Namespace: n.Name,
		Labels:      map[string]string{model.ManagedByLabel: model.ManagedByValue, model.ProfileLabel: model.LabelValue(n.Posture.Profile)},
		Annotations: map[string]string{model.OriginAnnotation: strings.Join(lines, "\n")},
	}
}

func fromProfile(n *model.Namespace) origins {
	o := origins{}
	o.add(profileOrigin(n))
	return o
}

func (c *compilation) write(object any, phase model.Phase) {
	c.objects = append(c.objects, model.ObjectFrom(object, phase))
}
