package controller

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"floe.dev/palisade/falco"
	"floe.dev/palisade/falco/receiver"
	"floe.dev/palisade/model"
)

// RuntimeEvents says how Falco's events are taken in.
type RuntimeEvents struct {
	// Address is where to listen, ":9444"; empty or "0" does not.
	Address string
	// Folder holds tls.crt and tls.key, and what senders prove who they are by: token, or ca.crt for certificates of Clients. They may be renewed.
	Folder  string
	Clients []string
}

func (r *RuntimeEvents) on() bool { return r.Address != "" && r.Address != "0" }

// eventServer takes in events, in every replica: senders reach any of them.
type eventServer struct {
	options  RuntimeEvents
	receiver *receiver.Receiver
	watcher  *certwatcher.CertWatcher
	clients  *x509.CertPool
}

func newEventServer(g *governor, o RuntimeEvents) (*eventServer, error) {
	watcher, err := certwatcher.New(filepath.Join(o.Folder, "tls.crt"), filepath.Join(o.Folder, "tls.key"))
	if err != nil {
		return nil, fmt.Errorf("reading the certificate for Falco's events: %w", err)
	}
	s := &eventServer{options: o, watcher: watcher}
	in := receiver.Options{Governed: newGoverned(g).is, Now: g.now, Clients: o.Clients, Notify: func(_ context.Context, e falco.Event) { g.happened(&e) }}
	token := filepath.Join(o.Folder, "token")
	if _, err := os.Stat(token); err == nil {
		in.Token = func() string {
			text, err := os.ReadFile(token)
			if err != nil {
				return "" // which lets nobody in
			}
			return strings.TrimSpace(string(text))
		}
	}
	if len(o.Clients) > 0 {
		text, err := os.ReadFile(filepath.Join(o.Folder, "ca.crt"))
		if err != nil {
			return nil, fmt.Errorf("reading the CA of those who send Falco's events: %w", err)
		}
		if s.clients = x509.NewCertPool(); !s.clients.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate", filepath.Join(o.Folder, "ca.crt"))
		}
	}
	s.receiver, err = receiver.New(in)
	return s, err
}

// NeedLeaderElection tells that every replica takes events in.
func (s *eventServer) NeedLeaderElection() bool { return false }

// Start serves until the context is done.
func (s *eventServer) Start(ctx context.Context) error {
	config := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.watcher.GetCertificate}
	if s.clients != nil {
		config.ClientCAs, config.ClientAuth = s.clients, tls.VerifyClientCertIfGiven
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.options.Address)
	if err != nil {
		return fmt.Errorf("listening for Falco's events: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/falco", s.receiver)
	server := &http.Server{Handler: mux, TLSConfig: config, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	go s.receiver.Run(ctx)
	go func() {
		<-ctx.Done()
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = server.Shutdown(bounded) // what is open then is cut
	}()
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// setUpRuntimeEvents has a manager take in Falco's events.
func setUpRuntimeEvents(m manager.Manager, g *governor, o RuntimeEvents, register func(*receiver.Receiver) error) error {
	s, err := newEventServer(g, o)
	if err != nil {
		return err
	}
	return errors.Join(m.Add(s.watcher), m.Add(s), register(s.receiver))
}

// happened tells of an event in a governed namespace, on its posture.
func (g *governor) happened(e *falco.Event) {
	severity := corev1.EventTypeNormal
	if e.Priority.Severity() != model.Info {
		severity = corev1.EventTypeWarning
	}
	message := e.Output
	if e.Pod != "" {
		message = "Pod " + e.Pod + ": " + message
	}
	g.event(e.Namespace, severity, "RuntimeEvent", "Runtime", message)
}

// governed tells which namespaces have a posture. What it knows is some seconds old at most.
type governed struct {
	g     *governor
	lock  sync.Mutex
	at    time.Time
	names map[string]bool
}

func newGoverned(g *governor) *governed { return &governed{g: g} }

func (n *governed) is(namespace string) bool {
	n.lock.Lock()
	defer n.lock.Unlock()
	if now := n.g.now(); n.names == nil || now.Sub(n.at) > stale {
		n.at, n.names = now, map[string]bool{}
		for _, p := range n.g.look(stale).Postures {
			n.names[p.Namespace] = true
		}
	}
	return n.names[namespace]
}
