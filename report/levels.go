package report

import (
	"bytes"
	"fmt"
	"strings"
	"text/tabwriter"

	"floe.dev/palisade/model"
	"floe.dev/palisade/plan"
	"floe.dev/palisade/pss"
)

// LevelDocument is what palisade levels -o json prints. Its schema is
// docs/schemas/level-plan.json. Lists are empty rather than absent.
type LevelDocument struct {
	APIVersion string                `json:"apiVersion"`
	Kind       string                `json:"kind"`
	Mesh       plan.DocumentMesh     `json:"mesh"`
	Summary    LevelSummary          `json:"summary"`
	Namespaces []pss.NamespaceLevels `json:"namespaces"`
	Problems   []model.Problem       `json:"problems"`
	// Unknown counts the objects of kinds that were not looked at, by "apiVersion kind".
	Unknown map[string]int `json:"unknown"`
}

// LevelSummary counts what was judged, and the namespaces in whose way something is.
type LevelSummary struct {
	Namespaces int `json:"namespaces"`
	Workloads  int `json:"workloads"`
	Pods       int `json:"pods"`
	Blocked    int `json:"blocked"`
}

// Levelled is a plan of Pod Security levels.
type Levelled struct {
	Mesh       model.Mesh
	Namespaces []pss.NamespaceLevels
	Problems   []model.Problem
	Unknown    map[string]int
}

// Summary counts.
func (l *Levelled) Summary() LevelSummary {
	s := LevelSummary{Namespaces: len(l.Namespaces)}
	for i := range l.Namespaces {
		n := &l.Namespaces[i]
		s.Workloads += n.Workloads
		s.Pods += n.Pods
		if !n.Ready {
			s.Blocked++
		}
	}
	return s
}

// Document is the plan for machines.
func (l *Levelled) Document() LevelDocument {
	d := LevelDocument{
		APIVersion: apiVersion, Kind: "LevelPlan", Mesh: plan.NewDocumentMesh(l.Mesh), Summary: l.Summary(),
		Namespaces: append([]pss.NamespaceLevels{}, l.Namespaces...), Problems: append([]model.Problem{}, l.Problems...), Unknown: l.Unknown,
	}
	if d.Unknown == nil {
		d.Unknown = map[string]int{}
	}
	return d
}

// shownObstacles is how many workloads are named in the way of one namespace.
const shownObstacles = 10

// Text is the plan for people, without its problems.
func (l *Levelled) Text(paint Paint) []byte {
	var table, out bytes.Buffer
	s := l.Summary()
	fmt.Fprintf(&out, "%s, %s, %s, %s\n\n", plan.DescribeMesh(l.Mesh), count(s.Workloads, "workload"), count(s.Pods, "running pod"), count(s.Namespaces, "namespace"))
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "NAMESPACE\tENFORCES\tSATISFIES\tPROPOSED\tNEXT")
	for i := range l.Namespaces {
		n := &l.Namespaces[i]
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", n.Namespace, enforces(n), n.Highest, n.Proposed+":"+n.Version, next(n))
	}
	_ = w.Flush() // to memory
	header, rest, _ := strings.Cut(table.String(), "\n")
	fmt.Fprintf(&out, "%s\n%s\n", painted(paint, "title", header), rest)
	for i := range l.Namespaces {
		writeObstacles(&out, &l.Namespaces[i], paint)
	}
	fmt.Fprintf(&out, "%s\n", painted(paint, "title", fmt.Sprintf("Levels: %d of %s blocked", s.Blocked, count(s.Namespaces, "namespace"))))
	return out.Bytes()
}

func enforces(n *pss.NamespaceLevels) string {
	switch {
	case !n.Declared:
		return "not read"
	case n.Enforced == "":
		return "nothing"
	case n.EnforcedVersion == "":
		return n.Enforced
	default:
		return n.Enforced + ":" + n.EnforcedVersion
	}
}

// next says what there is to do.
func next(n *pss.NamespaceLevels) string {
	switch {
	case !n.Ready:
		return count(len(n.InTheWay(n.Proposed)), "workload") + " in the way"
	case n.Workloads+n.Pods == 0:
		return "no pod was read"
	case n.Enforced == n.Proposed && n.EnforcedVersion == n.Version:
		return "nothing"
	case n.Enforced == n.Proposed:
		return "pin the version"
	default:
		return "enforce it: nothing is in the way"
	}
}

// writeObstacles lists what is in the way of the level that is proposed, or of restricted where that one is free.
func writeObstacles(out *bytes.Buffer, n *pss.NamespaceLevels, paint Paint) {
	level, kind := n.Proposed, "error"
	if n.Ready {
		level, kind = "restricted", "info"
	}
	list := n.InTheWay(level)
	if len(list) == 0 || n.System && n.Ready {
		return
	}
	fmt.Fprintf(out, "%s\n", painted(paint, kind, fmt.Sprintf("%s: in the way of %s:%s", n.Namespace, level, n.Version)))
	for _, o := range list[:min(len(list), shownObstacles)] {
		fmt.Fprintf(out, "  %s%s\n", o.Workload, whose(&o))
		for _, v := range o.Violations {
			if v.Level == level || level == "restricted" {
				fmt.Fprintf(out, "    %s\n      fix: %s\n", v.Says, v.Fix)
			}
		}
	}
	if rest := len(list) - shownObstacles; rest > 0 {
		fmt.Fprintf(out, "  … and %d more; -o json has them all\n", rest)
	}
	out.WriteByte('\n')
}

// whose tells whether the template is refused, or pods, and whether the defaults mend it.
func whose(o *pss.Obstacle) string {
	var of []string
	if o.Template {
		of = append(of, "its template")
	}
	if o.Pods > 0 {
		of = append(of, fmt.Sprintf("%s such as %s", count(o.Pods, "running pod"), o.Pod))
	}
	text := " (" + strings.Join(of, ", ") + ")"
	if o.Workload.Kind == "Pod" {
		text = ""
	}
	if o.Defaulted {
		text += ": the defaults mend it when its pods are created again"
	}
	return text
}
