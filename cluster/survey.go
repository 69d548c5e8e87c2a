package cluster

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"floe.dev/palisade/model"
	"floe.dev/palisade/preflight"
)

// parallelAsks is how many questions of a survey are open at the same time.
const parallelAsks = 16

// Survey asks a running cluster what its objects do not tell: its version and its
// clock, what whoever asks may do, certificates in a few Secrets, leases, and what
// stands behind Services. What it may not read is noted where it belongs; the error
// is for a cluster that cannot be reached. It writes nothing: reviews of access are answered and not stored.
func Survey(ctx context.Context, config *rest.Config, needs preflight.Needs, progress Progress) (*preflight.Survey, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // the server's own fairness rules
	s := &surveyor{needs: needs, survey: preflight.Survey{Host: config.Host}, progress: progress}
	if err := s.server(config); err != nil {
		return nil, unreachable(config, err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	s.client = client
	s.user(ctx)
	if err := s.ask(ctx); err != nil {
		return nil, err
	}
	return &s.survey, nil
}

// surveyor carries a Survey while it grows.
type surveyor struct {
	client   dynamic.Interface
	needs    preflight.Needs
	progress Progress
	// reads are the kinds that palisade looks at and that are served.
	reads []servedKind

	lock   sync.Mutex
	survey preflight.Survey
}

// clock notes the time of an answer, by the server and by this machine.
type clock struct {
	next http.RoundTripper
	note func(date time.Time, sent, received time.Time)
}

func (c clock) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := time.Now()
	response, err := c.next.RoundTrip(r)
	if err == nil {
		if date, wrong := http.ParseTime(response.Header.Get("Date")); wrong == nil {
			c.note(date, sent, time.Now())
		}
	}
	return response, err
}

// server asks for the version, with the time, and for what is served.
func (s *surveyor) server(config *rest.Config) error {
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	kinds, problems, err := servedKinds(d)
	if err != nil {
		return err
	}
	s.reads = kinds
	for _, p := range problems {
		s.survey.Silent = append(s.survey.Silent, p.Message)
	}
	_, lists, _ := d.ServerGroupsAndResources() // what fails of it is among the problems
	s.served(lists)
	// The connection stands by now: the trip is as short as it gets.
	timed := rest.CopyConfig(config)
	timed.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return clock{next, func(date, sent, received time.Time) {
			s.survey.Date, s.survey.Trip = date, received.Sub(sent)
			s.survey.Clock = sent.Add(s.survey.Trip / 2).Round(0) // by the wall clock, as the server's
		}}
	})
	d, err = discovery.NewDiscoveryClientForConfig(timed)
	if err != nil {
		return err
	}
	version, err := d.ServerVersion()
	if err != nil {
		return err
	}
	s.survey.Version = version.GitVersion
	return nil
}

func (s *surveyor) served(lists []*metav1.APIResourceList) {
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		for i := range list.APIResources {
			if r := &list.APIResources[i]; !strings.Contains(r.Name, "/") {
				s.survey.Served = append(s.survey.Served, preflight.Served{Group: gv.Group, Version: gv.Version, Kind: r.Kind})
			}
		}
	}
}

// user asks the server whom it takes the asker for (KEP-3325); it is for show only.
func (s *surveyor) user(ctx context.Context) {
	answer, err := s.review(ctx, "authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview", nil)
	if err == nil {
		s.survey.User, _, _ = unstructured.NestedString(answer.Object, "status", "userInfo", "username")
	}
}

// review creates an object that is answered and not stored.
func (s *surveyor) review(ctx context.Context, group, resource, kind string, spec map[string]any) (*unstructured.Unstructured, error) {
	gvr := schema.GroupVersionResource{Group: group, Version: "v1", Resource: resource}
	object := map[string]any{"apiVersion": gvr.GroupVersion().String(), "kind": kind}
	if spec != nil {
		object["spec"] = spec
	}
	return s.client.Resource(gvr).Create(ctx, &unstructured.Unstructured{Object: object}, metav1.CreateOptions{})
}

// question is one thing to ask; take is called under the lock with what was answered.
type question struct {
	what string
	ask  func(context.Context) (take func())
}

// ask puts all questions, some at a time.
func (s *surveyor) ask(ctx context.Context) error {
	questions := s.questions()
	queue := make(chan question)
	var workers sync.WaitGroup
	done := 0
	for range parallelAsks {
		workers.Go(func() {
			for q := range queue {
				take := q.ask(ctx)
				s.lock.Lock()
				take()
				done++
				if s.progress != nil {
					s.progress(q.what, done, len(questions))
				}
				s.lock.Unlock()
			}
		})
	}
	for _, q := range questions {
		queue <- q
	}
	close(queue)
	workers.Wait()
	s.survey.Sort()
	return ctx.Err()
}

func (s *surveyor) questions() []question {
	var all []question
	for _, p := range s.permissions() {
		all = append(all, question{"rights", func(ctx context.Context) func() {
			a := s.access(ctx, p)
			return func() { s.survey.Access = append(s.survey.Access, a) }
		}})
	}
	for _, ref := range s.needs.Secrets {
		all = append(all, question{"certificates", func(ctx context.Context) func() {
			b := s.bundle(ctx, ref)
			return func() { s.survey.Bundles = append(s.survey.Bundles, b) }
		}})
	}
	for _, name := range s.needs.Services {
		all = append(all, question{"endpoints", func(ctx context.Context) func() {
			b := s.backend(ctx, name)
			return func() { s.survey.Backends = append(s.survey.Backends, b) }
		}})
	}
	for _, name := range slices.Sorted(maps.Keys(ownDefinitions())) {
		all = append(all, question{"definitions", func(ctx context.Context) func() {
			d := s.definition(ctx, name)
			return func() { s.survey.Definitions = append(s.survey.Definitions, d) }
		}})
	}
	return append(all, question{"leases", func(ctx context.Context) func() {
		leases, unread := s.leases(ctx)
		return func() { s.survey.Leases, s.survey.LeasesUnread = leases, unread }
	}})
}

// permissions are those that are needed, and those to read what is served.
func (s *surveyor) permissions() []preflight.Permission {
	all := slices.Clone(s.needs.Access)
	for _, k := range s.reads {
		for _, verb := range s.needs.For.ReadVerbs() {
			all = append(all, preflight.Permission{Verb: verb, Group: k.Group, Resource: k.Resource})
		}
	}
	return all
}

// access asks whether whoever asks may do something.
func (s *surveyor) access(ctx context.Context, p preflight.Permission) preflight.Access {
	a := preflight.Access{Permission: p}
	attributes := map[string]any{}
	for key, value := range map[string]string{
		"verb": p.Verb, "group": p.Group, "resource": p.Resource, "subresource": p.Subresource, "namespace": p.Namespace, "name": p.Name,
	} {
		if value != "" {
			attributes[key] = value
		}
	}
	answer, err := s.review(ctx, "authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview", map[string]any{"resourceAttributes": attributes})
	if err != nil {
		a.Unread = reason(err)
		return a
	}
	a.Allowed, _, _ = unstructured.NestedBool(answer.Object, "status", "allowed")
	if wrong, _, _ := unstructured.NestedString(answer.Object, "status", "evaluationError"); !a.Allowed && wrong != "" {
		a.Unread = wrong
	}
	return a
}

// reason is an error in few words.
func reason(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Message
	}
	return err.Error()
}

// bundle gets a Secret and keeps its certificates alone: what else it holds is gone with the answer.
func (s *surveyor) bundle(ctx context.Context, ref model.Ref) preflight.Bundle {
	b := preflight.Bundle{Ref: ref}
	secret, err := s.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "secrets"}).Namespace(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return b
	case err != nil:
		b.Unread = reason(err)
		return b
	}
	b.Found, b.Written = true, written(secret)
	data, _, _ := unstructured.NestedStringMap(secret.Object, "data")
	b.Certificates = certificatesOf(data)
	return b
}

// certificatesOf keeps the PEM blocks of type CERTIFICATE, by key.
func certificatesOf(data map[string]string) map[string][]byte {
	kept := map[string][]byte{}
	for key, text := range data {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			continue
		}
		var out bytes.Buffer
		for {
			var block *pem.Block
			if block, raw = pem.Decode(raw); block == nil {
				break
			}
			if block.Type == "CERTIFICATE" {
				_ = pem.Encode(&out, &pem.Block{Type: block.Type, Bytes: block.Bytes}) // a buffer takes all
			}
		}
		if out.Len() > 0 {
			kept[key] = out.Bytes()
		}
	}
	return kept
}

// backend lists the EndpointSlices of a Service.
func (s *surveyor) backend(ctx context.Context, name preflight.ServiceName) preflight.Backend {
	b := preflight.Backend{Namespace: name.Namespace, Service: name.Name}
	gvr := discoveryv1.SchemeGroupVersion.WithResource("endpointslices")
	list, err := s.client.Resource(gvr).Namespace(name.Namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + name.Name})
	if err != nil {
		b.Unread = reason(err)
		return b
	}
	for i := range list.Items {
		slice, err := typed[discoveryv1.EndpointSlice](&list.Items[i])
		if err != nil {
			b.Unread = err.Error()
			return b
		}
		b.Slices = append(b.Slices, *slice)
	}
	return b
}

// leases lists those of palisade, in every namespace.
func (s *surveyor) leases(ctx context.Context) ([]preflight.Lease, string) {
	gvr := coordinationv1.SchemeGroupVersion.WithResource("leases")
	list, err := s.client.Resource(gvr).List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + preflight.LeaseName})
	if err != nil {
		return nil, reason(err)
	}
	var leases []preflight.Lease
	for i := range list.Items {
		there, err := typed[coordinationv1.Lease](&list.Items[i])
		if err != nil {
			return nil, err.Error()
		}
		leases = append(leases, leaseOf(there))
	}
	return leases, ""
}

func leaseOf(l *coordinationv1.Lease) preflight.Lease {
	lease := preflight.Lease{Namespace: l.Namespace, Name: l.Name}
	if l.Spec.HolderIdentity != nil {
		lease.Holder = *l.Spec.HolderIdentity
	}
	if l.Spec.RenewTime != nil {
		lease.Renewed = l.Spec.RenewTime.Time
	}
	if l.Spec.LeaseDurationSeconds != nil {
		lease.Duration = time.Duration(*l.Spec.LeaseDurationSeconds) * time.Second
	}
	return lease
}

func typed[T any](u *unstructured.Unstructured) (*T, error) {
	into := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, into); err != nil {
		return nil, fmt.Errorf("reading %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	return into, nil
}
