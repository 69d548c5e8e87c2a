package harden_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/harden"
	"floe.dev/palisade/model"
)

// everything gives all that there is to give.
func everything() model.Hardening {
	return model.Hardening{
		SecurityContext: &model.SecurityContextDefaults{
			RunAsNonRoot: true, RunAsUser: 1000, RunAsGroup: 1000, FSGroup: 1000, ReadOnlyRootFilesystem: true, WritablePaths: []string{"/tmp", "/var/cache/app"},
			AllowedCapabilities: []string{"NET_BIND_SERVICE"}, Seccomp: model.LocalProfile{Type: "RuntimeDefault"}, AppArmor: model.LocalProfile{Type: "Localhost", Name: "app"}, SELinuxType: "container_t",
		},
		Workload: &model.WorkloadDefaults{
			NoToken: true, PriorityClassName: "tier-1", SecretVolumes: true, PullMovingTags: true, Spread: true, AntiAffinity: true, DNSPolicy: "Default",
			DNSConfig: &corev1.PodDNSConfig{Options: []corev1.PodDNSConfigOption{{Name: "ndots"}}},
			Resources: corev1.ResourceRequirements{
				Limits:   corev1.ResourceList{"memory": resource.MustParse("256Mi"), "ephemeral-storage": resource.MustParse("1Gi")},
				Requests: corev1.ResourceList{"memory": resource.MustParse("128Mi"), "cpu": resource.MustParse("50m")},
			},
		},
	}
}

var whole = harden.NewPolicy("production", everything())

func jsonOf(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return data
}

// applied hardens JSON, with the library by which API servers carry out the patches of webhooks.
func applied(t testing.TB, p *harden.Policy, data []byte, o harden.Options, change ...func(*harden.Pod)) ([]byte, harden.Result) {
	t.Helper()
	pod, err := harden.Read(string(data))
	require.NoError(t, err)
	for _, c := range change {
		c(pod)
	}
	r := p.Apply(pod, o)
	patch, err := jsonpatch.DecodePatch(harden.Patch(nil, r.Changes))
	require.NoError(t, err, "%s", harden.Patch(nil, r.Changes))
	out, err := patch.Apply(data)
	require.NoError(t, err, "%s\n%s", data, harden.Patch(nil, r.Changes))
	return out, r
}

func admitted(p *harden.Pod) { p.Admitted = true }

func podOf(t testing.TB, data []byte) *corev1.Pod {
	t.Helper()
	var p corev1.Pod
	require.NoError(t, json.Unmarshal(data, &p))
	return &p
}

func treeOf(t testing.TB, data []byte) (tree any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(data, &tree))
	return tree
}

const rounds = 300

func TestASecondTurnGivesNothing(t *testing.T) {
	for seed := range uint64(rounds) {
		data := jsonOf(t, seeded(seed).pod())
		for _, change := range []func(*harden.Pod){func(*harden.Pod) {}, admitted} {
			once, _ := applied(t, whole, data, harden.Options{Record: true}, change)
			twice, r := applied(t, whole, once, harden.Options{Record: true}, change)
			require.Empty(t, r.Changes, "seed %d: %s", seed, once)
			require.JSONEq(t, string(once), string(twice))
		}
	}
}

func TestNothingThatAPodSaysChanges(t *testing.T) {
	for seed := range uint64(rounds) {
		data := jsonOf(t, seeded(seed).pod())
		after, _ := applied(t, whole, data, harden.Options{})
		require.NoError(t, within(treeOf(t, data), treeOf(t, after), "pod"), "seed %d: %s", seed, data)
	}
}

// within tells of the first thing of a tree that another does not hold, unchanged and in its place.
func within(before, after any, at string) error {
	switch b := before.(type) {
	case map[string]any:
		a, ok := after.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is gone", at)
		}
		for _, key := range slices.Sorted(maps.Keys(b)) {
			if err := within(b[key], a[key], at+"."+key); err != nil {
				return err
			}
		}
	case []any:
		a, ok := after.([]any)
		if !ok || len(a) < len(b) {
			return fmt.Errorf("%s is shorter", at)
		}
		for i := range b {
			if err := within(b[i], a[i], fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	default:
		if !reflect.DeepEqual(before, after) {
			return fmt.Errorf("%s was %v and is %v", at, before, after)
		}
	}
	return nil
}

// What the API server's validation would refuse of what is given, and what a kubelet would not start.
func TestAValidPodStaysValid(t *testing.T) {
	for seed := range uint64(rounds) {
		before := seeded(seed).pod()
		data, _ := applied(t, whole, jsonOf(t, before), harden.Options{Record: true})
		after := podOf(t, data)
		for _, fault := range faultsOf(after) {
			require.Contains(t, faultsOf(before), fault, "seed %d: %s", seed, data)
		}
	}
}

func faultsOf(p *corev1.Pod) []string {
	var faults []string
	volumes := map[string]bool{}
	for _, v := range p.Spec.Volumes {
		if volumes[v.Name] {
			faults = append(faults, "two volumes "+v.Name)
		}
		volumes[v.Name] = true
	}
	for _, c := range slices.Concat(p.Spec.Containers, p.Spec.InitContainers) {
		at := map[string]bool{}
		for _, m := range c.VolumeMounts {
			if at[m.MountPath] || !volumes[m.Name] {
				faults = append(faults, "mount "+c.Name+" "+m.MountPath)
			}
			at[m.MountPath] = true
		}
		for name, limit := range c.Resources.Limits {
			if request, ok := c.Resources.Requests[name]; ok && request.Cmp(limit) > 0 {
				faults = append(faults, "request "+c.Name)
			}
		}
		user, nonRoot := effective(p, c)
		if user != nil && *user == 0 && nonRoot {
			faults = append(faults, "root that must not be "+c.Name)
		}
		if s := c.SecurityContext; s != nil && s.AllowPrivilegeEscalation != nil && !*s.AllowPrivilegeEscalation && s.Privileged != nil && *s.Privileged {
			faults = append(faults, "privileged without escalation "+c.Name)
		}
	}
	return faults
}

func effective(p *corev1.Pod, c corev1.Container) (user *int64, nonRoot bool) {
	if s := p.Spec.SecurityContext; s != nil {
		user, nonRoot = s.RunAsUser, s.RunAsNonRoot != nil && *s.RunAsNonRoot
	}
	if s := c.SecurityContext; s != nil {
		if s.RunAsUser != nil {
			user = s.RunAsUser
		}
		if s.RunAsNonRoot != nil {
			nonRoot = *s.RunAsNonRoot
		}
	}
	return user, nonRoot
}

func meshContainersOf(p *corev1.Pod) map[string]corev1.Container {
	found := map[string]corev1.Container{}
	for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		if strings.HasPrefix(c.Name, "istio-") || strings.HasPrefix(c.Name, "linkerd-") {
			found[c.Name] = c
		}
	}
	return found
}

func TestContainersOfAMeshAreLeftAlone(t *testing.T) {
	some := 0
	for seed := range uint64(rounds) {
		before := seeded(seed).pod()
		data, _ := applied(t, whole, jsonOf(t, before), harden.Options{}, admitted)
		after := podOf(t, data)
		was, is := meshContainersOf(podOf(t, jsonOf(t, before))), meshContainersOf(after)
		require.Equal(t, was, is, "seed %d", seed)
		some += len(was)
		for name, c := range was { // nor do they come to run as somebody else by what the pod says
			user, _ := effective(before, c)
			now, nonRoot := effective(after, is[name])
			require.Equal(t, user, now, "seed %d: %s", seed, name)
			require.False(t, nonRoot && now != nil && *now == 0, "seed %d: %s", seed, name)
		}
	}
	assert.Greater(t, some, rounds/4)
}

// The injectors' webhooks may come before or after this one, or both.
func TestTheOrderOfInjectionDoesNotMatter(t *testing.T) {
	for seed := range uint64(rounds) {
		for _, mesh := range []string{"istio", "istio-native", "istio-init", "linkerd"} {
			plain := seeded(seed).pod()
			if len(meshContainersOf(plain)) > 0 {
				continue
			}
			data := jsonOf(t, plain)
			first := podOf(t, data)
			inject(mesh, first)
			late, _ := applied(t, whole, jsonOf(t, first), harden.Options{})
			early, _ := applied(t, whole, data, harden.Options{})
			injected := podOf(t, early)
			inject(mesh, injected)
			again, _ := applied(t, whole, jsonOf(t, injected), harden.Options{})
			require.JSONEq(t, string(jsonOf(t, settled(podOf(t, late)))), string(jsonOf(t, settled(podOf(t, again)))), "seed %d, %s", seed, mesh)
		}
	}
}

// settled is what the application's containers come to, with what they inherit, and the rest of the pod.
func settled(p *corev1.Pod) any {
	type outcome struct {
		User, Group *int64
		NonRoot     bool
		Container   corev1.Container
	}
	all := map[string]outcome{}
	for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		o := outcome{Container: c}
		o.User, o.NonRoot = effective(p, c)
		if p.Spec.SecurityContext != nil {
			o.Group = p.Spec.SecurityContext.RunAsGroup
		}
		if s := c.SecurityContext; s != nil {
			if s.RunAsGroup != nil {
				o.Group = s.RunAsGroup
			}
			o.Container.SecurityContext = s.DeepCopy()
			o.Container.SecurityContext.RunAsUser, o.Container.SecurityContext.RunAsGroup, o.Container.SecurityContext.RunAsNonRoot = nil, nil, nil
		}
		if strings.HasPrefix(c.Name, "istio-") || strings.HasPrefix(c.Name, "linkerd-") {
			o = outcome{}
		}
		all[c.Name] = o
	}
	rest := p.Spec.DeepCopy()
	rest.Containers, rest.InitContainers = nil, nil
	if s := rest.SecurityContext; s != nil {
		s.RunAsUser, s.RunAsGroup, s.RunAsNonRoot = nil, nil, nil
	}
	return []any{all, *rest}
}

// Kubernetes' own evaluator: a pod that says nothing weak is restricted afterwards, and each that is not has a field that is kept.
func TestWhatIsNotRestrictedAfterwardsIsToldOf(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	require.NoError(t, err)
	passed := 0
	for seed := range uint64(rounds) {
		p := seeded(seed).pod()
		p.Spec.HostNetwork = false
		if len(meshContainersOf(p)) > 0 {
			continue
		}
		data, r := applied(t, whole, jsonOf(t, p), harden.Options{})
		after := podOf(t, data)
		refused := policy.AggregateCheckResults(evaluator.EvaluatePod(api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}, &after.ObjectMeta, &after.Spec))
		if refused.Allowed {
			passed++
			continue
		}
		require.NotEmpty(t, r.Kept, "seed %d: %s: %s", seed, refused.ForbiddenDetail(), data)
	}
	assert.Greater(t, passed, rounds/20)
}

func TestExemptionLeavesTheSecurityContextAlone(t *testing.T) {
	for seed := range uint64(rounds / 3) {
		before := seeded(seed).pod()
		data, r := applied(t, whole, jsonOf(t, before), harden.Options{Exempt: "Exemption shop/cart", Record: true}, admitted)
		after := podOf(t, data)
		require.Equal(t, podOf(t, jsonOf(t, before)).Spec.SecurityContext, after.Spec.SecurityContext)
		for i, c := range after.Spec.Containers {
			require.Equal(t, podOf(t, jsonOf(t, before)).Spec.Containers[i].SecurityContext, c.SecurityContext)
		}
		for _, c := range r.Changes {
			require.NotContains(t, c.Path(), "securityContext")
		}
	}
}

func hardened(t *testing.T, p *harden.Policy, manifest string, change ...func(*harden.Pod)) (string, harden.Result) {
	t.Helper()
	data, err := yaml.YAMLToJSONStrict([]byte(manifest))
	require.NoError(t, err)
	out, r := applied(t, p, data, harden.Options{}, change...)
	text, err := yaml.JSONToYAML(out)
	require.NoError(t, err)
	return string(text), r
}

func kept(r harden.Result) []string {
	var all []string
	for _, k := range r.Kept {
		all = append(all, k.Field)
	}
	return all
}

func TestWhatIsGiven(t *testing.T) {
	tests := map[string]struct {
		manifest      string
		admitted      bool
		want, mustNot []string
		keeps         []string
		owner         string
	}{
		"a pod that says nothing": {
			manifest: "{metadata: {}, spec: {containers: [{name: app, image: 'app:1.2.3'}]}}",
			want: []string{"runAsNonRoot: true", "runAsUser: 1000", "runAsGroup: 1000", "fsGroup: 1000", "type: RuntimeDefault", "allowPrivilegeEscalation: false", "readOnlyRootFilesystem: true",
				"- ALL", "mountPath: /tmp", "emptyDir: {}", "automountServiceAccountToken: false", "memory: 256Mi", "cpu: 50m", "priorityClassName: tier-1", "dnsPolicy: Default", "localhostProfile: app", "type: container_t"},
			mustNot: []string{"imagePullPolicy", "topologySpread", "Affinity", "1337"},
		},
		"who says root stays root, and is told": {
			manifest: "{metadata: {}, spec: {securityContext: {runAsUser: 0}, containers: [{name: app, image: 'app:1.2.3'}]}}",
			want:     []string{"runAsUser: 0"}, mustNot: []string{"runAsNonRoot", "runAsUser: 1000", "runAsGroup"}, keeps: []string{"spec.securityContext.runAsUser"},
		},
		"one root among others": {
			manifest: "{metadata: {}, spec: {containers: [{name: app, image: 'app:1.2.3'}, {name: old, image: 'app:1.2.3', securityContext: {runAsUser: 0}}]}}",
			want:     []string{"runAsNonRoot: true", "runAsUser: 1000", "runAsUser: 0"}, keeps: []string{"spec.containers[old].securityContext.runAsUser"},
		},
		"privileged containers are left alone": {
			manifest: "{metadata: {}, spec: {containers: [{name: app, image: 'app:1.2.3', securityContext: {privileged: true}}]}}",
			mustNot:  []string{"allowPrivilegeEscalation", "drop", "readOnlyRoot"}, keeps: []string{"spec.containers[app].securityContext.privileged"},
		},
		"capabilities of the allowlist come back": {
			manifest: "{metadata: {}, spec: {containers: [{name: app, image: 'app:1.2.3', securityContext: {capabilities: {add: [NET_BIND_SERVICE]}}}]}}",
			want:     []string{"- NET_BIND_SERVICE", "- ALL"},
		},
		"capabilities beyond the allowlist are told of": {
			manifest: "{metadata: {}, spec: {containers: [{name: app, image: 'app:1.2.3', securityContext: {capabilities: {add: [SYS_TIME]}}}]}}",
			want:     []string{"- SYS_TIME", "- ALL"}, keeps: []string{"spec.containers[app].securityContext.capabilities.add"},
		},
		"CAP_SYS_ADMIN does not go with a ban of escalation": {
			manifest: "{metadata: {}, spec: {containers: [{name: app, image: 'app:1.2.3', securityContext: {capabilities: {add: [CAP_SYS_ADMIN]}}}]}}",
			mustNot:  []string{"allowPrivilegeEscalation"}, keeps: []string{"spec.containers[app].securityContext.capabilities.add"},
		},
		"Windows has no such fields": {
			manifest: "{metadata: {}, spec: {os: {name: windows}, containers: [{name: app, image: 'app:1.2.3'}]}}",
			want:     []string{"runAsNonRoot: true"}, mustNot: []string{"runAsUser", "seccomp", "fsGroup", "capabilities", "allowPriv", "readOnlyRoot", "seLinux", "appArmor"},
		},
		"moving tags are pulled always": {
			manifest: "{metadata: {}, spec: {containers: [{name: a, image: 'app:main', imagePullPolicy: IfNotPresent}, {name: b, image: 'reg:5000/app', imagePullPolicy: Never}]}}", admitted: true,
			want: []string{"imagePullPolicy: Always", "imagePullPolicy: Never"}, mustNot: []string{"IfNotPresent"}, keeps: []string{"spec.containers[b].imagePullPolicy"},
		},
		"a manifest that says IfNotPresent means it": {
			manifest: "{metadata: {}, spec: {containers: [{name: a, image: 'app:main', imagePullPolicy: IfNotPresent}]}}",
			want:     []string{"IfNotPresent"}, keeps: []string{"spec.containers[a].imagePullPolicy"},
		},
		"a request above the default is the limit": {
			manifest: "{metadata: {}, spec: {containers: [{name: a, image: 'app:1.0.0', resources: {requests: {memory: 2Gi}}}]}}",
			want:     []string{"memory: 2Gi\n        ephemeral", "limits:\n        ephemeral-storage: 1Gi\n        memory: 2Gi"}[1:],
		},
		"resources of the pod bound those of its containers": {
			manifest: "{metadata: {}, spec: {resources: {limits: {memory: 64Mi}}, containers: [{name: a, image: 'app:1.0.0'}]}}",
			mustNot:  []string{"256Mi"},
		},
		"secrets are read by the group alone": {
			manifest: "{metadata: {}, spec: {volumes: [{name: s, secret: {secretName: s, defaultMode: 420}}, {name: t, secret: {secretName: t, defaultMode: 288}}], containers: [{name: a, image: 'app:1.0.0', volumeMounts: [{name: s, mountPath: /s}]}]}}", admitted: true,
			want: []string{"defaultMode: 256", "defaultMode: 288", "readOnly: true"}, mustNot: []string{"420"},
		},
		"a path below a mount is writable already": {
			manifest: "{metadata: {}, spec: {volumes: [{name: v, emptyDir: {}}], containers: [{name: a, image: 'app:1.0.0', volumeMounts: [{name: v, mountPath: /var}, {name: v, mountPath: /tmp/}]}]}}",
			mustNot:  []string{"palisade-"},
		},
		"the token that the API server mounted goes, but not the proxy's": {
			manifest: `{metadata: {}, spec: {volumes: [{name: kube-api-access-x, projected: {sources: []}}],
 containers: [{name: a, image: 'app:1.0.0', volumeMounts: [{name: kube-api-access-x, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}]},
 {name: linkerd-proxy, image: p, volumeMounts: [{name: kube-api-access-x, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}]}]}}`, admitted: true,
			want: []string{"automountServiceAccountToken: false", "name: kube-api-access-x\n    projected"},
		},
		"the token that nobody uses goes": {
			manifest: `{metadata: {}, spec: {volumes: [{name: kube-api-access-x, projected: {sources: []}}],
 containers: [{name: a, image: 'app:1.0.0', volumeMounts: [{name: kube-api-access-x, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}]}]}}`, admitted: true,
			want: []string{"automountServiceAccountToken: false"}, mustNot: []string{"kube-api-access-x"},
		},
		"the token that is asked for stays": {
			manifest: `{metadata: {}, spec: {automountServiceAccountToken: true, volumes: [{name: kube-api-access-x, projected: {sources: []}}],
 containers: [{name: a, image: 'app:1.0.0', volumeMounts: [{name: kube-api-access-x, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}]}]}}`, admitted: true,
			want: []string{"automountServiceAccountToken: true", "kube-api-access-x"},
		},
		"replicas are spread by the labels that they share": {
			manifest: "{metadata: {labels: {app: cart, pod-template-hash: 5d}}, spec: {containers: [{name: a, image: 'app:1.0.0'}]}}", owner: "ReplicaSet",
			want: []string{"topologyKey: kubernetes.io/hostname", "topologyKey: topology.kubernetes.io/zone", "preferredDuring", "app: cart"},
		},
		"the class of a pod is worked out again": {
			manifest: "{metadata: {}, spec: {priority: 0, preemptionPolicy: PreemptLowerPriority, containers: [{name: a, image: 'app:1.0.0'}]}}", admitted: true,
			want: []string{"priorityClassName: tier-1"}, mustNot: []string{"priority: 0", "preemptionPolicy"},
		},
		"SELinux options of the pod keep their level": {
			manifest: "{metadata: {}, spec: {securityContext: {seLinuxOptions: {level: 's0:c1'}}, containers: [{name: a, image: 'app:1.0.0'}, {name: b, image: 'app:1.0.0', securityContext: {seLinuxOptions: {level: 's0:c2'}}}]}}",
			want:     []string{"level: s0:c1\n      type: container_t", "level: s0:c2\n        type: container_t"},
		},
		"an annotation of AppArmor counts": {
			manifest: "{metadata: {annotations: {container.apparmor.security.beta.kubernetes.io/a: runtime/default}}, spec: {containers: [{name: a, image: 'app:1.0.0'}]}}",
			mustNot:  []string{"appArmorProfile"},
		},
		"a mirror of what a kubelet runs is not touched": {
			manifest: "{metadata: {annotations: {kubernetes.io/config.mirror: x}}, spec: {containers: [{name: a, image: 'app:1.0.0'}]}}",
			mustNot:  []string{"securityContext", "dnsPolicy"},
		},
		"pods in the node's network keep the node's resolver": {
			manifest: "{metadata: {}, spec: {hostNetwork: true, dnsPolicy: ClusterFirst, containers: [{name: a, image: 'app:1.0.0'}]}}", admitted: true,
			want: []string{"dnsPolicy: ClusterFirst"}, mustNot: []string{"dnsConfig"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text, r := hardened(t, whole, test.manifest, func(p *harden.Pod) { p.Admitted, p.Owner = test.admitted, test.owner })
			for _, want := range test.want {
				assert.Contains(t, text, want)
			}
			for _, not := range test.mustNot {
				assert.NotContains(t, text, not)
			}
			assert.ElementsMatch(t, test.keeps, kept(r))
			for _, c := range r.Changes {
				assert.NotEmpty(t, c.Why, c.Path())
			}
		})
	}
}

func TestTokenStaysWhereTheMeshNeedsIt(t *testing.T) {
	p := harden.NewPolicy("production", everything())
	p.KeepToken = "Linkerd projects no token of its own"
	text, r := hardened(t, p, "{metadata: {}, spec: {containers: [{name: a, image: 'app:1.0.0'}]}}")
	assert.NotContains(t, text, "automount")
	assert.Equal(t, []string{"spec.automountServiceAccountToken"}, kept(r))
}

func TestLocalProfilesAreForTheApplication(t *testing.T) {
	h := everything()
	h.SecurityContext.Seccomp = model.LocalProfile{Type: "Localhost", Name: "profiles/app.json"}
	text, _ := hardened(t, harden.NewPolicy("production", h), "{metadata: {}, spec: {containers: [{name: a, image: 'app:1.0.0'}]}}")
	assert.Contains(t, text, "seccompProfile:\n        localhostProfile: profiles/app.json\n        type: Localhost")
	assert.Contains(t, text, "    seccompProfile:\n      type: RuntimeDefault", "what is injected inherits what the pod says")
}

func TestEveryChangeIsRecordedInOneAnnotation(t *testing.T) {
	data := []byte(`{"metadata":{},"spec":{"containers":[{"name":"app","image":"app:1.2.3"}]}}`)
	h := model.Hardening{SecurityContext: everything().SecurityContext}
	h.SecurityContext.WritablePaths, h.SecurityContext.AppArmor, h.SecurityContext.SELinuxType = nil, model.LocalProfile{}, ""
	out, r := applied(t, harden.NewPolicy("production", h), data, harden.Options{Record: true})
	record := podOf(t, out).Annotations[harden.RecordAnnotation]
	assert.Equal(t, "profile production; spec.securityContext.fsGroup=1000; spec.securityContext.runAsGroup=1000; spec.securityContext.runAsNonRoot=true; spec.securityContext.runAsUser=1000; "+
		`spec.securityContext.seccompProfile={"type":"RuntimeDefault"}; spec.containers[app].securityContext.allowPrivilegeEscalation=false; `+
		`spec.containers[app].securityContext.capabilities={"drop":["ALL"]}; spec.containers[app].securityContext.readOnlyRootFilesystem=true`, record)
	assert.Len(t, r.Changes, 9)

	again := podOf(t, out)
	again.Spec.Containers = append(again.Spec.Containers, corev1.Container{Name: "late"}) // another webhook added it
	out, _ = applied(t, harden.NewPolicy("production", h), jsonOf(t, again), harden.Options{Record: true})
	later := podOf(t, out).Annotations[harden.RecordAnnotation]
	assert.True(t, strings.HasPrefix(later, record+"; spec.containers[late]."), later)
}
