package engine

import (
	"slices"

	"floe.dev/palisade/audit"
	"floe.dev/palisade/budget"
	"floe.dev/palisade/intent"
	"floe.dev/palisade/mesh"
	"floe.dev/palisade/model"
	"floe.dev/palisade/pss"
)

// Audit is what is at fault in what is there now.
type Audit struct {
	Model    *model.Model
	Findings []model.Finding
	// Problems are what leaves the audit incomplete; OfIntent those of the intent, which do not.
	Problems, OfIntent []model.Problem
	// Unknown counts the objects of kinds that were not looked at, by "apiVersion kind".
	Unknown map[string]int
}

// Inspect looks for every fault of the catalogue in what a snapshot holds. It
// needs no profile; where there are some, what stands in their way is found as well.
func Inspect(s *intent.Snapshot, o Options) Audit {
	cluster, problems := intent.Facts(s, o.Given)
	dialect := mesh.New(cluster.Mesh, cluster.Domain)
	resolved := intent.Resolve(s, cluster, dialect, o.Now)
	v := View{Model: resolved.Model, Problems: problems, Unknown: s.Unknown}
	v.judge(resolved.Model.Existing, Workloads)

	findings := resolved.Findings
	if dialect != nil {
		findings = append(findings, mesh.Findings(v.Model)...)
		findings = append(findings, v.meshFaults(s)...)
	}
	findings = append(findings, pss.Findings(v.Model)...)
	findings = append(findings, pss.Standing(v.Model)...)
	findings = append(findings, budget.Findings(v.Model)...)
	evidence := audit.Gather(v.Model, v.State)
	evidence.AddWebhooks(s.ValidatingWebhooks, s.MutatingWebhooks)
	findings = append(findings, audit.Find(evidence)...)
	return Audit{Model: v.Model, Findings: once(findings), Problems: v.Problems, OfIntent: resolved.Problems, Unknown: v.Unknown}
}

// meshFaults audits the mesh's objects in the state of the view.
func (v *View) meshFaults(s *intent.Snapshot) []model.Finding {
	reader, ok := v.State.Mesh.(mesh.Reader)
	if !ok {
		return nil
	}
	judged := *v.Model
	judged.Workloads = v.State.Workloads
	var kubelets []string
	for i := range s.Nodes {
		kubelets = append(kubelets, s.Nodes[i].Status.NodeInfo.KubeletVersion)
	}
	return mesh.Audit(&judged, reader, kubelets)
}

// once sorts findings, the gravest first, and keeps one of those of a code about
// the same field: an audit may see again what a profile's check has seen.
func once(findings []model.Finding) []model.Finding {
	type fault struct {
		code, field string
		subject     model.Ref
	}
	slices.SortFunc(findings, model.CompareFindings)
	said := map[fault]model.Severity{}
	return slices.DeleteFunc(slices.Compact(findings), func(f model.Finding) bool {
		key := fault{f.Code, f.Field, f.Subject}
		graver, again := said[key]
		said[key] = f.Severity
		return again && graver != f.Severity
	})
}
