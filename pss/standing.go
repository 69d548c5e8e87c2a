package pss

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/pod-security-admission/api"

	"floe.dev/palisade/model"
)

// labelPrefix begins the keys of the labels of Pod Security admission.
const labelPrefix = "pod-security.kubernetes.io/"

// Standing tells of the namespaces that no profile governs what their own labels
// refuse or warn about, which of these labels Kubernetes does not understand, and what
// would be refused where none is there.
func Standing(m *model.Model) []model.Finding {
	evaluator := NewEvaluator()
	var findings []model.Finding
	for i := range m.Namespaces {
		n := &m.Namespaces[i]
		if n.Posture != nil {
			continue
		}
		findings = append(findings, invalidLabels(n)...)
		workloads := m.WorkloadsIn(n.Name)
		if _, there := n.Labels[api.EnforceLevelLabel]; !there {
			findings = append(findings, unset(evaluator, m, n, workloads)...)
		}
		labels := standingLabels(n)
		for j := range workloads {
			for _, f := range judge(evaluator, m, &workloads[j], labels) {
				f.Fix = strings.TrimSuffix(f.Fix, orExempt)
				findings = append(findings, f)
			}
		}
	}
	slices.SortFunc(findings, model.CompareFindings)
	return findings
}

// standingLabels are the labels as the API server takes them. One that it does not
// understand holds nobody to anything here: it is a finding of its own.
func standingLabels(n *model.Namespace) []label {
	labels := make([]label, 0, len(modes))
	for _, mode := range modes {
		l := label{
			mode: mode.name, levelKey: mode.levelKey, versionKey: mode.versionKey,
			there: n.Labels[mode.levelKey], thereVersion: n.Labels[mode.versionKey],
			level: string(api.LevelPrivileged),
		}
		if _, err := api.ParseLevel(l.there); err == nil {
			l.level, l.version = l.there, l.thereVersion
		}
		labels = append(labels, l)
	}
	return labels
}

// invalidLabels: on creation the API server refuses a wrong value. One that is there already
// (from before Pod Security was on) counts as restricted for enforce, as no level for audit and
// warn, and as latest for a version (k8s.io/pod-security-admission api/helpers.go, PolicyToEvaluate).
// Of a key that is none of its own it knows nothing.
func invalidLabels(n *model.Namespace) []model.Finding {
	var findings []model.Finding
	report := func(key, message, fix string) {
		findings = append(findings, model.NewFinding("PodSecurityLabelInvalid", model.Error, n.Ref(), fmt.Sprintf("metadata.labels[%s]", key), message, fix))
	}
	known := map[string]bool{}
	for _, mode := range modes {
		known[mode.levelKey], known[mode.versionKey] = true, true
		if value, there := n.Labels[mode.levelKey]; there {
			if _, err := api.ParseLevel(value); err != nil {
				report(mode.levelKey, fmt.Sprintf("%q is no level of Pod Security (it %v): the API server refuses the Namespace, and where the label is there already it %s",
					value, err, takenFor(mode.broken)), levelFix(value))
			}
		}
		if value, there := n.Labels[mode.versionKey]; there {
			if _, err := api.ParseVersion(value); err != nil {
				report(mode.versionKey, fmt.Sprintf("%q is no version of Pod Security (it %v): the API server refuses the Namespace, and where the label is there already it takes it for latest",
					value, err), "write latest, or a version such as v1.37")
			}
		}
	}
	for key := range n.Labels {
		if strings.HasPrefix(key, labelPrefix) && !known[key] {
			report(key, "Pod Security admission knows no such label and passes it over: it holds no pod to anything",
				"the keys are "+labelPrefix+"enforce, audit and warn, each with -version for the version")
		}
	}
	return findings
}

func takenFor(broken api.Level) string {
	if broken == api.LevelRestricted {
		return "takes it for restricted and refuses pods below that"
	}
	return "passes it over"
}

// levelFix names the level that is meant, where it is only written otherwise.
func levelFix(value string) string {
	if level, err := api.ParseLevel(strings.ToLower(strings.TrimSpace(value))); err == nil {
		return "write " + string(level)
	}
	return "write privileged, baseline or restricted"
}

// unset is for a namespace without the label enforce: which level its pods would pass, and which fall below baseline.
func unset(e Evaluator, m *model.Model, n *model.Namespace, workloads []model.Workload) []model.Finding {
	system := m.Cluster.IsSystem(n.Name)
	if len(workloads) == 0 && (system || !n.Declared) {
		return nil
	}
	passes := api.LevelRestricted
	var below, injected []string
	for i := range workloads {
		w := &workloads[i]
		full := e.Level(w, "latest")
		own := w
		if refused := full.At(string(api.LevelBaseline)); len(injectedOf(refused)) > 0 {
			bare := *w
			bare.Facts.Injected = model.Injected{}
			own = &bare
		}
		verdict := full
		if own != w {
			verdict = e.Level(own, "latest")
		}
		switch refused := verdict.At(string(api.LevelBaseline)); {
		case len(refused) > 0:
			below = append(below, fmt.Sprintf("%s (%s)", w.ID, reasons(refused)))
		case own != w:
			injected = append(injected, w.ID.String())
			passes = api.LevelBaseline // what is injected without privileges may still fail restricted
		case api.CompareLevels(api.Level(full.Level), passes) < 0:
			passes = api.Level(full.Level)
		}
	}
	return []model.Finding{unsetFinding(n, system, string(passes), below, injected, len(workloads))}
}

func unsetFinding(n *model.Namespace, system bool, passes string, below, injected []string, all int) model.Finding {
	message := "it bears no label " + api.EnforceLevelLabel + ", so any pod is admitted"
	if !n.Declared {
		message = "the Namespace itself was not read, so it is not known whether it enforces a level"
	}
	severity := model.Info
	switch {
	case all == 0:
		message += "; no pod of it was read"
	case len(below) > 0:
		message += fmt.Sprintf("; below baseline are %s", few(below))
		if rest := all - len(below) - len(injected); rest > 0 {
			message += fmt.Sprintf(", and all others would pass %s", passes)
		}
		if !system {
			severity = model.Warning
		}
	case len(injected) < all:
		message += "; its pods would pass " + passes
	}
	if len(injected) > 0 {
		message += fmt.Sprintf("; what the mesh injects into %s falls below baseline", few(injected))
	}
	fix := fmt.Sprintf("label it %s=%s", api.EnforceLevelLabel, passes)
	switch {
	case system:
		fix = "nothing, if these are components of the cluster itself"
	case len(below) > 0:
		fix = fmt.Sprintf("change what falls below baseline, or move it to a namespace of its own, then label this one %s=baseline", api.EnforceLevelLabel)
	case len(injected) > 0:
		fix = fmt.Sprintf("let the mesh's CNI plugin do what the injected container does, then label the namespace %s=%s", api.EnforceLevelLabel, passes)
	case all == 0:
		fix = fmt.Sprintf("label it %s=restricted", api.EnforceLevelLabel)
	}
	return model.NewFinding("PodSecurityUnset", severity, n.Ref(), "metadata.labels", message, fix)
}

// reasons are the library's words for some checks, without their details.
func reasons(violations []Violation) string {
	var words []string
	for _, v := range violations {
		words = append(words, v.Reason)
	}
	return strings.Join(words, ", ")
}

// few joins texts: the first few, and how many more.
func few(texts []string) string {
	const most = 3
	shown := slices.Clone(texts[:min(len(texts), most)])
	if rest := len(texts) - most; rest > 0 {
		shown = append(shown, fmt.Sprintf("%d more", rest))
	}
	return strings.Join(shown, ", ")
}
