package cluster

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"floe.dev/palisade/model"
)

// A dump of a live cluster holds a Deployment, its ReplicaSets and their Pods,
// which are one workload. Where the controller was read, its template counts;
// where it was not, what it owns is put together under its name.

// volatileLabels are set by controllers on each pod or revision; they would
// not find the pods that come next.
var volatileLabels = []string{
	"pod-template-hash", "controller-revision-hash", "pod-template-generation", "controller-uid", "batch.kubernetes.io/controller-uid",
	"statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index", "batch.kubernetes.io/job-completion-index",
}

// settleOwners lists the workloads among items, each once, and beside them the
// pods that are a part of one of these. They are not sorted.
func settleOwners(items []*item) (workloads, pods []model.Workload) {
	read := map[model.WorkloadID]*model.Workload{}
	for _, it := range items {
		if w, ok := it.value.(*model.Workload); ok {
			read[w.ID] = w
		}
	}
	orphans := map[model.WorkloadID][]*item{}
	partOf := map[model.WorkloadID]model.WorkloadID{}
	for _, it := range items {
		w, ok := it.value.(*model.Workload)
		if !ok {
			continue
		}
		owner, merges := ownerOf(it, w)
		if !merges {
			workloads = append(workloads, *w)
			continue
		}
		if controller := counted(read, owner, w); controller != nil {
			owner = controller.ID
		} else {
			orphans[owner] = append(orphans[owner], it)
		}
		partOf[w.ID] = owner
		if w.ID.Kind == "Pod" {
			pods = append(pods, *w)
		}
	}
	for i := range pods { // by way of a ReplicaSet or a Job that is a part of another
		pods[i].Owner = partOf[pods[i].ID]
		for owner, merged := partOf[pods[i].Owner]; merged; owner, merged = partOf[owner] {
			pods[i].Owner = owner
		}
	}
	for owner, group := range orphans {
		workloads = append(workloads, adopt(owner, group))
	}
	return workloads, pods
}

// ownerOf names the controller that a workload is only a part of. Pods of
// others than the built-in controllers stay by themselves, for they need not be
// alike; so do the kubelet's own (their owner is the Node).
func ownerOf(it *item, w *model.Workload) (model.WorkloadID, bool) {
	if it.owner == nil {
		return model.WorkloadID{}, false
	}
	owner := model.WorkloadID{Namespace: w.ID.Namespace, Kind: it.owner.Kind, Name: it.owner.Name}
	switch w.ID.Kind {
	case "Pod":
		return owner, slices.Contains([]string{"ReplicaSet", "StatefulSet", "DaemonSet", "Job", "ReplicationController"}, owner.Kind)
	case "Job":
		return owner, owner.Kind == "CronJob"
	default:
		return owner, true
	}
}

// counted finds the workload that something is a part of: its controller, or
// the one that must stand behind that; nil where neither was read.
func counted(read map[model.WorkloadID]*model.Workload, owner model.WorkloadID, w *model.Workload) *model.Workload {
	found := read[owner]
	switch owner.Kind {
	case "ReplicaSet": // web-5d4f6c7b8 of the Deployment web
		hash := w.Labels["pod-template-hash"]
		name, ok := strings.CutSuffix(owner.Name, "-"+hash)
		deployment := read[model.WorkloadID{Namespace: owner.Namespace, Kind: "Deployment", Name: name}]
		if ok && hash != "" && deployment != nil && model.Matches(&deployment.Selector, w.Labels) {
			return deployment
		}
	case "Job": // backup-29012345 of the CronJob backup, by the minute
		i := strings.LastIndexByte(owner.Name, '-')
		if i < 0 {
			break
		}
		_, err := strconv.Atoi(owner.Name[i+1:])
		if cron := read[model.WorkloadID{Namespace: owner.Namespace, Kind: "CronJob", Name: owner.Name[:i]}]; err == nil && cron != nil {
			return cron
		}
	}
	return found
}

// adopt puts together what an absent controller owns: the pods are those of
// the part that runs most of them, found by the labels that all parts share.
func adopt(owner model.WorkloadID, group []*item) model.Workload {
	parts := make([]*model.Workload, len(group))
	for i, it := range group {
		parts[i] = it.value.(*model.Workload)
	}
	slices.SortFunc(parts, func(a, b *model.Workload) int {
		return cmp.Or(cmp.Compare(b.Replicas, a.Replicas), cmp.Compare(a.ID.Name, b.ID.Name))
	})
	w := *parts[0]
	w.ID, w.APIVersion = owner, group[0].owner.APIVersion
	w.Labels = sharedLabels(parts, func(p *model.Workload) map[string]string { return p.Labels })
	w.Selector.MatchLabels = sharedLabels(parts, func(p *model.Workload) map[string]string { return p.Selector.MatchLabels })
	w.Replicas, w.Health = 0, nil
	for _, part := range parts {
		w.Replicas += part.Replicas
		if h := part.Health; h != nil {
			if w.Health == nil {
				w.Health = &model.Health{}
			}
			w.Health.Desired += h.Desired
			w.Health.Ready += h.Ready
		}
	}
	return w
}

// sharedLabels are those that all parts have alike, less the volatile ones.
func sharedLabels(parts []*model.Workload, of func(*model.Workload) map[string]string) map[string]string {
	shared := map[string]string{}
	for key, value := range of(parts[0]) {
		everywhere := !slices.ContainsFunc(parts, func(p *model.Workload) bool {
			other, ok := of(p)[key]
			return !ok || other != value
		})
		if everywhere && !slices.Contains(volatileLabels, key) {
			shared[key] = value
		}
	}
	return shared
}
