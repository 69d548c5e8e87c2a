package pss

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/policy"

	"floe.dev/palisade/model"
)

// podOf is a running pod of the Deployment shop/cart.
func podOf(t testing.TB, name, spec string) *model.Workload {
	t.Helper()
	p := deployment(t, spec)
	p.Owner = p.ID
	p.ID.Kind, p.ID.Name, p.APIVersion, p.Running = "Pod", name, "v1", true
	return p
}

// levelsOf plans the one namespace of a Model.
func levelsOf(t testing.TB, m *model.Model, o LevelOptions) NamespaceLevels {
	t.Helper()
	list := Levels(m, o)
	require.Len(t, list, 1)
	return list[0]
}

func withPods(n model.Namespace, template *model.Workload, pods ...*model.Workload) *model.Model {
	m := modelOf(n)
	if template != nil {
		m.Workloads = []model.Workload{*template}
	}
	for _, p := range pods {
		m.Pods = append(m.Pods, *p)
	}
	return m
}

// Features: G2.
func TestTheHighestLevelIsThatOfPodsAndTemplatesTogether(t *testing.T) {
	shop := ungoverned("shop", nil)
	for name, c := range map[string]struct {
		template, pod string
		highest       string
		inTemplate    bool
		pods          int
	}{
		"both satisfy restricted":             {template: restrictedPod, pod: restrictedPod, highest: "restricted"},
		"the template was mended, pods not":   {template: restrictedPod, pod: rootPod, highest: "privileged", pods: 1},
		"the template was loosened, pods not": {template: rootPod, pod: restrictedPod, highest: "privileged", inTemplate: true},
		"both alike":                          {template: baselinePod, pod: baselinePod, highest: "baseline", inTemplate: true, pods: 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := levelsOf(t, withPods(shop, deployment(t, c.template), podOf(t, "cart-1", c.pod)), LevelOptions{Version: "v1.37"})
			assert.Equal(t, c.highest, l.Highest)
			assert.Equal(t, "v1.37", l.Version)
			assert.Equal(t, [2]int{1, 1}, [2]int{l.Workloads, l.Pods})
			if c.highest == "restricted" {
				assert.Empty(t, l.Obstacles)
				return
			}
			require.Len(t, l.Obstacles, 1)
			o := l.Obstacles[0]
			assert.Equal(t, c.inTemplate, o.Template)
			assert.Equal(t, c.pods, o.Pods)
			assert.Equal(t, "Deployment shop/cart", o.Workload.String())
			for _, v := range o.Violations {
				assert.NotEmpty(t, v.Fields)
				assert.NotEmpty(t, v.Fix)
			}
		})
	}
}

func TestAPodWhoseWorkloadWasNotReadCounts(t *testing.T) {
	l := levelsOf(t, withPods(ungoverned("shop", nil), nil, podOf(t, "cart-1", rootPod)), LevelOptions{})
	assert.Equal(t, "privileged", l.Highest)
	require.Len(t, l.Obstacles, 1)
	assert.Equal(t, "cart-1", l.Obstacles[0].Pod)
	assert.Equal(t, []string{"spec.containers[0].securityContext.privileged"}, l.Obstacles[0].Violations[0].Fields)
}

// What the API server's own dry run leaves out: it stops at 3,000 pods of a namespace.
func TestTheLastOfManyPodsCounts(t *testing.T) {
	m := withPods(ungoverned("shop", nil), deployment(t, restrictedPod))
	for i := range 4000 {
		m.Pods = append(m.Pods, *podOf(t, fmt.Sprintf("cart-%05d", i), restrictedPod))
	}
	odd := podOf(t, "cart-99999", strings.Replace(restrictedPod, "containers:", "hostPID: true\ncontainers:", 1))
	m.Pods = append(m.Pods, *odd)
	l := levelsOf(t, m, LevelOptions{})
	assert.Equal(t, "privileged", l.Highest)
	require.Len(t, l.Obstacles, 1)
	assert.Equal(t, 1, l.Obstacles[0].Pods)
	assert.Equal(t, "cart-99999", l.Obstacles[0].Pod)
}

func TestPodsOfMoreKindsThanAreKeptAreAllJudged(t *testing.T) {
	m := withPods(ungoverned("shop", nil), deployment(t, restrictedPod))
	for i := range 3 * mostKinds {
		m.Pods = append(m.Pods, *podOf(t, fmt.Sprintf("cart-%05d", i), strings.Replace(restrictedPod, "name: app", fmt.Sprintf("name: app%d", i), 1)))
	}
	m.Pods = append(m.Pods, *podOf(t, "cart-99999", rootPod))
	assert.Equal(t, "privileged", levelsOf(t, m, LevelOptions{}).Highest)
}

func TestOnlySystemNamespacesAreLeftPrivileged(t *testing.T) {
	lowered := governed(nil)
	lowered.Posture.PodSecurity.Enforce = "privileged"
	lowered.Posture.PodSecurity.Origin = &model.Origin{}
	loose := governed(nil)
	loose.Posture.PodSecurity.Enforce = "privileged"
	strict := governed(nil)
	strict.Posture.PodSecurity.Enforce = "restricted"
	for name, c := range map[string]struct {
		n        model.Namespace
		pod      string
		proposed string
		ready    bool
	}{
		"nothing in the way":                {ungoverned("shop", nil), restrictedPod, "restricted", true},
		"pods at baseline":                  {ungoverned("shop", nil), baselinePod, "baseline", true},
		"a privileged pod":                  {ungoverned("shop", nil), rootPod, "baseline", false},
		"a privileged pod of the system":    {ungoverned("kube-system", nil), rootPod, "privileged", true},
		"pods of the system that need less": {ungoverned("kube-system", nil), baselinePod, "baseline", true},
		"an Exemption":                      {lowered, rootPod, "privileged", true},
		"a profile alone does not do":       {loose, rootPod, "baseline", false},
		"a profile that demands more":       {strict, baselinePod, "restricted", false},
		"a label is never lowered":          {ungoverned("shop", map[string]string{enforceKey: "restricted"}), baselinePod, "restricted", false},
		"a label that is none":              {ungoverned("shop", map[string]string{enforceKey: "Restricted"}), baselinePod, "baseline", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := deployment(t, c.pod)
			w.ID.Namespace = c.n.Name
			l := levelsOf(t, modelOf(c.n, w), LevelOptions{})
			assert.Equal(t, c.proposed, l.Proposed)
			assert.Equal(t, c.ready, l.Ready)
			assert.Equal(t, !c.ready, len(l.InTheWay(l.Proposed)) > 0)
			for _, o := range l.Obstacles {
				assert.False(t, o.Defaulted, "nothing is filled in")
			}
		})
	}
}

func TestTheVersionOfTheProfileIsPinnedElseTheClusters(t *testing.T) {
	n := governed(nil)
	n.Posture.PodSecurity.EnforceVersion = "v1.21"
	assert.Equal(t, "v1.21", levelsOf(t, modelOf(n), LevelOptions{Version: "v1.37"}).Version)
	n.Posture.PodSecurity.EnforceVersion = "1.21"
	assert.Equal(t, "v1.37", levelsOf(t, modelOf(n), LevelOptions{Version: "v1.37"}).Version)
	assert.Equal(t, "latest", levelsOf(t, modelOf(ungoverned("shop", nil)), LevelOptions{}).Version)
}

// Trap 30: the same template under four ways of injection.
// Features: G2.
func TestInjectionThatWillHappenCounts(t *testing.T) {
	for name, c := range map[string]struct {
		injected model.Injected
		highest  string
		fix      string
	}{
		"istio-init":             {model.Injected{InitContainers: containers(t, redirectingInit), Containers: containers(t, proxy)}, "privileged", "install Istio's CNI node agent"},
		"istio-cni":              {model.Injected{Containers: containers(t, proxy)}, "restricted", ""},
		"ambient adds no pod":    {model.Injected{}, "restricted", ""},
		"linkerd's own sidecars": {model.Injected{InitContainers: containers(t, linkerdProxy), CopiesFirstCapabilities: true}, "restricted", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := deployment(t, restrictedPod)
			w.Facts.Injected = c.injected
			m := modelOf(ungoverned("shop", nil), w)
			m.Cluster.Mesh.Kind = model.MeshIstio
			l := levelsOf(t, m, LevelOptions{})
			assert.Equal(t, c.highest, l.Highest)
			if c.fix != "" {
				require.Len(t, l.Obstacles, 1)
				assert.Contains(t, l.Obstacles[0].Violations[0].Fix, c.fix)
				assert.Equal(t, []string{"istio-init"}, l.Obstacles[0].Violations[0].Injected)
			}
		})
	}
}

func TestDefaultsRaiseWhatIsCreatedAgainAndNotWhatRuns(t *testing.T) {
	restricted := deployment(t, restrictedPod).Spec
	fill := func(w *model.Workload) *corev1.PodSpec {
		if w.Spec.Containers[0].SecurityContext == nil {
			return &restricted
		}
		return nil
	}
	l := levelsOf(t, withPods(ungoverned("shop", nil), deployment(t, baselinePod), podOf(t, "cart-1", baselinePod)), LevelOptions{Defaults: fill})
	assert.Equal(t, "baseline", l.Highest)
	assert.Equal(t, "restricted", l.Defaulted)
	require.Len(t, l.Obstacles, 1)
	assert.True(t, l.Obstacles[0].Defaulted)

	l = levelsOf(t, withPods(ungoverned("shop", nil), deployment(t, rootPod)), LevelOptions{Defaults: fill})
	assert.Equal(t, "privileged", l.Defaulted, "what the author set stays")
	assert.False(t, l.Obstacles[0].Defaulted)
	assert.Empty(t, levelsOf(t, modelOf(ungoverned("shop", nil)), LevelOptions{}).Defaulted)
}

func TestEveryCheckHasARemedy(t *testing.T) {
	var ids []string
	for _, check := range policy.DefaultChecks() {
		ids = append(ids, string(check.ID))
		assert.NotEmpty(t, remedies[string(check.ID)], check.ID)
	}
	assert.Len(t, remedies, len(ids), "and none is left over")
}

// The SIG's ceiling for a cluster: 150,000 pods, here of 5,000 templates. The goal is a second; the API
// server's own dry run gives up after 3,000 pods of a namespace, or a second.
func BenchmarkLevelsOf150000Pods(b *testing.B) {
	for name, spec := range map[string]string{"restricted": restrictedPod, "baseline": baselinePod} {
		b.Run(name, func(b *testing.B) {
			m := bigModel(b, spec)
			b.ReportAllocs()
			for b.Loop() {
				list := Levels(m, LevelOptions{Version: "v1.37"})
				if list[0].Highest != name {
					b.Fatal(list[0].Highest)
				}
			}
		})
	}
}

// bigModel is 100 namespaces of 50 Deployments of 30 pods.
func bigModel(b *testing.B, spec string) *model.Model {
	b.Helper()
	m := &model.Model{}
	for n := range 100 {
		namespace := fmt.Sprintf("ns-%03d", n)
		m.Namespaces = append(m.Namespaces, model.Namespace{Name: namespace, Declared: true})
		for d := range 50 {
			w := deployment(b, spec)
			w.ID.Namespace, w.ID.Name = namespace, fmt.Sprintf("app-%02d", d)
			m.Workloads = append(m.Workloads, *w)
			for p := range 30 {
				pod := *w
				pod.Spec = *w.Spec.DeepCopy()
				token := fmt.Sprintf("kube-api-access-%05d", p)
				pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: token, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{}}})
				pod.Owner, pod.Running = w.ID, true
				pod.ID.Kind, pod.ID.Name = "Pod", fmt.Sprintf("app-%02d-%05d", d, p)
				m.Pods = append(m.Pods, pod)
			}
		}
	}
	return m
}
