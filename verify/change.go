package verify

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// Changes is what differs between two reports. Pods come and go, so ports are
// compared workload by workload.
type Changes struct {
	// Since is when the earlier run ended.
	Since time.Time `json:"since"`
	// Worse and Better are ports whose verdict changed.
	Worse  []Change `json:"worse,omitempty"`
	Better []Change `json:"better,omitempty"`
	// Added and Gone are ports of which one report knows nothing; those that came as a failure are among Worse as well.
	Added []Change `json:"added,omitempty"`
	Gone  []Change `json:"gone,omitempty"`
	// Rotated are workloads with pods that have a new certificate, and how many of them.
	Rotated []RotatedPods `json:"rotated,omitempty"`
	// Stage is the earlier stage of the root's rotation, where it is another now.
	Stage Stage `json:"stage,omitempty"`
}

// Change is a port whose verdict is another than before.
type Change struct {
	Workload model.WorkloadID `json:"workload"`
	Port     int32            `json:"port"`
	Protocol corev1.Protocol  `json:"protocol,omitempty"`
	// Before and After are empty where the port was not there.
	Before Verdict `json:"before,omitempty"`
	After  Verdict `json:"after,omitempty"`
	// Reason is that of what is there now, or of what was.
	Reason string `json:"reason,omitempty"`
}

// RotatedPods counts the pods of a workload that have a new certificate.
type RotatedPods struct {
	Workload model.WorkloadID `json:"workload"`
	Pods     int              `json:"pods"`
}

// Empty tells whether nothing about what holds is different; a renewed certificate is no difference.
func (c *Changes) Empty() bool {
	return len(c.Worse)+len(c.Better)+len(c.Added)+len(c.Gone) == 0 && c.Stage == ""
}

// Compare tells what a report has that an earlier one had not.
func Compare(before, after *Report) Changes {
	c := Changes{Since: before.Finished}
	if before.Rotation.Stage != after.Rotation.Stage {
		c.Stage = before.Rotation.Stage
	}
	was, is := Ports(before.Results), Ports(after.Results)
	for len(was) > 0 || len(is) > 0 {
		order := 0
		switch {
		case len(was) == 0:
			order = 1
		case len(is) == 0:
			order = -1
		default:
			order = comparePorts(&was[0], &is[0])
		}
		switch {
		case order < 0:
			c.Gone = append(c.Gone, was[0].change(was[0].Verdict, ""))
			was = was[1:]
		case order > 0:
			came := is[0].change("", is[0].Verdict)
			c.Added = append(c.Added, came)
			if is[0].Verdict == Fail {
				c.Worse = append(c.Worse, came)
			}
			is = is[1:]
		default:
			c.compare(&was[0], &is[0])
			was, is = was[1:], is[1:]
		}
	}
	c.rotated(before, after)
	return c
}

func (c *Changes) compare(was, is *PortSummary) {
	switch change := is.change(was.Verdict, is.Verdict); {
	case is.Verdict.Rank() < was.Verdict.Rank():
		c.Worse = append(c.Worse, change)
	case is.Verdict.Rank() > was.Verdict.Rank():
		c.Better = append(c.Better, change)
	}
}

func (p *PortSummary) change(before, after Verdict) Change {
	return Change{Workload: p.Workload, Port: p.Port, Protocol: p.Protocol, Before: before, After: after, Reason: p.Reason}
}

// rotated finds pods that are in both ledgers and have another leaf.
func (c *Changes) rotated(before, after *Report) {
	known := map[podKey]string{}
	for i := range before.Ledger.Entries {
		e := &before.Ledger.Entries[i]
		if len(e.Leaves) > 0 {
			known[podKey{e.Workload, e.Pod}] = e.Current().Fingerprint
		}
	}
	counts := map[model.WorkloadID]int{}
	for i := range after.Ledger.Entries {
		e := &after.Ledger.Entries[i]
		if len(e.Leaves) == 0 {
			continue
		}
		if old := known[podKey{e.Workload, e.Pod}]; old != "" && old != e.Current().Fingerprint {
			counts[e.Workload]++
		}
	}
	for id, n := range counts {
		c.Rotated = append(c.Rotated, RotatedPods{id, n})
	}
	slices.SortFunc(c.Rotated, func(a, b RotatedPods) int { return model.CompareWorkloadIDs(a.Workload, b.Workload) })
}

// PortSummary is one port of a workload, its pods taken together.
type PortSummary struct {
	Workload model.WorkloadID
	Port     int32
	Protocol corev1.Protocol
	Way      Way
	Standing Standing
	Why      string
	Identity string
	Callers  []string
	// Verdict is the worst of any pod, Reason that of the first pod that has it.
	Verdict Verdict
	Reason  string
	Counts  Counts
	// Results are those of the pods, in order.
	Results []*Result
}

// Ports takes the pods of each workload's port together, in order.
func Ports(results []Result) []PortSummary {
	at := map[portKey]int{}
	var list []PortSummary
	for i := range results {
		r := &results[i]
		key := portKey{r.Workload, r.Port, r.Protocol}
		n, known := at[key]
		if !known {
			n = len(list)
			at[key] = n
			list = append(list, PortSummary{
				Workload: r.Workload, Port: r.Port, Protocol: r.Protocol, Way: r.Way, Standing: r.Standing, Why: r.Why,
				Identity: r.Identity, Callers: r.Callers, Verdict: r.Verdict, Reason: r.Reason,
			})
		}
		p := &list[n]
		if r.Verdict.Rank() < p.Verdict.Rank() {
			p.Verdict, p.Reason, p.Standing, p.Why = r.Verdict, r.Reason, r.Standing, r.Why
		}
		p.Counts.Add(r.Verdict)
		p.Results = append(p.Results, r)
	}
	slices.SortFunc(list, func(a, b PortSummary) int { return comparePorts(&a, &b) })
	return list
}

type portKey struct {
	workload model.WorkloadID
	port     int32
	protocol corev1.Protocol
}

func comparePorts(a, b *PortSummary) int {
	return cmp.Or(model.CompareWorkloadIDs(a.Workload, b.Workload), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
}
