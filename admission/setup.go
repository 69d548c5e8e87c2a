package admission

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"floe.dev/palisade/engine"
)

// ValidatePath is where the validating webhook answers.
const ValidatePath = "/validate"

// Options say where the webhook lives and how it judges. Namespace and Snapshot are demanded; all others have defaults.
type Options struct {
	// Namespace is palisade's own: the Secret and the Service are there.
	Namespace string
	// Service is the one that the webhook configurations name (palisade-webhook).
	Service string
	// Secret holds the certificate (palisade-webhook). It is made where there is none.
	Secret string
	// ConfigName is the name of the ValidatingWebhookConfiguration, and of the MutatingWebhookConfiguration if there is one (palisade).
	ConfigName string
	// ExtraNames are DNS names beside those of the Service, for API servers that reach the webhook by a URL.
	ExtraNames []string
	// Host and Port are where it listens (all addresses, 9443).
	Host string
	Port int

	// Snapshot returns the latest snapshot of the cluster, and whether it is whole.
	Snapshot Snapshot
	// Given are the facts that the user supplies.
	Given engine.Given
	// Clock is time.Now where it is nil.
	Clock func() time.Time
	// Budget is how long a request is judged (2 s). What is not known then is said in a warning.
	Budget time.Duration

	// Lifetime of a certificate (90 days); RenewBefore is how much of it is left when the next is made (a third).
	Lifetime, RenewBefore time.Duration
	// Propagation is how long a new CA is trusted before anybody serves by it: API servers learn of a changed configuration by a watch (1 min).
	Propagation time.Duration
	// Retire is how long a CA stays trusted after the certificate by the next is there to be served (1 h): replicas learn of that by a watch.
	Retire time.Duration

	Log logr.Logger
	// Metrics is where the metrics are registered; controller-runtime's registry where it is nil.
	Metrics prometheus.Registerer
}

func (o *Options) complete() error {
	if o.Namespace == "" || o.Snapshot == nil {
		return errors.New("admission needs a namespace and a source of snapshots")
	}
	o.Service = cmp.Or(o.Service, "palisade-webhook")
	o.Secret = cmp.Or(o.Secret, "palisade-webhook")
	o.ConfigName = cmp.Or(o.ConfigName, "palisade")
	o.Port = cmp.Or(o.Port, webhook.DefaultPort)
	o.Budget = cmp.Or(o.Budget, 2*time.Second)
	o.Lifetime = cmp.Or(o.Lifetime, 90*24*time.Hour)
	o.RenewBefore = cmp.Or(o.RenewBefore, o.Lifetime/3)
	o.Propagation = cmp.Or(o.Propagation, time.Minute)
	o.Retire = cmp.Or(o.Retire, time.Hour)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Metrics == nil {
		o.Metrics = metrics.Registry
	}
	if o.RenewBefore >= o.Lifetime || o.Propagation >= o.RenewBefore {
		return fmt.Errorf("a certificate of %s, renewed when %s is left, cannot be trusted for %s before it serves: each must be longer than the next", o.Lifetime, o.RenewBefore, o.Propagation)
	}
	return nil
}

// Setup adds the webhook to a manager: a server of its own on every replica, and the keeper of its
// certificate on the leader. It also adds the readiness check "admission". More
// handlers may be registered at the server that it returns, before the manager starts.
func Setup(mgr manager.Manager, o Options) (webhook.Server, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("making a client for the webhook's certificate: %w", err)
	}
	served := &served{now: o.Clock}
	if err := o.Metrics.Register(served.metric()); err != nil {
		return nil, fmt.Errorf("registering the webhook's metrics: %w", err)
	}
	server := webhook.NewServer(webhook.Options{Host: o.Host, Port: o.Port, TLSOpts: []func(*tls.Config){func(c *tls.Config) {
		c.MinVersion = tls.VersionTLS13
		c.GetCertificate = served.certificate
	}}})
	server.Register(ValidatePath, &webhook.Admission{Handler: &validator{forecaster: newForecaster(&o)}})
	changed := make(chan struct{}, 1)
	keep := &keeper{
		client: client, log: o.Log, now: o.Clock, namespace: o.Namespace, secret: o.Secret, config: o.ConfigName, service: o.Service,
		names:     append([]string{o.Service + "." + o.Namespace + ".svc", o.Service + "." + o.Namespace}, o.ExtraNames...),
		lifetimes: lifetimes{lifetime: o.Lifetime, renewBefore: o.RenewBefore, propagation: o.Propagation, retire: o.Retire}, changed: changed,
	}
	keep.watch = func(ctx context.Context) { watchConfigurations(ctx, client, o.ConfigName, func() { poke(changed) }) }
	follow := &follower{client: client, namespace: o.Namespace, secret: o.Secret, served: served, log: o.Log, changed: func() { poke(changed) }}
	for _, runnable := range []manager.Runnable{server, follow, keep} {
		if err := mgr.Add(runnable); err != nil {
			return nil, fmt.Errorf("adding the webhook to the manager: %w", err)
		}
	}
	started := server.StartedChecker()
	return server, mgr.AddReadyzCheck("admission", func(r *http.Request) error {
		if err := served.ready(); err != nil {
			return err
		}
		return started(r)
	})
}

// poke tells of a change to whoever looks next.
func poke(changed chan<- struct{}) {
	select {
	case changed <- struct{}{}:
	default:
	}
}

// served is the certificate that this replica answers with.
type served struct {
	now     func() time.Time
	current atomic.Pointer[pair]
}

func (s *served) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p := s.current.Load()
	if p == nil {
		return nil, errors.New("there is no certificate yet")
	}
	return &p.tls, nil
}

// ready tells whether there is a certificate that clients may take.
func (s *served) ready() error {
	p := s.current.Load()
	switch {
	case p == nil:
		return errors.New("there is no certificate yet")
	case !s.now().Before(p.leaf().NotAfter):
		return fmt.Errorf("the certificate expired at %s", p.leaf().NotAfter.UTC().Format(time.RFC3339))
	default:
		return nil
	}
}

// metric is when the certificate expires; absent as long as there is none.
func (s *served) metric() prometheus.Collector {
	return notAfter{s, prometheus.NewDesc("palisade_webhook_certificate_not_after_timestamp_seconds",
		"When the certificate that this replica's webhook answers with expires, in seconds since the epoch.", nil, nil)}
}

type notAfter struct {
	served *served
	desc   *prometheus.Desc
}

// Describe is there for prometheus.Collector.
func (n notAfter) Describe(out chan<- *prometheus.Desc) { out <- n.desc }

// Collect is there for prometheus.Collector.
func (n notAfter) Collect(out chan<- prometheus.Metric) {
	if p := n.served.current.Load(); p != nil {
		out <- prometheus.MustNewConstMetric(n.desc, prometheus.GaugeValue, float64(p.leaf().NotAfter.Unix()))
	}
}

// follower has this replica serve what the Secret holds. It reads that one Secret only.
type follower struct {
	client            kubernetes.Interface
	namespace, secret string
	served            *served
	log               logr.Logger
	changed           func()
}

// NeedLeaderElection has every replica follow.
func (f *follower) NeedLeaderElection() bool { return false }

// Start follows the Secret until the context is done.
func (f *follower) Start(ctx context.Context) error {
	watchOne(ctx, f.client.CoreV1().RESTClient(), "secrets", f.namespace, f.secret, &corev1.Secret{}, func(o any) {
		if secret, ok := o.(*corev1.Secret); ok {
			f.take(secret)
		}
		f.changed()
	}, f.changed)
	<-ctx.Done()
	return nil
}

// take serves what a Secret holds, if it can be served. What is lost or spoilt leaves the certificate that is known.
func (f *follower) take(secret *corev1.Secret) {
	m, err := readMaterial(secret.Data)
	if m.serving == nil {
		if err != nil {
			f.log.Error(err, "the Secret holds no certificate that can be served", "secret", f.namespace+"/"+f.secret)
		}
		return
	}
	if !m.serving.same(f.served.current.Load()) {
		f.served.current.Store(m.serving)
		f.log.Info("serving a new certificate", "notAfter", m.serving.leaf().NotAfter)
	}
}

// watchConfigurations tells of every change to the webhook configurations of a name.
func watchConfigurations(ctx context.Context, client kubernetes.Interface, name string, changed func()) {
	rest := client.AdmissionregistrationV1().RESTClient()
	seen := func(any) { changed() }
	watchOne(ctx, rest, "validatingwebhookconfigurations", "", name, &admissionregistrationv1.ValidatingWebhookConfiguration{}, seen, changed)
	watchOne(ctx, rest, "mutatingwebhookconfigurations", "", name, &admissionregistrationv1.MutatingWebhookConfiguration{}, seen, changed)
}

// watchOne watches one object by its name, which takes no right to see others.
func watchOne(ctx context.Context, client cache.Getter, resource, namespace, name string, kind runtime.Object, seen func(any), gone func()) {
	lw := cache.NewListWatchFromClient(client, resource, namespace, fields.OneTermEqualSelector("metadata.name", name))
	informer := cache.NewSharedInformer(lw, kind, 0)
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{ // it fails on a stopped informer only
		AddFunc:    seen,
		UpdateFunc: func(_, o any) { seen(o) },
		DeleteFunc: func(any) { gone() },
	})
	go informer.RunWithContext(ctx)
}
