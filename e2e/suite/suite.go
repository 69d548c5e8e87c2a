// Package suite holds the behaviours that palisade shows in a real cluster: one
// test and one YAML of its name each, with what is expected and what was observed
// as two tables.
//
// It runs by `make e2e-cluster-test`, in the network of the cluster that
// e2e/cluster brings up, and skips elsewhere: never does it touch the cluster of a
// KUBECONFIG that happens to be set.
package suite

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// How long the suite waits, all in one place.
const (
	// readyWithin is for pods to start.
	readyWithin = 90 * time.Second
	// governedWithin is for a rollout, soak times included.
	governedWithin = 90 * time.Second
	// settledWithin is for a change of policies to come to the packets.
	settledWithin = 30 * time.Second
	// answeredWithin is for one flow. A closed one takes all of it.
	answeredWithin = 700 * time.Millisecond
)

// A Cluster is reached by kubectl alone: the suite sees what users see.
type Cluster struct{ kubeconfig string }

// Connect takes the cluster named by PALISADE_E2E_KUBECONFIG, or skips the test.
func Connect(t *testing.T) Cluster {
	t.Helper()
	kubeconfig := os.Getenv("PALISADE_E2E_KUBECONFIG")
	if kubeconfig == "" {
		t.Skip("PALISADE_E2E_KUBECONFIG names no cluster: make e2e-cluster, then make e2e-cluster-test")
	}
	return Cluster{kubeconfig}
}

// Ask returns what kubectl prints.
func (c Cluster) Ask(stdin []byte, args ...string) (string, error) {
	command := exec.Command("kubectl", append([]string{"--kubeconfig", c.kubeconfig}, args...)...)
	command.Stdin = bytes.NewReader(stdin)
	var complaint strings.Builder
	command.Stderr = &complaint
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, complaint.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// Do is Ask where an error ends the test.
func (c Cluster) Do(t *testing.T, stdin []byte, args ...string) string {
	t.Helper()
	out, err := c.Ask(stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Given applies manifests, and deletes them when the test ends, unless KEEP is set.
func (c Cluster) Given(t *testing.T, manifests []byte) {
	t.Helper()
	t.Cleanup(func() {
		if os.Getenv("KEEP") != "" {
			return
		}
		if _, err := c.Ask(manifests, "delete", "--ignore-not-found", "--wait", "--timeout=90s", "-f", "-"); err != nil {
			t.Error(err)
		}
	})
	c.Do(t, manifests, "apply", "--server-side", "-f", "-")
}

// A Flow is one connection that is tried, by names of Deployments: "shop/client → shop/server tcp 8080".
type Flow struct{ From, To, Network, Port string }

func (f Flow) String() string { return f.From + " → " + f.To + " " + f.Network + " " + f.Port }

// Observe tries every flow once, with real packets, and returns what came of it:
// "open", "refused", "no answer", or an error in words.
func (c Cluster) Observe(flows []Flow) map[string]string {
	seen := map[string]string{}
	for _, f := range flows {
		outcome, err := c.try(f)
		if err != nil {
			outcome = err.Error()
		}
		seen[f.String()] = outcome
	}
	return seen
}

func (c Cluster) try(f Flow) (string, error) {
	fromNamespace, from, _ := strings.Cut(f.From, "/")
	toNamespace, to, _ := strings.Cut(f.To, "/")
	address, err := c.Ask(nil, "get", "pod", "-n", toNamespace, "-l", "app="+to, "-o", "jsonpath={.items[0].status.podIP}")
	if err != nil {
		return "", err
	}
	return c.Ask(nil, "exec", "-n", fromNamespace, "deploy/"+from, "--", "/peer", "dial", "--timeout="+answeredWithin.String(), f.Network, address+":"+f.Port)
}

// Await observes until it is as expected, and returns the last observation.
func (c Cluster) Await(expected map[string]string, flows []Flow) map[string]string {
	deadline := time.Now().Add(settledWithin)
	for {
		seen := c.Observe(flows)
		if maps.Equal(seen, expected) || time.Now().After(deadline) {
			return seen
		}
	}
}

// Closed is the table of flows in which those in open are open, and none of the others is answered.
func Closed(flows []Flow, open ...Flow) map[string]string {
	table := map[string]string{}
	for _, f := range flows {
		table[f.String()] = "no answer"
		if slices.Contains(open, f) {
			table[f.String()] = "open"
		}
	}
	return table
}

// Enforced waits until a namespace stands at Enforce, or ends the test with what holds it.
func (c Cluster) Enforced(t *testing.T, namespace string) {
	t.Helper()
	deadline := time.Now().Add(governedWithin)
	for {
		stage, err := c.Ask(nil, "get", "namespaceposture", "posture", "-n", namespace, "-o", "jsonpath={.status.stage}")
		if err == nil && stage == "Enforce" {
			return
		}
		if time.Now().After(deadline) {
			held, _ := c.Ask(nil, "get", "namespaceposture", "posture", "-n", namespace, "-o", "yaml")
			t.Fatalf("namespace %s stands at %q after %v (%v)\n%s", namespace, stage, governedWithin, err, held)
		}
		time.Sleep(300 * time.Millisecond)
	}
}
