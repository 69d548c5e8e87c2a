package difftest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	securityapi "istio.io/api/security/v1beta1"
	typeapi "istio.io/api/type/v1beta1"
	securityclient "istio.io/client-go/pkg/apis/security/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// everyMode is each thing that a PeerAuthentication can say of a mode; -1 is none.
var everyMode = []int{-1, 0, 1, 2, 3}

// TestEveryCombinationOfModes gives both sides every combination of what the mesh,
// a namespace, a workload and two of its ports may say, for sidecars and for ambient
// pods: random worlds do not meet them all.
func TestEveryCombinationOfModes(t *testing.T) {
	silence()
	counts := map[string]int{}
	for _, mesh := range everyMode {
		t.Run(fmt.Sprint("mesh ", mesh), func(t *testing.T) {
			w := modesWorld(mesh)
			c := &comparison{istiod: start(t, w), r: read(w), counts: counts}
			for _, p := range w.pods {
				for _, port := range ports[:3] {
					c.plainly(nil, p, connection{source: address(nil), destination: address(p), port: port})
				}
			}
		})
	}
	t.Log(counts)
	require.Greater(t, counts["mtls denied"], 2000)
	require.Greater(t, counts["mtls allowed"], 2000)
}

func modesWorld(mesh int) *world {
	w := &world{Rand: rand.New(rand.NewPCG(1, 1)), autoMTLS: true, ambient: true}
	w.namespaces = append(w.namespaces, &corev1.Namespace{ObjectMeta: w.named("", rootNamespace)})
	w.says(rootNamespace, mesh, nil, nil)
	for _, home := range everyMode {
		name := fmt.Sprint("home", home+1)
		w.namespaces = append(w.namespaces, &corev1.Namespace{ObjectMeta: w.named("", name)})
		w.says(name, home, nil, nil)
		for _, own := range everyMode[1:] {
			for _, first := range everyMode {
				for _, second := range everyMode {
					app := fmt.Sprintf("a%d%d%d", own, first+1, second+1)
					w.says(name, own, map[string]string{"app": app}, []int{first, second})
					for _, kind := range []podKind{sidecar, ambient} {
						w.modesPod(name, app, kind)
					}
				}
			}
		}
	}
	return w
}

// says adds a PeerAuthentication, unless it would say nothing at all.
func (w *world) says(namespace string, mode int, labels map[string]string, byPort []int) {
	if mode < 0 {
		return
	}
	p := &securityclient.PeerAuthentication{
		TypeMeta: metav1.TypeMeta{APIVersion: "security.istio.io/v1", Kind: "PeerAuthentication"}, ObjectMeta: w.meta(namespace, "pa"),
	}
	p.Spec.Mtls = mutualTLS(securityapi.PeerAuthentication_MutualTLS_Mode(mode))
	if labels != nil {
		p.Spec.Selector = &typeapi.WorkloadSelector{MatchLabels: labels}
	}
	for i, m := range byPort {
		if m < 0 {
			continue
		}
		if p.Spec.PortLevelMtls == nil {
			p.Spec.PortLevelMtls = map[uint32]*securityapi.PeerAuthentication_MutualTLS{}
		}
		p.Spec.PortLevelMtls[uint32(ports[i])] = mutualTLS(securityapi.PeerAuthentication_MutualTLS_Mode(m))
	}
	w.peers = append(w.peers, p)
}

func (w *world) modesPod(namespace, app string, kind podKind) {
	p := &pod{Pod: &corev1.Pod{ObjectMeta: w.named(namespace, fmt.Sprint(app, "-", kind))}, kind: kind}
	p.Labels, p.Annotations = map[string]string{"app": app}, map[string]string{"ambient.istio.io/redirection": "enabled"}
	if kind == sidecar {
		p.Annotations = map[string]string{"sidecar.istio.io/status": "{}"}
		p.Spec.Containers = []corev1.Container{{Name: "istio-proxy"}}
		p.Labels["security.istio.io/tlsMode"] = "istio"
	}
	p.Spec.ServiceAccountName = "default"
	n := len(w.pods)
	w.run(p, fmt.Sprintf("10.%d.%d.%d", 1+n/10000, n/100%100, 1+n%100))
}
