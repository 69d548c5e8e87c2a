package plan

import (
	"fmt"
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

func (p *Plan) summarize(m *model.Model) {
	s := &p.Summary
	for _, c := range p.Changes {
		switch c.Action {
		case Create:
			s.Create++
		case Update:
			s.Update++
		case Delete:
			s.Delete++
		case Observe:
			s.Observe++
		}
	}
	for _, problem := range p.Problems {
		s.Problems.Add(problem.Severity)
	}
	for _, finding := range p.Findings {
		s.Findings.Add(finding.Severity)
	}
	s.Namespaces, s.Workloads = len(m.Namespaces), len(m.Workloads)
	for i := range m.Namespaces {
		if m.Namespaces[i].Posture != nil {
			s.Governed++
		}
	}
	for i := range m.Flows {
		if slices.Contains([]string{"TrafficRule", "ExternalAccess"}, m.Flows[i].Origin.Ref.Kind) {
			s.Flows++
		}
	}
}

// Understood says in one line what the plan was made from.
func (p Plan) Understood() string {
	s := p.Summary
	return fmt.Sprintf("%s, %s governed of %d, %s, %s", DescribeMesh(p.Mesh),
		count(s.Governed, "namespace"), s.Namespaces, count(s.Workloads, "workload"), count(s.Flows, "flow"))
}

// DescribeMesh says in a few words which mesh is in use, and from what that was decided.
func DescribeMesh(m model.Mesh) string {
	name := "No mesh"
	if m.Kind != model.MeshNone {
		name = strings.ToUpper(string(m.Kind[:1])) + string(m.Kind[1:])
	}
	if m.Why == "" {
		return name
	}
	return name + " (" + m.Why + ")"
}

// String is the summary in one line.
func (s Summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Plan: %d to create, %d to change, %d to delete, %d unchanged", s.Create, s.Update, s.Delete, s.Unchanged)
	if s.Observe > 0 {
		fmt.Fprintf(&b, ", %d only observed", s.Observe)
	}
	fmt.Fprintf(&b, " · %s · %s", s.Problems.Describe("problems"), s.Findings.Describe("findings"))
	if i := s.Impact; i != (ByBasis{}) {
		fmt.Fprintf(&b, " · impact: %d declared, %d named, %d possible", i.Declared, i.Referenced, i.Possible)
	}
	return b.String()
}

// Describe is "no findings", or "findings: 1 error, 12 warnings".
func (b BySeverity) Describe(what string) string {
	var parts []string
	for _, part := range []struct {
		n    int
		noun string
	}{{b.Error, "error"}, {b.Warning, "warning"}} {
		if part.n > 0 {
			parts = append(parts, count(part.n, part.noun))
		}
	}
	if b.Info > 0 {
		parts = append(parts, fmt.Sprintf("%d info", b.Info))
	}
	if len(parts) == 0 {
		return "no " + what
	}
	return what + ": " + strings.Join(parts, ", ")
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
