package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// example is the platform that the demo is about.
const example = "examples/floe"

// platformHome is the namespace of the platform's services, debugging a workload in it that Pod Security refuses.
const (
	platformHome = "floe-platform"
	debugging    = "debug-shell"
)

const debugShell = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: debug-shell, namespace: floe-platform}
spec:
  selector: {matchLabels: {app: debug-shell}}
  template:
    metadata: {labels: {app: debug-shell}}
    spec: {containers: [{name: shell, image: "registry.floe.example/shell:1", securityContext: {privileged: true}}]}
`

// platform applies the platform without its intent.
func (d *demo) platform(ctx context.Context) error {
	d.step("The platform is applied", `
		A data platform of four namespaces behind an ingress, in a cluster with Istio (`+example+`). Its Deployments, CronJobs
		and Istio itself are only objects here: no pod runs. Somebody has left a privileged Deployment in it, `+debugging+`.`)
	files := []string{"cluster.yaml", "platform.yaml", "jobs.yaml", "domains.yaml"}
	list, err := manifests(filepath.Join(d.root, example), files...)
	if err != nil {
		return err
	}
	shell, err := parsed(strings.NewReader(debugShell))
	if err != nil {
		return err
	}
	list = append(list, shell...)
	d.say("The demo does what `kubectl apply --server-side -f FILE` would, with %s:", strings.Join(files, ", "))
	if err := d.cluster.namespace(ctx, "istio-system", nil); err != nil {
		return err
	}
	if err := d.cluster.namespace(ctx, "palisade-system", nil); err != nil {
		return err
	}
	applied, stoodIn := 0, 0
	for _, namespacesFirst := range []bool{true, false} {
		for _, o := range list {
			// The Service kubernetes and its EndpointSlice are kube-apiserver's own.
			if (o.GetKind() == "Namespace") != namespacesFirst || o.GetName() == "kubernetes" {
				continue
			}
			if err := d.cluster.apply(ctx, o); err != nil {
				return err
			}
			did, err := d.cluster.standIn(ctx, o)
			if err != nil {
				return fmt.Errorf("standing in for %s %s: %w", o.GetKind(), o.GetName(), err)
			}
			applied++
			if did {
				stoodIn++
			}
			if labels := o.GetLabels(); namespacesFirst && labels["floe.dev/layer"] != "" {
				d.governed = append(d.governed, o.GetName())
			}
		}
	}
	d.seen("%d objects are applied; the stand-in for kubelet, scheduler and controllers tells of %d of them that they are up", applied, stoodIn)
	return nil
}

// plan shows what would be written.
func (d *demo) plan(ctx context.Context) error {
	d.step("What would palisade do?", `
		plan reads the running cluster, lays over it the intent (who may call whom), and shows every object that it would write,
		what stands in the way, and what would break. It writes nothing. Its exit code is 1, since a finding is an error.`)
	d.typed("export KUBECONFIG=" + d.kubeconfig)
	out, err := d.palisade(ctx, cut{first: 8, last: 1, keep: "error PodBelowEnforce", kept: 2, more: "bin/palisade plan -f " + example}, 1,
		"plan", "--context", "demo", "-f", example+"/intent.yaml", "--no-diff")
	if err != nil {
		return err
	}
	for _, part := range []string{"4 namespaces governed", "no problems", "PodBelowEnforce", debugging, "0 declared, 0 named"} {
		if !strings.Contains(out, part) {
			return fmt.Errorf("the plan does not say %q", part)
		}
	}
	d.seen("nothing that is declared would break; one workload is below the level of Pod Security that its namespace is to enforce")
	return nil
}

// intent applies the intent with the rollout of the demo.
func (d *demo) intent(ctx context.Context) error {
	list, err := manifests(filepath.Join(d.root, example), "intent.yaml")
	if err != nil {
		return err
	}
	for _, o := range list {
		if o.GetKind() == "SecurityProfile" {
			rollout := map[string]any{"soak": soak.String(), "maxNamespaces": int64(4), "verification": "Optional"}
			if err := unstructured.SetNestedMap(o.Object, rollout, "spec", "rollout"); err != nil {
				return err
			}
		}
		if err := d.cluster.apply(ctx, o); err != nil {
			return err
		}
	}
	d.say("Applied: %d objects of %s/intent.yaml, with this in both SecurityProfiles:", len(list), example)
	d.say("  rollout: {soak: %s, maxNamespaces: 4, verification: Optional}", soak)
	return nil
}

// govern starts the controller, and follows the rollout to its end.
func (d *demo) govern(ctx context.Context) error {
	d.step("The intent is applied, and the controller takes each namespace to strict", `
		Stage by stage, what allows before what denies; only Enforce refuses anything. For the demo a stage soaks `+soak.String()+`
		in place of 10 min, and steps are taken without proof on the wire (rollout.verification: Optional), since no pod runs that could be probed.`)
	if err := d.intent(ctx); err != nil {
		return err
	}
	args := []string{"controller", "--context", "demo", "--leader-elect=false", "--metrics-bind-address=0", "--health-probe-bind-address=0", "--log-format=text"}
	d.typed("bin/palisade " + strings.Join(args, " ") + " &")
	var err error
	if d.controller, err = launch(d.command(context.WithoutCancel(ctx), d.binary, args...)); err != nil {
		return err
	}
	took, err := d.follow(ctx, 45*time.Second, d.governed, func(o *object) string {
		if o.GetNamespace() == platformHome && heldBy(o) == "PodSecurityRefuses" && stagesOf(o)["Network"] == "Enforce" {
			return "held: its mesh and network are strict, Pod Security waits"
		}
		return inForce(o)
	})
	if err != nil {
		return err
	}
	d.seen("after %.1f s three namespaces are governed, and one is held for a reason", took.Seconds())
	d.say("\nThe Deployment that holds it is taken away:")
	d.typed("kubectl delete deployment -n " + platformHome + " " + debugging)
	if err := d.cluster.remove(ctx, deployments, platformHome, debugging); err != nil {
		return err
	}
	took, err = d.follow(ctx, 20*time.Second, []string{platformHome}, inForce)
	if err == nil {
		d.seen("governed after %.1f s more", took.Seconds())
	}
	return err
}

// newcomer creates a namespace, and measures how long it stays ungoverned.
func (d *demo) newcomer(ctx context.Context) error {
	const name = "floe-hr-domain"
	d.step("A new namespace appears", `
		Nothing runs in it yet, so nothing can break: it is strict at once, before its first pod.`)
	d.typed("kubectl create namespace " + name + "   # labels: istio-injection=enabled floe.dev/layer=data; done by the demo, as all of kubectl here")
	if err := d.cluster.namespace(ctx, name, map[string]string{"istio-injection": "enabled", "floe.dev/layer": "data"}); err != nil {
		return err
	}
	took, err := await(ctx, 10*time.Second, func() (string, error) {
		o, err := d.cluster.get(ctx, postures, name, "posture")
		if c := condition(o, "Ready"); err != nil || c["status"] != "True" {
			return fmt.Sprintf("%s is not governed: %v", name, c), err
		}
		return "", nil
	})
	if err != nil {
		return err
	}
	mtls, err := d.cluster.get(ctx, peerAuths, name, "palisade-strict")
	if err != nil || mode(mtls) != "STRICT" {
		return fmt.Errorf("mTLS of %s is not STRICT: %w", name, err)
	}
	names, err := d.cluster.namesOf(ctx, policies, name)
	if err != nil || names == "" {
		return fmt.Errorf("%s has no NetworkPolicy: %w", name, err)
	}
	d.seen("governed after %d ms: mTLS STRICT, NetworkPolicies %s", took.Milliseconds(), names)
	return nil
}

// mode is the mTLS mode of a PeerAuthentication.
func mode(o *object) string {
	if o == nil {
		return ""
	}
	text, _, _ := unstructured.NestedString(o.Object, "spec", "mtls", "mode")
	return text
}

// drift breaks a policy by hand, and measures how long it stays broken.
func (d *demo) drift(ctx context.Context) error {
	const home, strict, patched = platformHome, "palisade-strict", `{"spec":{"mtls":{"mode":"PERMISSIVE"}}}`
	d.step("Somebody edits policies by hand", `
		One lets plaintext in again "just for a test", another deletes the NetworkPolicy in front of the database.`)
	d.typed(fmt.Sprintf("kubectl patch peerauthentication -n %s %s --type merge -p '%s'", home, strict, patched))
	if err := d.cluster.patch(ctx, peerAuths, home, strict, patched); err != nil {
		return err
	}
	took, err := await(ctx, 10*time.Second, func() (string, error) {
		o, err := d.cluster.get(ctx, peerAuths, home, strict)
		if is := mode(o); err != nil || is != "STRICT" {
			return "mTLS is " + is, err
		}
		return "", nil
	})
	if err != nil {
		return err
	}
	d.seen("mended after %d ms: mTLS is STRICT again", took.Milliseconds())
	return d.deleted(ctx, home, "palisade-postgresql-")
}

// deleted deletes a NetworkPolicy, and measures how long it is gone.
func (d *demo) deleted(ctx context.Context, home, prefix string) error {
	names, err := d.cluster.namesOf(ctx, policies, home)
	if err != nil {
		return err
	}
	name := ""
	for _, n := range strings.Fields(names) {
		if strings.HasPrefix(n, prefix) {
			name = n
		}
	}
	d.typed(fmt.Sprintf("kubectl delete networkpolicy -n %s %s", home, name))
	if err := d.cluster.remove(ctx, policies, home, name); err != nil {
		return err
	}
	took, err := await(ctx, 10*time.Second, func() (string, error) {
		o, err := d.cluster.get(ctx, policies, home, name)
		if o == nil {
			return name + " is gone", err
		}
		return "", err
	})
	if err == nil {
		d.seen("written anew after %d ms", took.Milliseconds())
	}
	return err
}

// postures shows how every namespace stands.
func (d *demo) postures(ctx context.Context) error {
	d.step("How does every namespace stand?", `
		The controller writes it into a NamespacePosture in each; the columns are the API server's.`)
	d.typed("kubectl get posture -A")
	text, err := table(ctx, d.cluster.typed, "/apis/palisade.floe.dev/v1alpha1/namespacepostures")
	if err != nil {
		return err
	}
	d.show(text, cut{})
	return nil
}
