// The webhook in a program of its own, for the tests against a real API server:
// a manager with package admission in it, and a snapshot that is read over and over.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"floe.dev/palisade/admission"
	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "webhook:", err)
		os.Exit(2)
	}
}

func run(ctx context.Context) error {
	o := admission.Options{ExtraNames: []string{"localhost"}, Host: "127.0.0.1"}
	flags := flag.NewFlagSet("webhook", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "")
	health := flags.String("health", "", "")
	metrics := flags.String("metrics", "0", "")
	elect := flags.Bool("elect", false, "")
	blind := flags.Bool("blind", false, "never read the cluster")
	pods := flags.Bool("pods", false, "give pods their defaults, by what is watched")
	flags.StringVar(&o.Namespace, "namespace", "", "")
	flags.StringVar(&o.Given.Mesh, "mesh", "none", "")
	flags.IntVar(&o.Port, "port", 0, "")
	flags.DurationVar(&o.Lifetime, "lifetime", time.Hour, "")
	flags.DurationVar(&o.RenewBefore, "renew-before", 30*time.Minute, "")
	flags.DurationVar(&o.Propagation, "propagation", time.Second, "")
	flags.DurationVar(&o.Retire, "retire", 3*time.Second, "")
	if err := flags.Parse(os.Args[1:]); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1
	ctrl.SetLogger(funcr.New(func(prefix, args string) { fmt.Fprintln(os.Stderr, time.Now().Format("15:04:05.000"), prefix, args) }, funcr.Options{}))
	o.Log = ctrl.Log.WithName("admission")
	lease, renew, retry := 3*time.Second, 2*time.Second, 300*time.Millisecond
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Metrics: server.Options{BindAddress: *metrics}, HealthProbeBindAddress: *health,
		LeaderElection: *elect, LeaderElectionID: "palisade-test", LeaderElectionNamespace: o.Namespace, LeaderElectionReleaseOnCancel: true,
		LeaseDuration: &lease, RenewDeadline: &renew, RetryPeriod: &retry,
	})
	if err != nil {
		return err
	}
	var latest atomic.Pointer[engine.Snapshot]
	o.Snapshot = func() (*engine.Snapshot, bool) { s := latest.Load(); return s, s != nil }
	if *pods {
		return servePods(ctx, mgr, o)
	}
	if _, err := admission.Setup(mgr, o); err != nil {
		return err
	}
	if !*blind {
		go func() {
			for ctx.Err() == nil {
				if s, err := cluster.ReadLive(ctx, config, nil, nil, cluster.Options{}, nil); err == nil {
					latest.Store(s)
				} else if ctx.Err() == nil {
					fmt.Fprintln(os.Stderr, "reading:", err)
				}
				time.Sleep(200 * time.Millisecond)
			}
		}()
	}
	return mgr.Start(ctx)
}

// servePods serves what gives pods their defaults, over a cluster that is watched, as the controller does.
func servePods(ctx context.Context, mgr ctrl.Manager, o admission.Options) error {
	var world *cluster.World
	var known atomic.Pointer[engine.Snapshot]
	o.Snapshot = func() (*engine.Snapshot, bool) {
		if why, _ := world.Blocked(); why != "" || !world.Synced() {
			return nil, false
		}
		if s := known.Load(); s != nil {
			return s, true // what the mesh is does not change here
		}
		known.Store(world.Snapshot())
		return known.Load(), true
	}
	guards := admission.NewGuards(o.Snapshot, o.Given)
	world, err := cluster.NewWorld(mgr.GetConfig(), guards.Changed)
	if err != nil {
		return err
	}
	guards.Watch(world)
	handler, err := admission.NewPods(guards.Latest, guards.Fresh, time.Now, o.Log, prometheus.NewRegistry())
	if err != nil {
		return err
	}
	server, err := admission.Setup(mgr, o)
	if err != nil {
		return err
	}
	server.Register(admission.MutatePath, handler)
	if err := errors.Join(mgr.Add(world), mgr.AddReadyzCheck("world", func(*http.Request) error {
		if guards.Latest() == nil {
			return errors.New("the cluster has not been read yet")
		}
		return nil
	})); err != nil {
		return err
	}
	return mgr.Start(ctx)
}
