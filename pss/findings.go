package pss

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/pod-security-admission/api"

	"floe.dev/palisade/model"
)

// orExempt ends a fix where a profile governs.
const orExempt = ", or write an Exemption for the layer PodSecurity"

// Findings tells, for every governed namespace, which pods the levels that will
// hold there refuse or warn about, and which labels somebody else had set. The
// levels refuse pods and not their controllers: a Deployment is accepted and
// its pods are missing later, so templates are judged, also those scaled to zero.
func Findings(m *model.Model) []model.Finding {
	evaluator := NewEvaluator()
	existing := namespaceObjects(m)
	var findings []model.Finding
	for i := range m.Namespaces {
		n := &m.Namespaces[i]
		if n.Posture == nil {
			continue
		}
		labels := labelsOf(n, existing[n.Name])
		findings = append(findings, takenOver(n, labels)...)
		workloads := m.WorkloadsIn(n.Name)
		for j := range workloads {
			findings = append(findings, judge(evaluator, m, &workloads[j], labels)...)
		}
	}
	slices.SortFunc(findings, model.CompareFindings)
	return findings
}

func takenOver(n *model.Namespace, labels []label) []model.Finding {
	var findings []model.Finding
	for _, l := range labels {
		if !l.takenOver() {
			continue
		}
		findings = append(findings, model.NewFinding("PodSecurityLabelConflict", model.Warning, n.Ref(), l.field(),
			fmt.Sprintf("somebody else set the label %s to %q; SecurityProfile %s makes it %q, and whoever set it may set it back",
				l.mode, versioned(l.there, l.thereVersion), n.Posture.Profile, versioned(l.wanted, l.wantedVersion)),
			"remove the label from the manifest or the controller that sets it"))
	}
	return findings
}

// judge holds one workload against the labels of its namespace: enforce, and the stricter of audit and warn.
func judge(e Evaluator, m *model.Model, w *model.Workload, labels []label) []model.Finding {
	enforce, notice := labels[0], labels[2]
	if api.CompareLevels(api.Level(labels[1].level), api.Level(notice.level)) > 0 {
		notice = labels[1]
	}
	verdicts := verdicts{evaluator: e, workload: w}
	refused := verdicts.below(enforce)
	var findings []model.Finding
	if own := verdicts.ownBelow(enforce, refused); len(own) > 0 {
		findings = append(findings, belowEnforce(w, enforce, own))
	}
	if injected := injectedOf(refused); len(injected) > 0 {
		findings = append(findings, injectionBelowEnforce(m, w, enforce, injected))
	}
	noticed := slices.DeleteFunc(verdicts.below(notice), func(v Violation) bool {
		return slices.ContainsFunc(refused, func(r Violation) bool { return r.Check == v.Check })
	})
	if len(noticed) > 0 {
		findings = append(findings, belowWarn(w, notice, labels, noticed))
	}
	return findings
}

// verdicts keeps the last verdict on a workload: its labels mostly share a version.
type verdicts struct {
	evaluator Evaluator
	workload  *model.Workload
	version   string
	last      *Verdict
}

// below lists what a label would refuse the pods for.
func (v *verdicts) below(l label) []Violation {
	if l.level == "" || l.level == string(api.LevelPrivileged) {
		return nil
	}
	if v.last == nil || v.version != l.version {
		verdict := v.evaluator.Level(v.workload, l.version)
		v.last, v.version = &verdict, l.version
	}
	return v.last.At(l.level)
}

// ownBelow is below without what is injected, so that the library's words name the workload's own containers only.
func (v *verdicts) ownBelow(l label, refused []Violation) []Violation {
	if len(injectedOf(refused)) == 0 {
		return refused
	}
	own := *v.workload
	own.Facts.Injected = model.Injected{}
	return v.evaluator.Level(&own, l.version).At(l.level)
}

func injectedOf(violations []Violation) []Violation {
	var injected []Violation
	for _, v := range violations {
		if len(v.Injected) > 0 {
			injected = append(injected, v)
		}
	}
	return injected
}

func belowEnforce(w *model.Workload, l label, violations []Violation) model.Finding {
	return model.NewFinding("PodBelowEnforce", model.Error, w.Ref(), firstField(violations),
		fmt.Sprintf("level %s would refuse %s: %s%s", versioned(l.level, l.version), subject(w), sentence(violations), alsoFields(violations)),
		"change these fields"+orExempt)
}

func belowWarn(w *model.Workload, l label, labels []label, violations []Violation) model.Finding {
	does := "warn about the pods"
	switch {
	case labels[1].level == labels[2].level:
		does = "warn about, and note in the audit log, the pods"
	case l.mode == "audit":
		does = "note the pods in the audit log"
	}
	return model.NewFinding("PodBelowWarn", model.Info, w.Ref(), firstField(violations),
		fmt.Sprintf("level %s would %s, but let them run: %s%s", versioned(l.level, l.version), does, sentence(violations), alsoFields(violations)),
		"change these fields before the namespace enforces "+l.level)
}

// injectionBelowEnforce is for the containers that a mesh adds: the manifest is not to blame.
func injectionBelowEnforce(m *model.Model, w *model.Workload, l label, violations []Violation) model.Finding {
	var names, words []string
	for _, v := range violations {
		names = append(names, v.Injected...)
		words = append(words, v.InjectedSays)
	}
	slices.Sort(names)
	return model.NewFinding("InjectionBelowEnforce", model.Error, w.Ref(), "",
		fmt.Sprintf("level %s would refuse %s for containers that the manifest does not have and the mesh injects, %s: %s",
			versioned(l.level, l.version), subject(w), strings.Join(slices.Compact(names), ", "), strings.Join(words, "; ")),
		injectionFix(m.Cluster.Mesh, w, violations))
}

// injectionFix says how the injected containers get along with the level. What
// fails baseline is the init container that sets up redirection; a CNI plugin
// does its work instead. What fails restricted alone can be had from the pod.
func injectionFix(mesh model.Mesh, w *model.Workload, violations []Violation) string {
	path := specPath(w.ID.Kind)
	var fixes []string
	if fails(violations, "capabilities_baseline", "privileged") && !mesh.CNI {
		fixes = append(fixes, cniFix(mesh.Kind))
	}
	if fails(violations, "seccompProfile_restricted") {
		fixes = append(fixes, fmt.Sprintf("set %s.securityContext.seccompProfile.type to RuntimeDefault, which injected containers inherit", path))
	}
	if fails(violations, "capabilities_restricted", "capabilities_baseline") && w.Facts.Injected.CopiesFirstCapabilities {
		fixes = append(fixes, fmt.Sprintf("set %s.containers[0].securityContext.capabilities to drop [ALL] and add nothing; the proxy is given a copy of it", path))
	}
	return cmp.Or(strings.Join(fixes, "; "), "change what the mesh injects"+orExempt)
}

func cniFix(mesh model.MeshKind) string {
	if mesh == model.MeshLinkerd {
		return "install Linkerd's CNI plugin (cniEnabled), which makes the privileged init container needless"
	}
	return "install Istio's CNI node agent, which makes the privileged init container needless, or use ambient mode"
}

func fails(violations []Violation, checks ...string) bool {
	return slices.ContainsFunc(violations, func(v Violation) bool { return slices.Contains(checks, v.Check) })
}

// subject says which pods are meant and why nobody may have noticed.
func subject(w *model.Workload) string {
	switch {
	case w.Running:
		return "this pod when it is created again (it keeps running until then)"
	case w.ID.Kind == "Pod":
		return "this pod"
	case w.Replicas == 0:
		return "its pods as soon as it is scaled up (it has no replicas now, so nothing shows)"
	default:
		return fmt.Sprintf("its pods (the %s itself is accepted)", w.ID.Kind)
	}
}

func sentence(violations []Violation) string {
	words := make([]string, len(violations))
	for i, v := range violations {
		words[i] = v.String()
	}
	return strings.Join(words, ", ")
}

func firstField(violations []Violation) string {
	for _, v := range violations {
		if len(v.Fields) > 0 {
			return v.Fields[0]
		}
	}
	return ""
}

// alsoFields lists all fields where there are more than the one in Field.
func alsoFields(violations []Violation) string {
	var fields []string
	for _, v := range violations {
		fields = append(fields, v.Fields...)
	}
	if len(fields) < 2 {
		return ""
	}
	return "; fields: " + strings.Join(fields, ", ")
}

// versioned is "baseline" or, with a version, "baseline:v1.37".
func versioned(level, version string) string {
	if version == "" {
		return level
	}
	return level + ":" + version
}
