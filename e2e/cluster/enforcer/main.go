// Command enforcer holds NetworkPolicies on the one node of a cluster that has
// nobody else to hold them, by nftables. It is for the end-to-end tests: it has one
// node's pods, IPv4, and no metrics, and connections that are established outlive a
// policy that would refuse them.
//
// It fails closed: a pod that it does not know yet reaches nobody and is reached by
// nobody but the node, and a ruleset that cannot be written ends it, so that the last
// one stays in force until its next start writes another.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// ready is a file that is there once the first ruleset is in force.
const ready = "/run/enforcer-ready"

func main() {
	network := flag.String("pods", "", "network of the pods, as a CIDR")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := enforce(ctx, *network); err != nil {
		log.Fatal(err)
	}
}

// enforce follows the cluster until ctx ends.
func enforce(ctx context.Context, pods string) error {
	network, err := netip.ParsePrefix(pods)
	if err != nil {
		return err
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	changed := make(chan struct{}, 1)
	touch := func(any) {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	podLister := factory.Core().V1().Pods()
	namespaceLister := factory.Core().V1().Namespaces()
	policyLister := factory.Networking().V1().NetworkPolicies()
	handler := cache.ResourceEventHandlerFuncs{AddFunc: touch, UpdateFunc: func(_, now any) { touch(now) }, DeleteFunc: touch}
	for _, informer := range []cache.SharedIndexInformer{podLister.Informer(), namespaceLister.Informer(), policyLister.Informer()} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("%v were not read", kind)
		}
	}
	read := func() (world, error) {
		w := world{namespaces: map[string]labels.Set{}, network: network}
		var namespaces []*corev1.Namespace
		var policies []*networkingv1.NetworkPolicy
		var err error
		if namespaces, err = namespaceLister.Lister().List(labels.Everything()); err != nil {
			return w, err
		}
		if w.pods, err = podLister.Lister().List(labels.Everything()); err != nil {
			return w, err
		}
		if policies, err = policyLister.Lister().List(labels.Everything()); err != nil {
			return w, err
		}
		w.policies = policies
		for _, n := range namespaces {
			w.namespaces[n.Name] = n.Labels
		}
		return w, nil
	}
	return follow(ctx, changed, read)
}

// follow writes the ruleset anew after each change that makes it another.
func follow(ctx context.Context, changed <-chan struct{}, read func() (world, error)) error {
	last := ""
	for {
		w, err := read()
		if err != nil {
			return err
		}
		rules, err := render(w)
		if err != nil {
			return err
		}
		if rules != last {
			if err := write(ctx, rules); err != nil {
				return err
			}
			last = rules
			if err := os.WriteFile(ready, nil, 0o600); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			time.Sleep(20 * time.Millisecond) // changes come in crowds
		}
	}
}

func write(ctx context.Context, rules string) error {
	c := exec.CommandContext(ctx, "nft", "-f", "-")
	c.Stdin = strings.NewReader(rules)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w\n%s\n%s", err, out, rules)
	}
	return nil
}
