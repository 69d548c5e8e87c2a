package pss

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
)

const (
	enforceKey = "pod-security.kubernetes.io/enforce"
	warnKey    = "pod-security.kubernetes.io/warn"
)

// governed is the namespace "shop", held to baseline, with warnings and audit at restricted.
func governed(labels map[string]string) model.Namespace {
	return model.Namespace{
		Name: "shop", Declared: true, Labels: labels,
		Posture: &model.Posture{
			Profile: "standard", Enforcement: model.Enforce,
			PodSecurity: model.PodSecurityPosture{
				Enforce: "baseline", EnforceVersion: "v1.37",
				Audit: "restricted", AuditVersion: "v1.37",
				Warn: "restricted", WarnVersion: "v1.37",
			},
		},
	}
}

func modelOf(n model.Namespace, workloads ...*model.Workload) *model.Model {
	m := &model.Model{Namespaces: []model.Namespace{n}}
	for _, w := range workloads {
		m.Workloads = append(m.Workloads, *w)
	}
	return m
}

// appliedBy is the Namespace as the API server returns it, with a note of who owns the label enforce.
func appliedBy(manager string) model.Object {
	return model.Object{Tree: map[string]any{
		"apiVersion": "v1", "kind": "Namespace",
		"metadata": map[string]any{
			"name": "shop",
			"managedFields": []any{map[string]any{
				"manager": manager, "operation": "Apply",
				"fieldsV1": map[string]any{"f:metadata": map[string]any{"f:labels": map[string]any{"f:" + enforceKey: map[string]any{}}}},
			}},
		},
	}}
}

// Features: G1.
func TestOnlyThePodSecurityLabelsAreWritten(t *testing.T) {
	n := governed(map[string]string{"team": "checkout", "kubernetes.io/metadata.name": "shop"})
	n.Annotations = map[string]string{"note": "theirs"}
	objects, problems := Compile(modelOf(n))
	assert.Empty(t, problems)
	require.Len(t, objects, 1)
	assert.Equal(t, map[string]any{
		"apiVersion": "v1", "kind": "Namespace",
		"metadata": map[string]any{
			"name": "shop",
			"labels": map[string]any{
				"pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/enforce-version": "v1.37",
				"pod-security.kubernetes.io/audit": "restricted", "pod-security.kubernetes.io/audit-version": "v1.37",
				"pod-security.kubernetes.io/warn": "restricted", "pod-security.kubernetes.io/warn-version": "v1.37",
			},
		},
	}, objects[0].Tree)
	assert.Equal(t, model.PhaseDeny, objects[0].Phase)
}

func TestNamespacesThatNobodyGovernsOrThatAreHeldAreLeftAlone(t *testing.T) {
	m := modelOf(model.Namespace{Name: "kube-system"})
	held := governed(nil)
	m.Namespaces = append(m.Namespaces, held)
	m.Held = []model.Hold{{Namespace: "shop", Layer: model.LayerPodSecurity}}
	objects, problems := Compile(m)
	assert.Empty(t, objects)
	assert.Empty(t, problems)
}

func TestLabelThatIsThereAlready(t *testing.T) {
	tests := map[string]struct {
		labels   map[string]string
		change   func(*model.Namespace)
		existing []model.Object
		// enforce is the label that is written, nil where none is.
		enforce any
		problem string
		finding string
	}{
		"stricter stays": {
			labels: map[string]string{enforceKey: "restricted"}, enforce: nil, problem: "PodSecurityWouldLower",
		},
		"stricter stays for an Exemption as well": {
			labels: map[string]string{enforceKey: "restricted"}, enforce: nil, problem: "PodSecurityWouldLower",
			change: func(n *model.Namespace) {
				n.Posture.PodSecurity.Origin = &model.Origin{Ref: model.Ref{Kind: "Exemption", Namespace: "shop", Name: "legacy"}}
			},
		},
		"stricter is lowered where palisade set it": {
			labels: map[string]string{enforceKey: "restricted"}, existing: []model.Object{appliedBy("palisade")}, enforce: "baseline",
		},
		"stricter stays where another manager set it": {
			labels: map[string]string{enforceKey: "restricted"}, existing: []model.Object{appliedBy("helm")}, enforce: nil, problem: "PodSecurityWouldLower",
		},
		// The API server holds a namespace with a level that is not one to restricted.
		"what is no level counts as restricted": {
			labels: map[string]string{enforceKey: "strict"}, enforce: nil, problem: "PodSecurityWouldLower",
		},
		"looser is raised, and somebody is told": {
			labels: map[string]string{enforceKey: "privileged"}, enforce: "baseline", finding: "PodSecurityLabelConflict",
		},
		"another version is replaced, and somebody is told": {
			labels:  map[string]string{enforceKey: "baseline", enforceKey + "-version": "v1.25"},
			enforce: "baseline", finding: "PodSecurityLabelConflict",
		},
		"equal is nothing to speak of": {
			labels: map[string]string{enforceKey: "baseline", enforceKey + "-version": "v1.37"}, enforce: "baseline",
		},
		"a profile with a level that is not one writes nothing": {
			change:  func(n *model.Namespace) { n.Posture.PodSecurity.Enforce = "strict" },
			enforce: nil, problem: "PodSecurityLevelUnknown",
		},
		"a profile with a version that is not one writes nothing": {
			change:  func(n *model.Namespace) { n.Posture.PodSecurity.EnforceVersion = "1.37" },
			enforce: nil, problem: "PodSecurityLevelUnknown",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			n := governed(test.labels)
			if test.change != nil {
				test.change(&n)
			}
			m := modelOf(n)
			m.Existing = test.existing
			objects, problems := Compile(m)
			require.Len(t, objects, 1, "audit and warn are written whatever becomes of enforce")
			labels := objects[0].Map("metadata", "labels")
			assert.Equal(t, test.enforce, labels[enforceKey])
			if test.enforce == nil {
				assert.NotContains(t, labels, enforceKey+"-version", "no version without its level")
			}
			var codes, found string
			for _, p := range problems {
				codes += p.Code
				assert.Equal(t, "metadata.labels["+enforceKey+"]", p.Field)
			}
			for _, f := range Findings(m) {
				found += f.Code
			}
			assert.Equal(t, test.problem, codes)
			assert.Equal(t, test.finding, found)
		})
	}
}

func TestNothingIsWrittenWhereEveryLabelStays(t *testing.T) {
	n := governed(map[string]string{enforceKey: "restricted"})
	n.Posture.PodSecurity.Audit, n.Posture.PodSecurity.Warn = "", ""
	objects, problems := Compile(modelOf(n))
	assert.Empty(t, objects)
	assert.Len(t, problems, 1)
}

func TestLabelsOfOursGoWhereNothingWantsThem(t *testing.T) {
	labels := map[string]string{enforceKey: "baseline", warnKey: "restricted"}
	lowered := governed(labels)
	lowered.Posture.PodSecurity.Enforce, lowered.Posture.PodSecurity.EnforceVersion = "", ""
	ungoverned := governed(labels)
	ungoverned.Posture = nil
	tests := map[string]struct {
		namespace model.Namespace
		by        string
		want      map[string]any // nil: no object
	}{
		"a level that a rollout has not come to": {lowered, "palisade", map[string]any{
			warnKey: "restricted", warnKey + "-version": "v1.37", "pod-security.kubernetes.io/audit": "restricted", "pod-security.kubernetes.io/audit-version": "v1.37",
		}},
		"a namespace that nobody governs any more": {ungoverned, "palisade", map[string]any{}},
		"labels of somebody else's":                {ungoverned, "kubectl", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := modelOf(test.namespace)
			m.Existing = []model.Object{appliedBy(test.by)}
			objects, problems := Compile(m)
			assert.Empty(t, problems)
			if test.want == nil {
				assert.Empty(t, objects)
				return
			}
			require.Len(t, objects, 1)
			assert.Equal(t, test.want, objects[0].Map("metadata", "labels"))
		})
	}
}
