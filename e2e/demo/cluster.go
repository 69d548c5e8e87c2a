package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

type object = unstructured.Unstructured

// The resources that the demo looks at.
var (
	namespaces  = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	peerAuths   = schema.GroupVersionResource{Group: "security.istio.io", Version: "v1", Resource: "peerauthentications"}
	policies    = schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"}
	postures    = schema.GroupVersionResource{Group: "palisade.floe.dev", Version: "v1alpha1", Resource: "namespacepostures"}
)

// cluster is the client of the demo: what kubectl would be.
type cluster struct {
	objects dynamic.Interface
	typed   *kubernetes.Clientset
	mapper  meta.RESTMapper
}

func connect(config *rest.Config) (*cluster, error) {
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(typed.Discovery()))
	return &cluster{objects: objects, typed: typed, mapper: mapper}, nil
}

// writeKubeconfig writes a kubeconfig with one context.
func writeKubeconfig(config *rest.Config, file, name string) error {
	c := api.NewConfig()
	c.Clusters[name] = &api.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	c.AuthInfos[name] = &api.AuthInfo{ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}
	c.Contexts[name] = &api.Context{Cluster: name, AuthInfo: name}
	return clientcmd.WriteToFile(*c, file)
}

func jsonInto(data []byte, into any) error { return json.Unmarshal(data, into) }

// manifests reads the objects of YAML files.
func manifests(folder string, files ...string) ([]*object, error) {
	var list []*object
	for _, file := range files {
		f, err := os.Open(filepath.Join(folder, file))
		if err != nil {
			return nil, err
		}
		more, err := parsed(f)
		_ = f.Close() // it was only read
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		list = append(list, more...)
	}
	return list, nil
}

// parsed reads the objects of a stream of YAML documents.
func parsed(in io.Reader) ([]*object, error) {
	var list []*object
	decoder := utilyaml.NewYAMLOrJSONDecoder(in, 4096)
	for {
		o, raw := &object{}, runtime.RawExtension{}
		err := decoder.Decode(&raw)
		switch {
		case errors.Is(err, io.EOF):
			return list, nil
		case err != nil:
			return nil, err
		case len(raw.Raw) == 0 || string(raw.Raw) == "null":
			continue
		}
		if err := o.UnmarshalJSON(raw.Raw); err != nil {
			return nil, err
		}
		list = append(list, o)
	}
}

// apply writes an object as kubectl apply --server-side would.
func (c *cluster) apply(ctx context.Context, o *object, subresources ...string) error {
	data, err := o.MarshalJSON()
	if err != nil {
		return err
	}
	in, err := c.resource(o)
	if err != nil {
		return err
	}
	force := true
	options := metav1.PatchOptions{FieldManager: "kubectl", Force: &force}
	if _, err = in.Patch(ctx, o.GetName(), types.ApplyPatchType, data, options, subresources...); err != nil {
		return fmt.Errorf("applying %s %s/%s: %w", o.GetKind(), o.GetNamespace(), o.GetName(), err)
	}
	return nil
}

func (c *cluster) resource(o *object) (dynamic.ResourceInterface, error) {
	kind := o.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return c.objects.Resource(mapping.Resource), nil
	}
	return c.objects.Resource(mapping.Resource).Namespace(o.GetNamespace()), nil
}

// namespace makes a namespace unless it is there.
func (c *cluster) namespace(ctx context.Context, name string, labels map[string]string) error {
	o := &object{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	o.SetName(name)
	o.SetLabels(labels)
	_, err := c.objects.Resource(namespaces).Create(ctx, o, metav1.CreateOptions{FieldManager: "kubectl"})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// get is an object, or nil where there is none.
func (c *cluster) get(ctx context.Context, r schema.GroupVersionResource, namespace, name string) (*object, error) {
	o, err := c.objects.Resource(r).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return o, err
}

// patch changes fields as kubectl patch --type merge would.
func (c *cluster) patch(ctx context.Context, r schema.GroupVersionResource, namespace, name, merge string, subresources ...string) error {
	_, err := c.objects.Resource(r).Namespace(namespace).Patch(ctx, name, types.MergePatchType, []byte(merge), metav1.PatchOptions{FieldManager: "kubectl-patch"}, subresources...)
	return err
}

// statuses of workloads that are available, or not, by kind.
func status(kind string, replicas int64, available bool) string {
	there, condition := replicas, "True"
	if !available {
		there, condition = 0, "False"
	}
	switch kind {
	case "Deployment":
		return fmt.Sprintf(`{"status": {"observedGeneration": 1, "replicas": %d, "updatedReplicas": %d, "readyReplicas": %d, "availableReplicas": %d,
			"conditions": [{"type": "Available", "status": %q}]}}`, replicas, replicas, there, there, condition)
	case "StatefulSet":
		return fmt.Sprintf(`{"status": {"observedGeneration": 1, "replicas": %d, "updatedReplicas": %d, "readyReplicas": %d, "availableReplicas": %d}}`, replicas, replicas, there, there)
	case "DaemonSet":
		return fmt.Sprintf(`{"status": {"observedGeneration": 1, "desiredNumberScheduled": %d, "currentNumberScheduled": %d, "updatedNumberScheduled": %d, "numberReady": %d,
			"numberAvailable": %d, "numberMisscheduled": 0}}`, replicas, replicas, replicas, there, there)
	default:
		return ""
	}
}

// standIn does to a new object what a kubelet, the scheduler and the controllers of workloads would,
// none of which runs here: it tells that workloads are available, and where nodes are. It
// returns whether it had anything to do.
func (c *cluster) standIn(ctx context.Context, o *object) (bool, error) {
	in, err := c.resource(o)
	if err != nil {
		return false, err
	}
	if _, has := o.Object["status"]; has {
		return true, c.apply(ctx, o, "status")
	}
	replicas, set, err := unstructured.NestedInt64(o.Object, "spec", "replicas")
	if err != nil {
		return false, err
	}
	if !set {
		replicas = 1
	}
	return c.mark(ctx, in, o, replicas, true)
}

// mark tells of a workload that its pods are up, or that they are not.
func (c *cluster) mark(ctx context.Context, in dynamic.ResourceInterface, o *object, replicas int64, up bool) (bool, error) {
	text := status(o.GetKind(), replicas, up)
	if text == "" {
		return false, nil
	}
	_, err := in.Patch(ctx, o.GetName(), types.MergePatchType, []byte(text), metav1.PatchOptions{FieldManager: "stand-in"}, "status")
	return true, err
}

// await looks at the cluster until what is missing is empty, and returns how long that took.
func await(ctx context.Context, most time.Duration, missing func() (string, error)) (time.Duration, error) {
	began := time.Now()
	for {
		what, err := missing()
		took := time.Since(began)
		switch {
		case err != nil:
			return took, err
		case what == "":
			return took, nil
		case took > most:
			return took, fmt.Errorf("not within %s: %s", most, what)
		}
		select {
		case <-ctx.Done():
			return took, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// namesOf lists the objects of a kind in a namespace.
func (c *cluster) namesOf(ctx context.Context, r schema.GroupVersionResource, namespace string) (string, error) {
	list, err := c.objects.Resource(r).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].GetName())
	}
	return strings.Join(names, " "), nil
}

// remove deletes an object.
func (c *cluster) remove(ctx context.Context, r schema.GroupVersionResource, namespace, name string) error {
	return c.objects.Resource(r).Namespace(namespace).Delete(ctx, name, metav1.DeleteOptions{})
}
