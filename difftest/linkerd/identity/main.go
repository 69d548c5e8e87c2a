// Command identity runs Linkerd's own identity service for tests, as
// controller/cmd/identity of linkerd2 does: the service, its watcher of files and its
// validator of tokens are Linkerd's, and only the flags are ours. That command itself
// reaches a Helm that no longer compiles.
//
// It serves plaintext, as in a cluster: there the proxy beside it ends TLS.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	idctl "github.com/linkerd/linkerd2/controller/identity"
	"github.com/linkerd/linkerd2/pkg/identity"
	"github.com/linkerd/linkerd2/pkg/tls"
	"google.golang.org/grpc"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

type options struct {
	address, kubeconfig, issuer, anchors, namespace, domain string
	lifetime, skew                                          time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.address, "addr", "127.0.0.1:8080", "address to serve on")
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig of the API server that reviews tokens")
	flag.StringVar(&o.issuer, "issuer", "", "folder with the issuer's tls.crt and tls.key, watched as a mounted Secret is")
	flag.StringVar(&o.anchors, "anchors", "", "PEM file with the trust anchors")
	flag.StringVar(&o.namespace, "controller-namespace", "linkerd", "namespace of the control plane")
	flag.StringVar(&o.domain, "identity-trust-domain", "cluster.local", "trust domain")
	flag.DurationVar(&o.lifetime, "identity-issuance-lifetime", identity.DefaultIssuanceLifetime, "how long certificates live")
	flag.DurationVar(&o.skew, "identity-clock-skew-allowance", 20*time.Second, "by how much certificates are dated back, and live longer; as Linkerd's chart has it")
	flag.Parse()
	if err := run(&o); err != nil {
		fmt.Fprintln(os.Stderr, "identity:", err)
		os.Exit(1)
	}
}

func run(o *options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	service, err := start(ctx, o)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.address)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	identity.Register(server, service)
	context.AfterFunc(ctx, server.Stop)
	fmt.Fprintln(os.Stderr, "identity: serving on", listener.Addr())
	return server.Serve(listener)
}

// start makes the service, and lets it watch its issuer.
func start(ctx context.Context, o *options) (*identity.Service, error) {
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	domain, err := idctl.NewTrustDomain(o.namespace, o.domain)
	if err != nil {
		return nil, err
	}
	validator, err := idctl.NewK8sTokenValidator(ctx, client, domain)
	if err != nil {
		return nil, fmt.Errorf("asking for the right to review tokens: %w", err)
	}
	text, err := os.ReadFile(o.anchors)
	if err != nil {
		return nil, err
	}
	anchors, err := tls.DecodePEMCertPool(string(text))
	if err != nil {
		return nil, fmt.Errorf("reading the trust anchors: %w", err)
	}
	validity := &tls.Validity{Lifetime: o.lifetime, ClockSkewAllowance: o.skew}
	service := identity.NewService(validator, anchors, validity, note, "identity."+o.namespace+"."+o.domain,
		filepath.Join(o.issuer, "tls.crt"), filepath.Join(o.issuer, "tls.key"))
	if err := service.Initialize(); err != nil {
		return nil, err
	}
	changed, failed := make(chan struct{}), make(chan error)
	go func() {
		if err := tls.NewFsCredsWatcher(o.issuer, changed, failed).StartWatching(ctx); err != nil && !errors.Is(err, context.Canceled) {
			note("Warning", "WatchFailed", err.Error())
		}
	}()
	go service.Run(changed, failed)
	return service, nil
}

// note writes what Linkerd records as an event of its Deployment.
func note(kind, reason, message string) {
	fmt.Fprintf(os.Stderr, "identity: event %s %s: %s\n", kind, reason, message)
}
