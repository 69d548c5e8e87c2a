package pss

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"floe.dev/palisade/model"
)

// Violation is one check that a workload fails.
type Violation struct {
	// Level is the lowest level that the check fails at: "baseline" or "restricted".
	Level string
	// Check is the library's id of the check: "seccompProfile_restricted".
	Check string
	// Reason and Detail are the library's own words, as the API server would say them.
	Reason, Detail string
	// Fields are the paths, in the workload's object, that the refusal comes
	// from. Containers that a mesh injects have none.
	Fields []string
	// Injected names the injected containers that fail the check, and InjectedSays is what it says of them.
	Injected     []string
	InjectedSays string
}

func (v *Violation) addInjected(container, says string) {
	v.Injected = append(v.Injected, container)
	if v.InjectedSays != "" {
		says = v.InjectedSays + "; " + says
	}
	v.InjectedSays = says
}

// String is how the API server says it: "hostPort (container "a" uses hostPort 80)".
func (v Violation) String() string {
	if v.Detail == "" {
		return v.Reason
	}
	return v.Reason + " (" + v.Detail + ")"
}

// Verdict is the level that a workload really has.
type Verdict struct {
	// Level is the highest level that admits the pods, with what injection adds:
	// "privileged", "baseline" or "restricted".
	Level string
	// Violations are what keeps them from the levels above, in the library's order.
	Violations []Violation
}

// At returns the violations that a level would refuse the pods for.
func (v Verdict) At(level string) []Violation {
	var at []Violation
	for _, violation := range v.Violations {
		if api.CompareLevels(api.Level(violation.Level), api.Level(level)) <= 0 {
			at = append(at, violation)
		}
	}
	return at
}

// Evaluator judges pods by the checks of the Pod Security Standards. It is
// costly to make and cheap to use, from many goroutines if need be. It keeps no
// verdicts: telling whether two pods are alike costs as much as judging one.
type Evaluator struct {
	// restricted runs all checks but those of baseline that a stricter one
	// overrides, and overridden runs these.
	restricted, overridden policy.Evaluator
}

// NewEvaluator makes an Evaluator of the library's default checks. It panics
// where the library refuses its own checks, which no release does.
func NewEvaluator() Evaluator {
	checks := policy.DefaultChecks()
	overridden := map[policy.CheckID]bool{}
	for i := range checks {
		checks[i].Versions = slices.Clone(checks[i].Versions)
		for j := range checks[i].Versions {
			v := &checks[i].Versions[j]
			v.CheckPod = signed(checks[i].ID, checks[i].Level, v.CheckPod)
			for _, id := range v.OverrideCheckIDs {
				overridden[id] = true
			}
		}
	}
	restricted := mustEvaluate(checks)
	return Evaluator{
		restricted: restricted,
		overridden: mustEvaluate(slices.DeleteFunc(checks, func(c policy.Check) bool { return !overridden[c.ID] })),
	}
}

func mustEvaluate(checks []policy.Check) policy.Evaluator {
	evaluator, err := policy.NewEvaluator(checks, nil)
	if err != nil {
		panic(fmt.Sprintf("pss: the checks of the library do not stand: %v", err))
	}
	return evaluator
}

// The library's results do not say which check they are of. signed puts the
// level and the id of the check before the reason; unsigned takes them off.
func signed(id policy.CheckID, level api.Level, check policy.CheckPodFn) policy.CheckPodFn {
	sign := string(level) + "\n" + string(id) + "\n"
	return func(meta *metav1.ObjectMeta, spec *corev1.PodSpec) policy.CheckResult {
		result := check(meta, spec)
		if !result.Allowed {
			result.ForbiddenReason = sign + result.ForbiddenReason
		}
		return result
	}
}

func unsigned(result policy.CheckResult) Violation {
	parts := strings.SplitN(result.ForbiddenReason, "\n", 3)
	return Violation{Level: parts[0], Check: parts[1], Reason: parts[2], Detail: result.ForbiddenDetail}
}

// Level judges a workload by the checks of a version, "latest" or "v1.37". A
// template is judged as its pods will be once the mesh has injected what
// w.Facts.Injected names; a running pod is judged as it is. A version that is
// not one is taken as latest, as the API server takes it.
func (e Evaluator) Level(w *model.Workload, version string) Verdict {
	at, _ := api.ParseVersion(version)
	pod := admitted(w)
	failed := e.failed(pod, at)
	level := api.LevelRestricted
	for _, v := range failed {
		if v.Level == string(api.LevelBaseline) {
			level = api.LevelPrivileged
			break
		}
		level = api.LevelBaseline
	}
	if len(failed) > 0 {
		e.attribute(failed, at, pod)
	}
	return Verdict{Level: string(level), Violations: failed}
}

// failed runs all checks. The failures of baseline come first, then by id, as the API server lists them.
func (e Evaluator) failed(p pod, version api.Version) []Violation {
	failed := failures(e.overridden, api.LevelBaseline, version, p)
	for _, v := range failures(e.restricted, api.LevelRestricted, version, p) {
		// Versions from before an override run the check in both.
		if !slices.ContainsFunc(failed, func(f Violation) bool { return f.Check == v.Check }) {
			failed = append(failed, v)
		}
	}
	slices.SortFunc(failed, func(a, b Violation) int {
		return cmp.Or(api.CompareLevels(api.Level(a.Level), api.Level(b.Level)), cmp.Compare(a.Check, b.Check))
	})
	return failed
}

func failures(checks policy.Evaluator, level api.Level, version api.Version, p pod) []Violation {
	var failed []Violation
	for _, result := range checks.EvaluatePod(api.LevelVersion{Level: level, Version: version}, &p.meta, &p.spec) {
		if !result.Allowed {
			failed = append(failed, unsigned(result))
		}
	}
	return failed
}
