package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// inUse is a namespace in which a workload runs before it comes under a profile.
const inUse = `
apiVersion: v1
kind: Namespace
metadata: {name: floe-billing-domain, labels: {istio-injection: enabled}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: invoices, namespace: floe-billing-domain}
spec:
  selector: {matchLabels: {app: invoices}}
  template:
    metadata: {labels: {app: invoices}}
    spec:
      securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: invoices
        image: registry.floe.example/invoices:1
        ports: [{containerPort: 8080}]
        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
`

// stepBack lets a workload fail right after its mTLS became strict, and measures how long it stays so.
func (d *demo) stepBack(ctx context.Context) error {
	const home, workload = "floe-billing-domain", "invoices"
	d.step("A step breaks something", `
		A namespace in use comes under the profile. Right after its mTLS becomes strict, the stand-in tells that a workload is not
		ready any more, as its kubelet would if a probe failed.`)
	list, err := parsed(strings.NewReader(inUse))
	if err != nil {
		return err
	}
	for _, o := range list {
		if err := d.cluster.apply(ctx, o); err != nil {
			return err
		}
		if _, err := d.cluster.standIn(ctx, o); err != nil {
			return err
		}
	}
	d.typed("kubectl label namespace " + home + " floe.dev/layer=data")
	if err := d.cluster.patch(ctx, namespaces, "", home, `{"metadata": {"labels": {"floe.dev/layer": "data"}}}`); err != nil {
		return err
	}
	_, err = d.follow(ctx, 30*time.Second, []string{home}, func(o *object) string {
		if stagesOf(o)["MTLS"] == "Enforce" {
			return "plaintext is refused from now on"
		}
		return ""
	})
	if err != nil {
		return err
	}
	if err := d.awaitMode(ctx, home, "STRICT"); err != nil {
		return err
	}
	d.say("The stand-in marks Deployment %s/%s as not available.", home, workload)
	if err := d.cluster.patch(ctx, deployments, home, workload, status("Deployment", 1, false), "status"); err != nil {
		return err
	}
	began := time.Now()
	if err := d.awaitMode(ctx, home, "PERMISSIVE"); err != nil {
		return err
	}
	took := time.Since(began)
	_, err = d.follow(ctx, 10*time.Second, []string{home}, func(o *object) string {
		if stagesOf(o)["MTLS"] == "Permissive" && len(holdsOf(o)) > 0 {
			return "stepped back"
		}
		return ""
	})
	if err == nil {
		d.seen("taken back after %d ms: mTLS is PERMISSIVE again, before anybody was woken", took.Milliseconds())
	}
	return err
}

// awaitMode waits until the mTLS mode of a namespace is as wanted.
func (d *demo) awaitMode(ctx context.Context, home, wanted string) error {
	_, err := await(ctx, 10*time.Second, func() (string, error) {
		list, err := d.cluster.get(ctx, peerAuths, home, "palisade-strict")
		if is := mode(list); err != nil || is != wanted {
			return fmt.Sprintf("mTLS of %s is %q, not %s", home, is, wanted), err
		}
		return "", nil
	})
	return err
}
