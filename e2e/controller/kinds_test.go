package controller

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var definitionKind = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// withoutDefinition takes a CRD away while something is done, and puts it back.
func (l *lab) withoutDefinition(name string, do func()) {
	l.Helper()
	there := l.get(definitionKind, "", name)
	require.NotNil(l, there, name)
	l.delete(definitionKind, "", name)
	l.eventually(10*time.Second, func() string {
		if l.get(definitionKind, "", name) != nil {
			return name + " is still there"
		}
		return ""
	})
	defer func() {
		bare := &object{Object: map[string]any{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": there.Object["spec"]}}
		bare.SetName(name)
		bare.SetAnnotations(there.GetAnnotations())
		_, err := l.client.Resource(definitionKind).Create(context.Background(), bare, metav1.CreateOptions{})
		require.NoError(l, err)
		l.eventually(10*time.Second, l.condition(definitionKind, "", name, "Established", "True"))
	}()
	do()
}

func TestOptionalKindsComeAndGo(t *testing.T) {
	l := newLab(t)
	l.apply(plain)
	c := l.controller()
	l.eventually(20*time.Second, l.governed(l.namespace("before")))
	for _, name := range []string{"sidecars.networking.istio.io", "httproutes.gateway.networking.k8s.io", "servers.policy.linkerd.io"} {
		l.withoutDefinition(name, func() {
			time.Sleep(time.Second)
			l.eventually(20*time.Second, l.governed(l.namespace("without-"+strings.Split(name, ".")[0])))
		})
		l.eventually(20*time.Second, l.governed(l.namespace("with-"+strings.Split(name, ".")[0])))
	}
	select {
	case <-c.done:
		t.Fatal("the controller ended")
	default:
	}
}

func TestWithoutItsOwnKindsNothingIsWrittenAndNothingOpened(t *testing.T) {
	l := newLab(t)
	home := l.shop()
	l.apply(plain)
	c := l.controller()
	l.eventually(30*time.Second, l.governed(home))
	before := l.names(networkPolicies, home)
	w := l.watch(networkPolicies)
	l.withoutDefinition("securityprofiles.palisade.floe.dev", func() {
		l.eventually(20*time.Second, func() string {
			if !strings.Contains(c.log.String(), "nothing is written, and all stays as it is") {
				return "the log does not say that nothing is written"
			}
			return ""
		})
		l.namespace("more")
		time.Sleep(3 * time.Second)
		assert.Empty(t, w.all())
		assert.Equal(t, before, l.names(networkPolicies, home))
	})
	l.apply(plain)
	l.eventually(20*time.Second, l.governed(l.name+"-more"))
	assert.Equal(t, before, l.names(networkPolicies, home))
}

func TestRulesThatGoWithTheirDefinitionCloseNothing(t *testing.T) {
	l := newLab(t)
	home := l.shop()
	l.apply(plain)
	c := l.controller()
	l.eventually(30*time.Second, l.governed(home))
	w := l.watch(networkPolicies)
	l.withoutDefinition("trafficrules.palisade.floe.dev", func() {
		l.eventually(20*time.Second, func() string {
			if !strings.Contains(c.log.String(), "nothing is written, and all stays as it is") {
				return "the log does not say that nothing is written"
			}
			return ""
		})
		time.Sleep(2 * time.Second)
	})
	time.Sleep(3 * time.Second)
	l.apply(shop[strings.LastIndex(shop, "---\n")+4:])
	l.eventually(30*time.Second, l.governed(l.namespace("more")))
	for _, e := range w.all() {
		assert.Equal(t, l.name+"-more", e.object.GetNamespace(), "%s", e)
	}
}

func TestAnInvalidStoredObjectBecomesACondition(t *testing.T) {
	l := newLab(t)
	home := l.shop()
	l.apply(plain)
	c := l.controller()
	l.eventually(30*time.Second, l.governed(home))
	before := l.names(networkPolicies, home)
	for _, kind := range []string{"trafficrules", "securityprofiles"} {
		l.laxly(kind+".palisade.floe.dev", func() {
			switch kind {
			case "trafficrules":
				l.patch(rules, home, "api", `{"spec": {"ports": [{"port": 99999999, "protocol": "NONE"}], "from": "everybody"}}`)
			default:
				l.patch(profiles, "", l.name, `{"spec": {"enforcement": "Sometimes"}}`)
			}
		})
	}
	l.eventually(20*time.Second, func() string {
		o := l.get(rules, home, "api")
		if condition := conditionOf(o, "Ready"); condition["reason"] != "ObjectInvalid" || condition["status"] != "False" {
			return "the rule does not say that it is invalid: " + c.log.String()
		}
		return ""
	})
	l.eventually(20*time.Second, func() string {
		if condition := conditionOf(l.get(postures, home, "posture"), "Ready"); condition["reason"] != "Frozen" {
			return "the posture does not say Frozen"
		}
		return ""
	})
	time.Sleep(3 * time.Second)
	assert.Equal(t, before, l.names(networkPolicies, home), "what is there stays")
	select {
	case <-c.done:
		t.Fatal("the controller ended")
	default:
	}
	l.delete(rules, home, "api")
	l.delete(profiles, "", l.name)
	l.apply(plain)
	l.apply(shop[strings.LastIndex(shop, "---\n")+4:])
	l.eventually(30*time.Second, l.governed(home))
}

// laxly lets anything be stored of a kind while something is done.
func (l *lab) laxly(name string, do func()) {
	l.Helper()
	there := l.get(definitionKind, "", name)
	update := func(spec any) {
		for {
			now := l.get(definitionKind, "", name)
			now.Object["spec"] = spec
			_, err := l.client.Resource(definitionKind).Update(context.Background(), now, metav1.UpdateOptions{})
			if apierrors.IsConflict(err) {
				continue
			}
			require.NoError(l, err)
			return
		}
	}
	lax := there.DeepCopy().Object["spec"].(map[string]any)
	version := lax["versions"].([]any)[0].(map[string]any)
	version["schema"] = map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}
	delete(version, "additionalPrinterColumns")
	update(lax)
	time.Sleep(2 * time.Second)
	do()
	update(there.Object["spec"])
	time.Sleep(2 * time.Second)
}
