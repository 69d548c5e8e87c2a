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
	// trustedFor and trustedSince tell for how long all configurations have held a bundle.
	trustedFor   []byte
	trustedSince time.Time
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
	secret, m, renew, err := k.read(ctx)
	if err != nil {
		return 0, err
	}
	now := k.now()
	s := standing{now: now, trustedSince: k.since(configs, &m, now), renew: renew}
	for i := range configs {
		s.elsewhere = append(s.elsewhere, configs[i].trusted(k)...)
	}
	next, changed, err := m.step(k.lifetimes, s, k.names, func() (*pair, *x509.Certificate, error) {
		return mint(k.names, now, k.lifetimes.lifetime)
	})
	if err != nil {
		return 0, err
	}
	if changed || secret == nil || renew {
		if err := k.write(ctx, secret, &next); err != nil {
			return 0, err
		}
		k.log.Info("wrote the certificate of the webhook", "secret", k.namespace+"/"+k.secret, "trusted", len(next.trusted), "renewing", next.next != nil)
	}
	k.last = next
	bundle, patched := bundleOf(next.trusted), false
	for i := range configs {
		wrote, err := k.trust(ctx, &configs[i], bundle)
		if err != nil {
			return 0, err
		}
		patched = patched || wrote
	}
	if changed || patched {
		return 0, nil // what was written is looked at once more
	}
	s.renew = false
	return max(0, min(lookEvery, next.due(k.lifetimes, s).Sub(k.now()))), nil
}

// since tells since when all configurations have held the CAs of the material.
func (k *keeper) since(configs []configuration, m *material, now time.Time) time.Time {
	bundle := bundleOf(m.trusted)
	for i := range configs {
		if !configs[i].holds(k, bundle) {
			k.trustedFor = nil
			return time.Time{}
		}
	}
	if k.trustedFor == nil || !bytes.Equal(k.trustedFor, bundle) {
		k.trustedFor, k.trustedSince = bundle, now
	}
	return k.trustedSince
}

// read reads the Secret. Where that is lost or spoilt, what was last seen is taken up
// again and renewed: to delete the Secret is to ask for a new certificate.
func (k *keeper) read(ctx context.Context) (secret *corev1.Secret, m material, renew bool, err error) {
	secret, err = k.client.CoreV1().Secrets(k.namespace).Get(ctx, k.secret, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		secret = nil
	case err != nil:
		return nil, m, false, fmt.Errorf("reading Secret %s/%s: %w", k.namespace, k.secret, err)
	default:
		var spoilt error
		if m, spoilt = readMaterial(secret.Data); spoilt != nil {
			k.log.Error(spoilt, "a part of the Secret is not readable, and is made anew", "secret", k.namespace+"/"+k.secret)
		}
	}
	now := k.now()
	if !m.usable(m.serving, k.names, now) && k.last.usable(k.last.serving, k.names, now) {
		return secret, k.last, k.last.next == nil, nil
	}
	return secret, m, false, nil
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
		for _, key := range []string{servingCertKey, servingKeyKey, nextCertKey, nextKeyKey, trustKey} {
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

// trusted are the CAs that its webhooks trust.
func (c *configuration) trusted(k *keeper) []*x509.Certificate {
	var all []*x509.Certificate
	for i := range c.clients {
		if k.ours(&c.clients[i]) {
			list, _ := certificatesOf(c.clients[i].CABundle) // what cannot be read trusts nobody
			all = append(all, list...)
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
