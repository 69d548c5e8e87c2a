package pss

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/model"
)

// deployment is a workload "shop/cart" with the pod spec given as YAML.
func deployment(t testing.TB, spec string) *model.Workload {
	t.Helper()
	w := &model.Workload{
		ID:         model.WorkloadID{Namespace: "shop", Kind: "Deployment", Name: "cart"},
		APIVersion: "apps/v1", ServiceAccount: "default", Replicas: 1,
	}
	require.NoError(t, yaml.UnmarshalStrict([]byte(spec), &w.Spec))
	return w
}

func containers(t testing.TB, list string) []corev1.Container {
	t.Helper()
	var c []corev1.Container
	require.NoError(t, yaml.UnmarshalStrict([]byte(list), &c))
	return c
}

const (
	restrictedPod = `
securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
containers:
- name: app
  securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`
	baselinePod = `containers: [{name: app}]`

	// What the meshes inject where no CNI plugin sets up redirection, as far as the checks look.
	redirectingInit = `
- name: istio-init
  securityContext:
    allowPrivilegeEscalation: false
    privileged: false
    runAsNonRoot: false
    runAsUser: 0
    capabilities: {add: [NET_ADMIN, NET_RAW], drop: [ALL]}
`
	proxy = `
- name: istio-proxy
  securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true, runAsUser: 1337, capabilities: {drop: [ALL]}}
`
	linkerdProxy = `
- name: linkerd-proxy
  restartPolicy: Always
  securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true, runAsUser: 2102, seccompProfile: {type: RuntimeDefault}}
`
)

func TestLevelIsTheHighestThatAdmitsThePod(t *testing.T) {
	tests := map[string]struct {
		spec    string
		version string
		level   string
		fields  []string
	}{
		"restricted in every way": {spec: restrictedPod, level: "restricted"},
		"nothing said at all": {
			spec: baselinePod, level: "baseline",
			fields: []string{
				"spec.template.spec.containers[0].securityContext.allowPrivilegeEscalation",
				"spec.template.spec.containers[0].securityContext.capabilities.drop",
				"spec.template.spec.containers[0].securityContext.runAsNonRoot",
				"spec.template.spec.containers[0].securityContext.seccompProfile.type",
			},
		},
		"only the second container is at fault": {
			spec: restrictedPod + `
- name: helper
  securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL], add: [CHOWN]}}
`,
			level: "baseline", fields: []string{"spec.template.spec.containers[1].securityContext.capabilities.add"},
		},
		"the pod's own field is at fault, not its containers": {
			spec: `
securityContext: {runAsNonRoot: true, seccompProfile: {type: Unconfined}}
containers:
- name: app
  securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}
`,
			level: "privileged",
			fields: []string{
				"spec.template.spec.securityContext.seccompProfile.type",
				"spec.template.spec.securityContext.seccompProfile.type",
			},
		},
		"host namespaces, a host path and a sysctl": {
			spec: `
hostNetwork: true
hostPID: true
securityContext: {sysctls: [{name: net.ipv4.tcp_syncookies, value: "1"}, {name: kernel.msgmax, value: "1"}], runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
volumes: [{name: ok, emptyDir: {}}, {name: host, hostPath: {path: /}}]
containers:
- name: app
  securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`,
			level: "privileged",
			fields: []string{
				"spec.template.spec.hostNetwork",
				"spec.template.spec.hostPID",
				"spec.template.spec.volumes[1]",
				"spec.template.spec.securityContext.sysctls[1]",
				"spec.template.spec.volumes[1]",
			},
		},
		"an init container is looked at as well": {
			spec:  restrictedPod + "initContainers: [{name: setup, securityContext: {privileged: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]",
			level: "privileged", fields: []string{"spec.template.spec.initContainers[0].securityContext.privileged"},
		},
		"a version of before the check": {
			// drop [ALL] is demanded since v1.22
			spec: strings.Replace(restrictedPod, ", capabilities: {drop: [ALL]}", "", 1), version: "v1.21", level: "restricted",
		},
		"a version that is none is the latest": {
			spec: strings.Replace(restrictedPod, ", capabilities: {drop: [ALL]}", "", 1), version: "1.21", level: "baseline",
			fields: []string{"spec.template.spec.containers[0].securityContext.capabilities.drop"},
		},
	}
	e := NewEvaluator()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			verdict := e.Level(deployment(t, test.spec), test.version)
			assert.Equal(t, test.level, verdict.Level)
			var fields []string
			for _, v := range verdict.Violations {
				fields = append(fields, v.Fields...)
			}
			assert.Equal(t, test.fields, fields)
		})
	}
}

func TestFieldsAreThoseOfTheWorkloadsObject(t *testing.T) {
	for kind, want := range map[string]string{
		"Pod":         "spec.containers[0].securityContext.privileged",
		"StatefulSet": "spec.template.spec.containers[0].securityContext.privileged",
		"CronJob":     "spec.jobTemplate.spec.template.spec.containers[0].securityContext.privileged",
	} {
		w := deployment(t, "containers: [{name: app, securityContext: {privileged: true}}]")
		w.ID.Kind = kind
		assert.Equal(t, []string{want}, NewEvaluator().Level(w, "latest").At("baseline")[0].Fields)
	}
}

func TestForbiddenAnnotationIsNamed(t *testing.T) {
	w := deployment(t, restrictedPod)
	w.Annotations = map[string]string{"container.apparmor.security.beta.kubernetes.io/app": "unconfined"}
	verdict := NewEvaluator().Level(w, "latest")
	assert.Equal(t, "privileged", verdict.Level)
	assert.Equal(t, []string{"spec.template.metadata.annotations[container.apparmor.security.beta.kubernetes.io/app]"}, verdict.Violations[0].Fields)
}

// Trap 30: what the mesh injects counts, and istio-init fails baseline.
func TestInjectionLowersTheLevelOfATemplate(t *testing.T) {
	e := NewEvaluator()
	w := deployment(t, restrictedPod)
	w.Facts.Injected = model.Injected{InitContainers: containers(t, redirectingInit), Containers: containers(t, proxy)}

	verdict := e.Level(w, "latest")
	assert.Equal(t, "privileged", verdict.Level)
	for _, v := range verdict.Violations {
		assert.Equal(t, []string{"istio-init"}, v.Injected, v.Check)
		assert.Empty(t, v.Fields, "no field of the manifest is at fault")
	}
	assert.Len(t, w.Spec.InitContainers, 0, "the workload itself is left as it is")

	w.Running = true
	assert.Equal(t, "restricted", e.Level(w, "latest").Level, "a running pod has been through injection")
}

// Trap 30: without a profile of its own the proxy has the pod's, or none.
func TestProxyWithoutSeccompProfileInheritsThePods(t *testing.T) {
	e := NewEvaluator()
	w := deployment(t, strings.Replace(strings.Replace(restrictedPod, ", seccompProfile: {type: RuntimeDefault}", "", 1),
		"drop: [ALL]}", "drop: [ALL]}, seccompProfile: {type: RuntimeDefault}", 1))
	require.Equal(t, "restricted", e.Level(w, "latest").Level)

	w.Facts.Injected.Containers = containers(t, proxy)
	verdict := e.Level(w, "latest")
	assert.Equal(t, "baseline", verdict.Level)
	assert.Equal(t, []string{"istio-proxy"}, verdict.Violations[0].Injected)

	w = deployment(t, restrictedPod)
	w.Facts.Injected.Containers = containers(t, proxy)
	assert.Equal(t, "restricted", e.Level(w, "latest").Level)
}

func TestLinkerdProxyHasTheCapabilitiesOfTheFirstContainer(t *testing.T) {
	e := NewEvaluator()
	injected := model.Injected{InitContainers: containers(t, linkerdProxy), CopiesFirstCapabilities: true}
	first := "\n- name: first\n  securityContext: {allowPrivilegeEscalation: false}\n"

	w := deployment(t, restrictedPod)
	w.Facts.Injected = injected
	assert.Equal(t, "restricted", e.Level(w, "latest").Level)

	w = deployment(t, strings.Replace(restrictedPod, "containers:\n", "containers:"+first, 1))
	w.Facts.Injected = injected
	verdict := e.Level(w, "latest")
	require.Len(t, verdict.Violations, 1)
	assert.Equal(t, []string{"linkerd-proxy"}, verdict.Violations[0].Injected)
	assert.Equal(t, []string{"spec.template.spec.containers[0].securityContext.capabilities.drop"}, verdict.Violations[0].Fields)
	assert.Nil(t, injected.InitContainers[0].SecurityContext.Capabilities, "the facts are left as they are")
}

// A check that the library adds needs a row, or its refusals name no field.
func TestEveryCheckOfTheLibraryHasARow(t *testing.T) {
	var ids []string
	for _, check := range policy.DefaultChecks() {
		ids = append(ids, string(check.ID))
		assert.Contains(t, leaves, string(check.ID))
	}
	assert.Len(t, leaves, len(ids), "and no row is left over")
}

// Known answer: all 12 workloads pass baseline; none passes restricted, for seccomp alone.
func TestOnlineBoutiqueMissesRestrictedForSeccompAlone(t *testing.T) {
	files, _ := filepath.Glob("../../shared/inputs/online-boutique/*.yaml")
	if len(files) == 0 {
		t.Skip("the manifests of Online Boutique are not here")
	}
	e := NewEvaluator()
	count := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for document := range strings.SplitSeq(string(data), "\n---") {
			var d appsv1.Deployment
			if yaml.Unmarshal([]byte(document), &d) != nil || d.Kind != "Deployment" {
				continue
			}
			count++
			w := &model.Workload{ID: model.WorkloadID{Kind: d.Kind, Name: d.Name}, Spec: d.Spec.Template.Spec}
			verdict := e.Level(w, "latest")
			assert.Equal(t, "baseline", verdict.Level, d.Name)
			for _, v := range verdict.Violations {
				assert.Equal(t, "seccompProfile_restricted", v.Check, d.Name)
			}
		}
	}
	assert.Equal(t, 12, count)
}

func BenchmarkLevel(b *testing.B) {
	for name, spec := range map[string]string{"restricted": restrictedPod, "baseline": baselinePod} {
		b.Run(name, func(b *testing.B) {
			e, w := NewEvaluator(), deployment(b, spec)
			b.ReportAllocs()
			for b.Loop() {
				e.Level(w, "latest")
			}
		})
	}
}

func BenchmarkNewEvaluator(b *testing.B) {
	for b.Loop() {
		NewEvaluator()
	}
}
