package pss

import (
	"cmp"
	"fmt"

	"k8s.io/pod-security-admission/api"

	"floe.dev/palisade/model"
)

// label is what becomes of one of the three modes on one namespace.
//
//	there already      wanted      becomes
//	nothing            any         wanted
//	looser, or equal   any         wanted
//	stricter           any         what is there: a level that somebody else set is never lowered
//	stricter, ours     any         wanted: palisade set it, so palisade may lower it
//	anything           nothing     what is there
//	anything, ours     nothing     nothing
type label struct {
	mode string
	// levelKey and versionKey are the keys of the labels.
	levelKey, versionKey string
	// wanted is what the profile demands, "baseline" and "latest"; empty where it demands nothing.
	wanted, wantedVersion string
	// there is the present label and version, empty where there is none.
	there, thereVersion string
	// ours tells that palisade itself set the present level.
	ours bool
	// kept tells that the present level stays because it is stricter.
	kept bool
	// level and version are what will hold; the level is empty where no label will be there.
	level, version string
	// wrong says why what is wanted cannot be written.
	wrong string
}

// modes in the order in which Kubernetes names them.
var modes = []struct {
	name, levelKey, versionKey string
	// broken is how the API server takes a level that is not one.
	broken api.Level
	wanted func(model.PodSecurityPosture) (level, version string)
}{
	{"enforce", api.EnforceLevelLabel, api.EnforceVersionLabel, api.LevelRestricted,
		func(p model.PodSecurityPosture) (string, string) { return p.Enforce, p.EnforceVersion }},
	{"audit", api.AuditLevelLabel, api.AuditVersionLabel, api.LevelPrivileged,
		func(p model.PodSecurityPosture) (string, string) { return p.Audit, p.AuditVersion }},
	{"warn", api.WarnLevelLabel, api.WarnVersionLabel, api.LevelPrivileged,
		func(p model.PodSecurityPosture) (string, string) { return p.Warn, p.WarnVersion }},
}

// labelsOf decides the labels of a namespace, one for each mode; where nothing governs it none is wanted.
func labelsOf(n *model.Namespace, existing *model.Object) []label {
	labels := make([]label, 0, len(modes))
	for _, mode := range modes {
		var posture model.PodSecurityPosture
		if n.Posture != nil {
			posture = n.Posture.PodSecurity
		}
		wanted, version := mode.wanted(posture)
		l := label{
			mode: mode.name, levelKey: mode.levelKey, versionKey: mode.versionKey,
			wanted: wanted, wantedVersion: version,
			there: n.Labels[mode.levelKey], thereVersion: n.Labels[mode.versionKey],
			ours: setByUs(existing, mode.levelKey),
		}
		l.decide(mode.broken)
		labels = append(labels, l)
	}
	return labels
}

func (l *label) decide(broken api.Level) {
	l.wrong = wrong(l.wanted, l.wantedVersion)
	present := l.there
	if _, err := api.ParseLevel(l.there); err != nil {
		present = string(broken)
	}
	switch {
	case (l.there == "" || l.removed()) && (l.wanted == "" || l.wrong != ""):
		return
	case l.wanted == "" || l.wrong != "":
		l.level, l.version = present, l.thereVersion
	case l.there != "" && !l.ours && api.CompareLevels(api.Level(present), api.Level(l.wanted)) > 0:
		l.kept = true
		l.level, l.version = present, l.thereVersion
	default:
		l.level, l.version = l.wanted, cmp.Or(l.wantedVersion, l.thereVersion)
	}
}

// written tells whether palisade writes the label.
func (l *label) written() bool { return l.wanted != "" && l.wrong == "" && !l.kept }

// removed tells that palisade takes its own label away.
func (l *label) removed() bool { return l.wanted == "" && l.there != "" && l.ours }

// takenOver tells that the label that palisade writes replaces another of somebody else's.
func (l *label) takenOver() bool {
	return l.written() && !l.ours && l.there != "" &&
		(l.there != l.wanted || l.thereVersion != "" && l.thereVersion != l.wantedVersion)
}

// field is the path of the level's label in the Namespace.
func (l *label) field() string { return fmt.Sprintf("metadata.labels[%s]", l.levelKey) }

// wrong says what is the matter with a level and version; empty means nothing.
func wrong(level, version string) string {
	if level == "" {
		return ""
	}
	if _, err := api.ParseLevel(level); err != nil {
		return fmt.Sprintf("the level %q %v", level, err)
	}
	if version == "" {
		return ""
	}
	if _, err := api.ParseVersion(version); err != nil {
		return fmt.Sprintf("the version %q %v", version, err)
	}
	return ""
}

// setByUs tells whether the API server notes palisade as an owner of a label.
// Manifests in a folder carry no such note: what stands there is the user's own.
func setByUs(namespace *model.Object, key string) bool {
	return namespace != nil && namespace.Manages(model.FieldManager, "f:labels", key)
}
