package verify

import (
	"cmp"
	"slices"
	"time"

	"floe.dev/palisade/model"
)

// Light is what a verification comes to in a word.
type Light string

// The lights.
const (
	// Green: everything that must hold was seen to hold.
	Green Light = "green"
	// Red: something was seen that must not be.
	Red Light = "red"
	// Unknown: something was not seen, or there was nothing to see.
	Unknown Light = "unknown"
)

// Summary is what a verification showed of one namespace: the evidence on which a
// rollout goes on, waits or turns back. A light is Green only where every port of
// every pod that a posture governs was tried and held; ports that the model knows to be
// outside the mesh do not darken it, and are counted and named.
type Summary struct {
	Namespace string `json:"namespace"`
	Light     Light  `json:"light"`
	// Began is when the first probe went out: the verification tells of nothing that
	// was written later. At is when it ended.
	Began  time.Time `json:"began,omitzero"`
	At     time.Time `json:"at"`
	Counts Counts    `json:"counts"`
	// Failing, Unclear and Unprotected are workloads with ports of these verdicts, sorted.
	Failing     []model.WorkloadID `json:"failing,omitempty"`
	Unclear     []model.WorkloadID `json:"unclear,omitempty"`
	Unprotected []model.WorkloadID `json:"unprotected,omitempty"`
	// Holding are workloads all of whose ports hold.
	Holding []model.WorkloadID `json:"holding,omitempty"`
	// Unnamed counts workloads that the lists leave out: a stored summary is bounded, and names none that hold.
	Unnamed int `json:"unnamed,omitempty"`
}

// Applies tells whether there was anything that a handshake could show.
func (s *Summary) Applies() bool { return s.Counts.Pass+s.Counts.Fail+s.Counts.Inconclusive > 0 }

// summaries sums results up by namespace, those that are named among them.
func summaries(results []Result, namespaces []string, began, at time.Time) []Summary {
	by := map[string]*Summary{}
	for _, name := range namespaces {
		by[name] = &Summary{Namespace: name, Began: began, At: at}
	}
	counts := map[model.WorkloadID]*Counts{}
	for i := range results {
		r := &results[i]
		s := by[r.Workload.Namespace]
		if s == nil {
			s = &Summary{Namespace: r.Workload.Namespace, Began: began, At: at}
			by[r.Workload.Namespace] = s
		}
		s.Counts.Add(r.Verdict)
		if counts[r.Workload] == nil {
			counts[r.Workload] = &Counts{}
		}
		counts[r.Workload].Add(r.Verdict)
	}
	for id, c := range counts {
		s := by[id.Namespace]
		switch {
		case c.Fail > 0:
			s.Failing = append(s.Failing, id)
		case c.Inconclusive > 0:
			s.Unclear = append(s.Unclear, id)
		case c.Pass > 0 && c.Unprotected == 0:
			s.Holding = append(s.Holding, id)
		}
		if c.Unprotected > 0 {
			s.Unprotected = append(s.Unprotected, id)
		}
	}
	var list []Summary
	for _, s := range by {
		s.Light = s.Counts.Light()
		for _, ids := range [][]model.WorkloadID{s.Failing, s.Unclear, s.Unprotected, s.Holding} {
			slices.SortFunc(ids, model.CompareWorkloadIDs)
		}
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b Summary) int { return cmp.Compare(a.Namespace, b.Namespace) })
	return list
}
