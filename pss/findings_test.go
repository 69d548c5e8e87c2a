package pss

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
)

const rootPod = `
securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
containers:
- name: app
  securityContext: {privileged: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`

// Trap 31: the Deployment is accepted, its pods are refused later; with no replicas nothing shows at all.
func TestTemplateBelowEnforceIsRefusedLater(t *testing.T) {
	w := deployment(t, rootPod)
	for replicas, says := range map[int32]string{
		3: "its pods (the Deployment itself is accepted)",
		0: "it has no replicas now, so nothing shows",
	} {
		w.Replicas = replicas
		findings := Findings(modelOf(governed(nil), w))
		require.Len(t, findings, 1)
		f := findings[0]
		assert.Equal(t, "PodBelowEnforce", f.Code)
		assert.Equal(t, model.Error, f.Severity)
		assert.Equal(t, "Deployment shop/cart", f.Subject.String())
		assert.Equal(t, "spec.template.spec.containers[0].securityContext.privileged", f.Field)
		assert.Contains(t, f.Message, says)
		assert.Contains(t, f.Message, `privileged (container "app" must not set securityContext.privileged=true)`)
	}
}

func TestRunningPodIsRefusedOnlyWhenItIsCreatedAgain(t *testing.T) {
	w := deployment(t, rootPod)
	w.ID.Kind, w.APIVersion, w.Running = "Pod", "v1", true
	findings := Findings(modelOf(governed(nil), w))
	require.Len(t, findings, 1)
	assert.Equal(t, "spec.containers[0].securityContext.privileged", findings[0].Field)
	assert.Contains(t, findings[0].Message, "it keeps running until then")
}

func TestPodBelowWarnIsOnlyToldOf(t *testing.T) {
	findings := Findings(modelOf(governed(nil), deployment(t, baselinePod)))
	require.Len(t, findings, 1)
	assert.Equal(t, "PodBelowWarn", findings[0].Code)
	assert.Equal(t, model.Info, findings[0].Severity)
	assert.Contains(t, findings[0].Message, "level restricted:v1.37 would warn about, and note in the audit log, the pods")
	assert.Contains(t, findings[0].Message, "spec.template.spec.containers[0].securityContext.seccompProfile.type")
}

func TestAuditCountsWhereWarnIsLower(t *testing.T) {
	n := governed(nil)
	n.Posture.PodSecurity.Warn = "baseline"
	findings := Findings(modelOf(n, deployment(t, baselinePod)))
	require.Len(t, findings, 1)
	assert.Contains(t, findings[0].Message, "would note the pods in the audit log")
}

// Trap 30: the mesh is to blame, not the manifest, and the fix is the mesh's, too.
func TestInjectedInitContainerBelowEnforceIsTheMeshsFault(t *testing.T) {
	w := deployment(t, restrictedPod)
	w.Facts.Injected = model.Injected{InitContainers: containers(t, redirectingInit), Containers: containers(t, proxy)}
	m := modelOf(governed(nil), w)
	for kind, fix := range map[model.MeshKind]string{
		model.MeshIstio:   "install Istio's CNI node agent",
		model.MeshLinkerd: "install Linkerd's CNI plugin",
	} {
		m.Cluster.Mesh.Kind = kind
		findings := Findings(m)
		require.NotEmpty(t, findings)
		assert.Equal(t, "InjectionBelowEnforce", findings[0].Code)
		assert.Equal(t, model.Error, findings[0].Severity)
		assert.Empty(t, findings[0].Field)
		assert.Contains(t, findings[0].Message, `container "istio-init" must not include "NET_ADMIN", "NET_RAW"`)
		assert.Contains(t, findings[0].Fix, fix)
		for _, f := range findings {
			assert.NotEqual(t, "PodBelowEnforce", f.Code)
		}
	}
}

func TestManifestAndMeshAreBlamedApart(t *testing.T) {
	w := deployment(t, strings.Replace(restrictedPod, "drop: [ALL]", "drop: [ALL], add: [SYS_ADMIN]", 1))
	w.Facts.Injected.InitContainers = containers(t, redirectingInit)
	texts := map[string]string{}
	for _, f := range Findings(modelOf(governed(nil), w)) {
		texts[f.Code] = f.Message
	}
	assert.Contains(t, texts["PodBelowEnforce"], `container "app" must not include "SYS_ADMIN"`)
	assert.NotContains(t, texts["PodBelowEnforce"], "istio-init")
	assert.Contains(t, texts["InjectionBelowEnforce"], `container "istio-init" must not include "NET_ADMIN", "NET_RAW"`)
	assert.NotContains(t, texts["InjectionBelowEnforce"], `"app"`)
}

func TestProxyBelowRestrictedIsMendedInThePod(t *testing.T) {
	n := governed(nil)
	n.Posture.PodSecurity.Enforce = "restricted"
	w := deployment(t, strings.Replace(strings.Replace(restrictedPod, ", seccompProfile: {type: RuntimeDefault}", "", 1),
		"drop: [ALL]}", "drop: [ALL]}, seccompProfile: {type: RuntimeDefault}", 1))
	w.Facts.Injected.Containers = containers(t, proxy)
	findings := Findings(modelOf(n, w))
	require.Len(t, findings, 1)
	assert.Equal(t, "InjectionBelowEnforce", findings[0].Code)
	assert.Equal(t, "set spec.template.spec.securityContext.seccompProfile.type to RuntimeDefault, which injected containers inherit", findings[0].Fix)
}

// A stricter label of somebody else's stays, so pods are held to that, not to what the profile wants.
func TestPodsAreHeldToTheLabelThatStays(t *testing.T) {
	n := governed(map[string]string{enforceKey: "restricted", warnKey: "privileged"})
	findings := Findings(modelOf(n, deployment(t, baselinePod)))
	require.NotEmpty(t, findings)
	assert.Equal(t, "PodBelowEnforce", findings[0].Code)
	assert.Contains(t, findings[0].Message, "level restricted would refuse")
}

func TestWorkloadsOfNamespacesThatNobodyGovernsAreNotJudged(t *testing.T) {
	n := governed(nil)
	n.Posture = nil
	assert.Empty(t, Findings(modelOf(n, deployment(t, rootPod))))
}

// The worst case: no two pods alike, and every one below the level.
func BenchmarkFindingsOf10000Workloads(b *testing.B) {
	m := modelOf(governed(nil))
	for i := range 10_000 {
		w := deployment(b, baselinePod)
		w.ID.Name = fmt.Sprintf("w%05d", i)
		m.Workloads = append(m.Workloads, *w)
	}
	b.ReportAllocs()
	for b.Loop() {
		Findings(m)
	}
}
