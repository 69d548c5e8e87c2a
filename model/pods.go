package model

import (
	"fmt"
	"strings"
)

// Named joins the names of workloads: the first few, and how many more.
func Named(list []*Workload) string {
	const most = 3
	var names []string
	for _, w := range list[:min(len(list), most)] {
		names = append(names, w.ID.String())
	}
	if rest := len(list) - most; rest > 0 {
		names = append(names, fmt.Sprintf("%d more", rest))
	}
	return strings.Join(names, ", ")
}

// PodsByOwner are the pods that were read, by the workload that they run for.
func (m *Model) PodsByOwner() map[WorkloadID][]*Workload {
	pods := map[WorkloadID][]*Workload{}
	for i := range m.Pods {
		pods[m.Pods[i].Owner] = append(pods[m.Pods[i].Owner], &m.Pods[i])
	}
	return pods
}

// AtBest is a workload as those of its pods run that are in the mesh, or as it is where none
// does: one that is judged by its worst pod is in the mesh all the same as far as others go.
func AtBest(w *Workload, pods []*Workload) *Workload {
	if w.Facts.Meshed() {
		return w
	}
	for _, p := range pods {
		if p.Facts.Meshed() {
			at := *w
			at.Facts = p.Facts
			return &at
		}
	}
	return w
}
