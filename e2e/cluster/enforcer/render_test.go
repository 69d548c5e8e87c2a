package main

import (
	"flag"
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files anew")

func pod(namespace, app, address string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: app, Labels: map[string]string{"app": app}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}, {Name: "http", ContainerPort: 8081, Protocol: corev1.ProtocolUDP}},
		}}},
		Status: corev1.PodStatus{PodIP: address},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

// shop is a world in which every form that a policy may have occurs.
func shop(t *testing.T) world {
	t.Helper()
	text, err := os.ReadFile("testdata/policies.yaml")
	require.NoError(t, err)
	var list networkingv1.NetworkPolicyList
	require.NoError(t, yaml.UnmarshalStrict(text, &list))
	w := world{
		namespaces: map[string]labels.Set{"shop": {"tier": "front"}, "data": {"tier": "back"}, "street": {}},
		network:    netip.MustParsePrefix("10.244.0.0/16"),
		pods: []*corev1.Pod{
			pod("shop", "web", "10.244.0.2"), pod("shop", "cart", "10.244.0.3"), pod("data", "db", "10.244.0.4"), pod("street", "web", "10.244.0.5"),
			pod("shop", "host", "172.18.0.2", func(p *corev1.Pod) { p.Spec.HostNetwork = true }),
			pod("shop", "done", "10.244.0.3", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }),
			pod("shop", "coming", ""),
		},
	}
	for i := range list.Items {
		w.policies = append(w.policies, &list.Items[i])
	}
	return w
}

func TestEveryFormOfAPolicyBecomesRules(t *testing.T) {
	got, err := render(shop(t))
	require.NoError(t, err)
	const golden = "testdata/policies.nft"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(got), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

func TestTheOrderInWhichObjectsComeChangesNothing(t *testing.T) {
	w := shop(t)
	want, err := render(w)
	require.NoError(t, err)
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		random.Shuffle(len(w.pods), func(i, j int) { w.pods[i], w.pods[j] = w.pods[j], w.pods[i] })
		random.Shuffle(len(w.policies), func(i, j int) { w.policies[i], w.policies[j] = w.policies[j], w.policies[i] })
		got, err := render(w)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestOneAddressIsOnePod(t *testing.T) {
	older := pod("shop", "cart", "10.244.0.9")
	newer := pod("street", "web", "10.244.0.9", func(p *corev1.Pod) { p.CreationTimestamp = metav1.Unix(1, 0) })
	for _, pods := range [][]*corev1.Pod{{older, newer}, {newer, older}} {
		assert.Equal(t, []*corev1.Pod{newer}, world{pods: pods}.networked(), "the newer: an address is given away again when a pod ends")
	}
}

func TestASelectorThatCannotBeReadIsAnError(t *testing.T) {
	w := shop(t)
	w.policies[0].Spec.PodSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Near"}}
	_, err := render(w)
	assert.ErrorContains(t, err, "Near")
}
