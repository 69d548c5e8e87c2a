package controller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"floe.dev/palisade/admission"
	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/falco/receiver"
)

// Options are the arguments of a controller.
type Options struct {
	// Namespace is where palisade itself runs, and where its Lease is.
	Namespace string
	// Given facts win over what the cluster shows.
	Given engine.Given
	// LeaderElection lets several replicas run, of which one writes.
	LeaderElection bool
	// MetricsAddress and HealthAddress are where to listen, ":8080"; "0" does not.
	MetricsAddress, HealthAddress string
	// ProfileAddress is where to serve profiles of the process (net/http/pprof); "0" does not.
	ProfileAddress string
	// WebhookPort is where admission is served; 0 does not.
	WebhookPort int
	// Verification says how the wire is looked at.
	Verification Verification
	// RuntimeEvents says how Falco's events are taken in.
	RuntimeEvents RuntimeEvents
	// Now is the clock.
	Now func() time.Time
	Log logr.Logger
}

// The name of the Lease, and its times: another replica takes over within the
// first after the last sign of life, and at once where the leader ends in order.
const (
	leaseName     = "palisade"
	leaseDuration = 10 * time.Second
	renewDeadline = 7 * time.Second
	retryPeriod   = 1500 * time.Millisecond
)

// collectAt is how much garbage there may be, in percent of what is in use, before it is
// collected, where GOGC does not say: a run over a large cluster leaves much, and there is time between runs.
const collectAt = 50

// Run runs a controller until the context is done. It ends with an error where it
// cannot begin, and where it lost its Lease.
func Run(ctx context.Context, config *rest.Config, o Options) error {
	ctrl.SetLogger(o.Log)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	m, err := newManager(config, o)
	if err != nil {
		return fmt.Errorf("beginning: %w", err)
	}
	if err := setUp(m, config, o); err != nil {
		return fmt.Errorf("beginning: %w", err)
	}
	return m.Start(ctx)
}

func newManager(config *rest.Config, o Options) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	lease, renew, retry := leaseDuration, renewDeadline, retryPeriod
	return manager.New(config, manager.Options{
		Scheme:                        scheme,
		Logger:                        o.Log,
		LeaderElection:                o.LeaderElection,
		LeaderElectionNamespace:       o.Namespace,
		LeaderElectionID:              leaseName,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &lease,
		RenewDeadline:                 &renew,
		RetryPeriod:                   &retry,
		Metrics:                       metricsserver.Options{BindAddress: o.MetricsAddress},
		HealthProbeBindAddress:        o.HealthAddress,
		PprofBindAddress:              o.ProfileAddress,
	})
}

func setUp(m manager.Manager, config *rest.Config, o Options) error {
	g := newGovernor(o, m.GetEventRecorder("palisade"))
	guards := admission.NewGuards(g.lookForAdmission, o.Given)
	world, err := cluster.NewWorld(config, func(c cluster.Change) {
		g.changed(c)
		guards.Changed(c)
	})
	if err != nil {
		return err
	}
	guards.Watch(world)
	writer, err := cluster.NewWriter(config, false)
	if err != nil {
		return err
	}
	g.world, g.writer = world, writer
	if err := errors.Join(m.Add(world), m.Add(g), addReconcilers(m, g)); err != nil {
		return err
	}
	if o.WebhookPort != 0 {
		if err := setUpAdmission(m, g, guards); err != nil {
			return fmt.Errorf("admission: %w", err)
		}
	}
	if o.RuntimeEvents.on() {
		register := func(r *receiver.Receiver) error { return metrics.Registry.Register(r) }
		if err := setUpRuntimeEvents(m, g, o.RuntimeEvents, register); err != nil {
			return err
		}
	}
	if o.Verification.Every > 0 {
		v, err := newVerifier(g, config, o.Verification)
		if err != nil {
			return err
		}
		if err := errors.Join(m.Add(v), metrics.Registry.Register(newWireCollector(v))); err != nil {
			return err
		}
	}
	if err := metrics.Registry.Register(g.metrics); err != nil {
		return err
	}
	ready := func(*http.Request) error {
		if !world.Synced() {
			return errors.New("the cluster has not been read yet")
		}
		return nil
	}
	return errors.Join(m.AddHealthzCheck("healthz", healthz.Ping), m.AddReadyzCheck("readyz", ready))
}

// setUpAdmission serves what judges palisade's kinds, and what gives pods their defaults. Who is asked is said by the webhook configurations.
func setUpAdmission(m manager.Manager, g *governor, guards *admission.Guards) error {
	log := g.options.Log.WithName("admission")
	server, err := admission.Setup(m, admission.Options{
		Namespace: g.options.Namespace, Port: g.options.WebhookPort, Snapshot: g.lookForAdmission, Given: g.options.Given, Clock: g.now, Log: log,
	})
	if err != nil {
		return err
	}
	pods, err := admission.NewPods(guards.Latest, guards.Fresh, g.now, log, metrics.Registry)
	if err != nil {
		return err
	}
	server.Register(admission.MutatePath, pods)
	return nil
}
