package admission

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"floe.dev/palisade/model"
)

// How often the keeper looks at the latest, and tries again at the soonest and at the latest after a failure.
const (
	lookEvery           = time.Minute
	minRetry, lastRetry = time.Second, 30 * time.Second
)

// keeper renews the certificate and tells the webhook configurations which CAs
// to trust. One replica does: the leader.
type keeper struct {
	client kubernetes.Interface
	log    logr.Logger
	now    func() time.Time
	// namespace and secret name the Secret, config the configurations, service the Service that they name.
	namespace, secret, config, service string
	names                              []string
	lifetimes                          lifetimes
	changed                            <-chan struct{}
	// watch starts to tell of changes, and returns.
	watch func(context.Context)

	// last is the material that was last seen whole, for when the Secret is lost.
	last material
}

// NeedLeaderElection keeps it to one replica.
func (k *keeper) NeedLeaderElection() bool { return true }

// Start looks after the certificate until the context is done. It gives up on nothing: what fails is tried again.
func (k *keeper) Start(ctx context.Context) error {
	k.watch(ctx)
	retry := minRetry
	for {
		wait, err := k.tend(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			wait, retry = retry, min(2*retry, lastRetry)
			if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) && !errors.Is(err, errOutdated) {
				k.log.Error(err, "looking after the certificate of the webhook", "again", wait.String())
			}
		default:
			retry = minRetry
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-k.changed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// tend takes one step, and returns how long to wait for the next.
func (k *keeper) tend(ctx context.Context) (time.Duration, error) {
	configs, err := k.configurations(ctx)
	if err != nil {
		return 0, err
	}
	secret, err := k.client.CoreV1().Secrets(k.namespace).Get(ctx, k.secret, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		secret, err = nil, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading Secret %s/%s: %w", k.namespace, k.secret, err)
	}
	now := k.now()
	seen := sight{now: now, names: k.names}
	if secret != nil {
		seen.secret = secret.Data
	}
	for i := range configs {
		seen.bundles = append(seen.bundles, configs[i].bundles(k)...)
	}
	d, err := decide(k.lifetimes, seen, k.last, func() (*pair, *x509.Certificate, error) { return mint(k.names, now, k.lifetimes.lifetime) })
	if err != nil {
		return 0, err
	}
	if d.spoilt != nil {
		k.log.Error(d.spoilt, "a part of the Secret is not readable, and is made anew", "secret", k.namespace+"/"+k.secret)
	}
	if d.write {
		if err := k.write(ctx, secret, &d.material); err != nil {
			return 0, err
		}
		k.log.Info("wrote the certificate of the webhook", "secret", k.namespace+"/"+k.secret, "trusted", len(d.material.trusted), "renewing", d.material.next != nil)
	}
	k.last = d.material
	bundle, patched := bundleOf(d.material.trusted), false
	for i := range configs {
		wrote, err := k.trust(ctx, &configs[i], bundle)
		if err != nil {
			return 0, err
		}
		patched = patched || wrote
	}
	if d.write || patched {
		return 0, nil // what was written is looked at once more
	}
	return max(0, min(lookEvery, d.due.Sub(k.now()))), nil
}

// write creates or updates the Secret, if nobody else did meanwhile.
func (k *keeper) write(ctx context.Context, secret *corev1.Secret, m *material) error {
	secrets := k.client.CoreV1().Secrets(k.namespace)
	options := metav1.UpdateOptions{FieldManager: model.FieldManager}
	var err error
	if secret == nil {
		_, err = secrets.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: k.secret, Namespace: k.namespace, Labels: map[string]string{"app.kubernetes.io/name": "palisade", "app.kubernetes.io/component": "admission"}},
			Type:       corev1.SecretTypeOpaque, Data: m.data(),
		}, metav1.CreateOptions{FieldManager: model.FieldManager})
	} else {
		secret = secret.DeepCopy()
		for _, key := range secretKeys {
			delete(secret.Data, key)
		}
		if secret.Data == nil {
			secret.Data = map[string][]byte{}
		}
		for key, value := range m.data() {
			secret.Data[key] = value
		}
		_, err = secrets.Update(ctx, secret, options)
	}
	if err != nil {
		return fmt.Errorf("writing Secret %s/%s: %w", k.namespace, k.secret, err)
	}
	return nil
}

// configuration is a ValidatingWebhookConfiguration or a MutatingWebhookConfiguration.
type configuration struct {
	kind, resourceVersion string
	clients               []admissionregistrationv1.WebhookClientConfig
	patch                 func(context.Context, []byte) error
}

// configurations are those of palisade's name that exist.
func (k *keeper) configurations(ctx context.Context) ([]configuration, error) {
	var found []configuration
	api := k.client.AdmissionregistrationV1()
	options := metav1.PatchOptions{FieldManager: model.FieldManager}
	validating, err := api.ValidatingWebhookConfigurations().Get(ctx, k.config, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("reading ValidatingWebhookConfiguration %s: %w", k.config, err)
	}
	if err == nil {
		c := configuration{kind: "ValidatingWebhookConfiguration", resourceVersion: validating.ResourceVersion, patch: func(ctx context.Context, patch []byte) error {
			_, err := api.ValidatingWebhookConfigurations().Patch(ctx, k.config, types.JSONPatchType, patch, options)
			return err
		}}
		for i := range validating.Webhooks {
			c.clients = append(c.clients, validating.Webhooks[i].ClientConfig)
		}
		found = append(found, c)
	}
	mutating, err := api.MutatingWebhookConfigurations().Get(ctx, k.config, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("reading MutatingWebhookConfiguration %s: %w", k.config, err)
	}
	if err == nil {
		c := configuration{kind: "MutatingWebhookConfiguration", resourceVersion: mutating.ResourceVersion, patch: func(ctx context.Context, patch []byte) error {
			_, err := api.MutatingWebhookConfigurations().Patch(ctx, k.config, types.JSONPatchType, patch, options)
			return err
		}}
		for i := range mutating.Webhooks {
			c.clients = append(c.clients, mutating.Webhooks[i].ClientConfig)
		}
		found = append(found, c)
	}
	return found, nil
}

// ours tells whether a webhook is answered under this certificate: one that names
// the Service, or an address outside of the cluster.
func (k *keeper) ours(c *admissionregistrationv1.WebhookClientConfig) bool {
	return c.Service == nil || c.Service.Namespace == k.namespace && c.Service.Name == k.service
}

// holds tells whether all webhooks trust a bundle.
func (c *configuration) holds(k *keeper, bundle []byte) bool {
	for i := range c.clients {
		if k.ours(&c.clients[i]) && !bytes.Equal(c.clients[i].CABundle, bundle) {
			return false
		}
	}
	return true
}

// bundles are those of its webhooks.
func (c *configuration) bundles(k *keeper) [][]byte {
	var all [][]byte
	for i := range c.clients {
		if k.ours(&c.clients[i]) {
			all = append(all, c.clients[i].CABundle)
		}
	}
	return all
}

// trust writes a bundle into all webhooks of a configuration, and nothing else of it. It tells whether anything was to be written.
func (k *keeper) trust(ctx context.Context, c *configuration, bundle []byte) (bool, error) {
	if c.holds(k, bundle) {
		return false, nil
	}
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	patch := []operation{{"test", "/metadata/resourceVersion", c.resourceVersion}}
	for i := range c.clients {
		if k.ours(&c.clients[i]) {
			patch = append(patch, operation{"add", fmt.Sprintf("/webhooks/%d/clientConfig/caBundle", i), bundle})
		}
	}
	body, err := json.Marshal(patch)
	if err != nil {
		return false, err
	}
	err = c.patch(ctx, body)
	switch {
	case apierrors.IsNotFound(err):
		return true, nil // it has gone meanwhile
	case apierrors.IsInvalid(err):
		return false, errors.Join(errOutdated, err) // the test of the version failed, most likely
	case err != nil:
		return false, fmt.Errorf("writing the CA bundle of %s %s: %w", c.kind, k.config, err)
	}
	k.log.Info("told API servers which CAs to trust", "configuration", c.kind+" "+k.config)
	return true, nil
}

// errOutdated tells that a configuration changed between reading and writing.
var errOutdated = errors.New("the configuration changed meanwhile, or does not take the CA bundle")
