package cluster

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"floe.dev/palisade/model"
)

// unready tells, by its status, whether a workload is not available: a
// Deployment by its own condition, which knows its strategy; the others when fewer pods are ready
// than they want, or than they may have while they replace one. What runs to an end is never unready.
func unready(k servedKind, u *unstructured.Unstructured) bool {
	switch k.kind {
	case "Deployment":
		return count(u, "spec", "replicas", 1) > 0 && conditionOf(u, "Available") != "True"
	case "StatefulSet":
		revision, _, _ := unstructured.NestedString(u.Object, "status", "currentRevision")
		next, _, _ := unstructured.NestedString(u.Object, "status", "updateRevision")
		return lacks(count(u, "spec", "replicas", 1), count(u, "status", "readyReplicas", 0), revision != next)
	case "DaemonSet":
		wanted := count(u, "status", "desiredNumberScheduled", 0)
		if count(u, "status", "observedGeneration", 0) == 0 {
			return true // nobody has looked at it yet
		}
		return lacks(wanted, count(u, "status", "numberAvailable", 0), count(u, "status", "updatedNumberScheduled", 0) < wanted)
	case "ReplicaSet", "ReplicationController":
		return lacks(count(u, "spec", "replicas", 1), count(u, "status", "readyReplicas", 0), false)
	case "Pod":
		return conditionOf(u, "Ready") != "True"
	default:
		return false
	}
}

// lacks tells whether too few are there; one may be missing while it is replaced.
func lacks(wanted, there int64, replacing bool) bool {
	if replacing && wanted > 1 {
		wanted--
	}
	return there < wanted
}

func count(u *unstructured.Unstructured, part, field string, otherwise int64) int64 {
	n, found, err := unstructured.NestedInt64(u.Object, part, field)
	if !found || err != nil {
		return otherwise
	}
	return n
}

func conditionOf(u *unstructured.Unstructured, kind string) string {
	field, _, _ := unstructured.NestedFieldNoCopy(u.Object, "status", "conditions")
	list, _ := field.([]any)
	for _, c := range list {
		if c, ok := c.(map[string]any); ok && c["type"] == kind {
			return text(c["status"])
		}
	}
	return ""
}

// unreadyWorkloads are those among workloads. Of pods the controller tells; where that was not read, they do.
func unreadyWorkloads(items []*item, workloads []model.Workload) []model.WorkloadID {
	counted := make(map[model.WorkloadID]bool, len(workloads))
	for i := range workloads {
		counted[workloads[i].ID] = true
	}
	read := map[model.WorkloadID]bool{}
	for _, it := range items {
		if w, ok := it.value.(*model.Workload); ok {
			read[w.ID] = true
		}
	}
	var list []model.WorkloadID
	for _, it := range items {
		w, ok := it.value.(*model.Workload)
		if !ok || !it.unready {
			continue
		}
		if counted[w.ID] {
			list = append(list, w.ID)
		} else if owner, part := ownerOf(it, w); part && counted[owner] && !read[owner] {
			list = append(list, owner)
		}
	}
	slices.SortFunc(list, model.CompareWorkloadIDs)
	return slices.Compact(list)
}
