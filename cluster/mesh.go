package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"floe.dev/palisade/model"
	"floe.dev/palisade/preflight"
)

// Certificates gets Secrets by name, and keeps the certificates in them alone. What may not be read is noted in its Bundle.
func Certificates(ctx context.Context, config *rest.Config, secrets []model.Ref) ([]preflight.Bundle, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	s := &surveyor{client: client}
	bundles := make([]preflight.Bundle, len(secrets))
	for i, ref := range secrets {
		bundles[i] = s.bundle(ctx, ref)
	}
	return bundles, ctx.Err()
}

// PodGone tells of single pods whether they are there no longer, or are going. What cannot be asked counts as there.
func PodGone(ctx context.Context, config *rest.Config) (func(namespace, name string) bool, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	pods := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"})
	return func(namespace, name string) bool {
		pod, err := pods.Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return apierrors.IsNotFound(err)
		}
		return pod.GetDeletionTimestamp() != nil
	}, nil
}

// written is when an object was last written to, other than its status.
func written(o *unstructured.Unstructured) time.Time {
	at := o.GetCreationTimestamp().Time
	for _, f := range o.GetManagedFields() {
		if f.Time != nil && f.Subresource == "" && f.Time.After(at) {
			at = f.Time.Time
		}
	}
	return at
}

// tokenLife is how long a token of a service account is asked for: the least that the API server gives.
const tokenLife = 10 * time.Minute

// Tokens gets tokens of service accounts (TokenRequest), and keeps them as long as they last.
type Tokens struct {
	client dynamic.Interface
	lock   sync.Mutex
	held   map[[3]string]heldToken
}

type heldToken struct {
	text  string
	until time.Time
	err   error
}

// NewTokens prepares to get tokens. Whoever the config is needs `create` on serviceaccounts/token.
func NewTokens(config *rest.Config) (*Tokens, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &Tokens{client: client, held: map[[3]string]heldToken{}}, nil
}

// Token yields one for an audience. What was refused is not asked for again within a minute.
func (t *Tokens) Token(ctx context.Context, namespace, account, audience string) (string, error) {
	t.lock.Lock()
	defer t.lock.Unlock()
	key := [3]string{namespace, account, audience}
	if held, there := t.held[key]; there && time.Now().Before(held.until) {
		return held.text, held.err
	}
	status, err := t.request(ctx, namespace, account, audience)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		t.held[key] = heldToken{err: err, until: time.Now().Add(time.Minute)}
		return "", err
	}
	until := status.ExpirationTimestamp.Time
	t.held[key] = heldToken{text: status.Token, until: until.Add(-time.Until(until) / 2)}
	return status.Token, nil
}

func (t *Tokens) request(ctx context.Context, namespace, account, audience string) (*authenticationv1.TokenRequestStatus, error) {
	seconds := int64(tokenLife / time.Second)
	tree, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&authenticationv1.TokenRequest{
		TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenRequest"},
		Spec:     authenticationv1.TokenRequestSpec{Audiences: []string{audience}, ExpirationSeconds: &seconds},
	})
	if err != nil {
		return nil, err
	}
	accounts := t.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}).Namespace(namespace)
	request := &unstructured.Unstructured{Object: tree}
	request.SetName(account)
	answer, err := accounts.Create(ctx, request, metav1.CreateOptions{}, "token")
	if err != nil {
		return nil, errors.New(reason(err))
	}
	full, err := typed[authenticationv1.TokenRequest](answer)
	switch {
	case err != nil:
		return nil, err
	case full.Status.Token == "":
		return nil, fmt.Errorf("the API server answered without a token of %s/%s", namespace, account)
	default:
		return &full.Status, nil
	}
}
