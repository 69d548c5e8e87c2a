package cluster

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
)

func TestFaultsNameFileDocumentLineAndField(t *testing.T) {
	dir := write(t, map[string]string{"shop/rules.yaml": `# The shop's rules.
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: palisade.floe.dev/v1alpha1
kind: TrafficRule
metadata: {name: cart, namespace: shop}
spec:
  to: {matchLabels: {app: cart}}
  from: [{pods: {}}]
  ports:
  - port: 8080
    endPort: 80
`})
	_, err := Read([]string{dir}, nil, Options{})
	require.EqualError(t, err, filepath.Join(dir, "shop/rules.yaml")+":15 (document 2, TrafficRule shop/cart): spec.ports[0].endPort: must not be below port")
	var input *InputError
	require.True(t, errors.As(err, &input))
	assert.Equal(t, "spec.ports[0].endPort", input.Field)
	assert.Equal(t, 15, input.Source.Line)
	assert.Equal(t, model.Ref{APIVersion: "palisade.floe.dev/v1alpha1", Kind: "TrafficRule", Namespace: "shop", Name: "cart"}, input.Ref)
}

func TestBrokenInput(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"bad indentation": {
			"kind: A\n---\napiVersion: v1\nkind: Pod\n  metadata: x\n", "-:5 (document 2): mapping values are not allowed in this context",
		},
		"the line of the trouble, not that of what it is in": {
			"kind: A\napiVersion: v1\nspec:\n- a\n- b\nmetadata: 1\n- c\n", "-:7 (document 1): did not find expected key",
		},
		"tab":                    {"a:\n\tb: 1\n", "-:2 (document 1): found character that cannot start any token"},
		"unclosed quote":         {"a: 1\nb: 'x\n", "-:2 (document 1): found unexpected end of stream"},
		"unknown anchor":         {"a: *x\n", "-:1 (document 1): unknown anchor 'x' referenced"},
		"key twice":              {"---\na: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", "-:6 (document 1): key \"c\" is there twice, first on line 4"},
		"key twice in JSON":      {"\n{\"kind\": \"A\",\n \"kind\": \"B\"}", "-:2 (document 1): duplicate field \"kind\""},
		"anchor within itself":   {"a: &a [*a]\n", `-:1 (document 1): anchor "a" contains itself`},
		"not a number":           {"a: .inf\n", `-:1 (document 1): ".inf" is not a number that JSON can hold`},
		"a list":                 {"- a\n- b\n", "-:1 (document 1): is a list where an object with apiVersion and kind is expected"},
		"a text":                 {"just words\n", "-:1 (document 1): is a text where an object with apiVersion and kind is expected"},
		"a JSON list":            {"[{}]", "-:1 (document 1): is a list where an object with apiVersion and kind is expected"},
		"Helm values":            {"# values\nreplicas: 1\nimage: x\n", "-:2 (document 1): is not a Kubernetes object: apiVersion and kind missing"},
		"a chart":                {"apiVersion: v2\nname: shop\n", "-:1 (document 1): is not a Kubernetes object: kind missing"},
		"kind of the wrong type": {"apiVersion: v1\nkind: [Pod]\n", "-:2 (document 1): kind: must be a text, is a list"},
		"no metadata":            {"apiVersion: v1\nkind: Service\n", "-:1 (document 1, Service): metadata: must be an object, is null"},
		"no name":                {"apiVersion: v1\nkind: Service\nmetadata: {namespace: shop}\n", "-:3 (document 1, Service shop/): metadata.name: must be set"},
		"name with a slash":      {"apiVersion: v1\nkind: Service\nmetadata: {name: a/b}\n", `-:3 (document 1, Service default/a/b): metadata.name: "a/b" may not contain '/'`},
		"namespace not DNS":      {"apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  namespace: The_Shop\n", `-:5 (document 1, Service The_Shop/a): metadata.namespace: "The_Shop"`},
		"label of a number":      {"apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  labels:\n    version: 1.5\n", `-:6 (document 1, Service default/a): metadata.labels[version]: must be a text, is 1.5`},
		"label that is a YAML boolean": {
			"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels:\n    istio-injection: on\n", `metadata.labels[istio-injection]: must be a text (in quotes: YAML reads on, off, yes, no, y and n as true and false), is true`,
		},
		"wrong type deep inside": {
			deployment("app: a", "app: a", "  ports: [{containerPort: http}]"), `spec.template.spec.containers[0].ports[0].containerPort: must be a whole number of 32 bits, is the text "http"`,
		},
		"a port that wraps around to 80": {
			deployment("app: a", "app: a", "  ports: [{containerPort: 4294967376}]"), `spec.template.spec.containers[0].ports[0].containerPort: must be a whole number of 32 bits, is 4294967376`,
		},
		"port out of range":        {deployment("app: a", "app: a", "  ports: [{containerPort: 65536}]"), `-:14 (document 1, Deployment default/web): spec.template.spec.containers[0].ports[0].containerPort: 65536 must be from 1 to 65535`},
		"protocol unknown":         {deployment("app: a", "app: a", "  ports: [{containerPort: 1, protocol: HTTP}]"), `spec.template.spec.containers[0].ports[0].protocol: "HTTP" is not one of ["TCP" "UDP" "SCTP"]`},
		"quantity":                 {deployment("app: a", "app: a", "  resources: {limits: {memory: lots}}"), `spec.template.spec.containers[0].resources.limits[memory]: "lots": quantities must match`},
		"selector does not match":  {deployment("app: a", "app: b", ""), "-:8 (document 1, Deployment default/web): spec.template.metadata.labels: spec.selector (app=a) does not match these labels"},
		"selector missing":         {strings.Replace(deployment("app: a", "app: b", ""), "selector", "other", 1), "-:5 (document 1, Deployment default/web): spec.selector: must be set"},
		"no containers":            {strings.Replace(deployment("app: a", "app: a", ""), "containers", "others", 1), "spec.template.spec.containers: must be set"},
		"unknown version of ours":  {"apiVersion: palisade.floe.dev/v1\nkind: TrafficRule\nmetadata: {name: a}\n", `apiVersion: "palisade.floe.dev/v1" is not known; this palisade knows palisade.floe.dev/v1alpha1`},
		"unknown kind of ours":     {"apiVersion: palisade.floe.dev/v1alpha1\nkind: Rule\nmetadata: {name: a}\n", `-:2 (document 1, Rule a): kind: "Rule" is not a kind of palisade.floe.dev/v1alpha1; it has Exemption, ExternalAccess, MTLSReport, NamespacePosture, SecurityProfile, TrafficRule`},
		"item of a List":           {"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n- apiVersion: v1\n  kind: Service\n  metadata: {}\n", "-:9 (document 1, Service default/): metadata.name: must be set"},
		"item of a JSON List":      {"{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [\n{\"apiVersion\": \"v1\", \"kind\": \"Service\",\n\"metadata\": {}}]}", "-:3 (document 1, Service default/): metadata.name: must be set"},
		"item that is no object":   {"apiVersion: v1\nkind: List\nitems:\n- x\n", "-:4 (document 1): is a text where an object with apiVersion and kind is expected"},
		"NetworkPolicy wrong type": {"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec:\n  podSelector: {}\n  ingress: {}\n", "-:6 (document 1, NetworkPolicy default/a): spec.ingress: must be a list, is an object"},
	} {
		t.Run(name, func(t *testing.T) { assert.Contains(t, refuse(t, c.text), c.want) })
	}
}

// deployment has its selector on line 7 and the container's rest from line 14.
func deployment(selector, labels, rest string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  selector: {matchLabels: {%s}}
  template:
    metadata: {labels: {%s}}
    spec:
      containers:
      - name: web
        image: example/web
      # what follows is the case's own
      %s
`, selector, labels, rest)
}

func TestAliasesCannotFillTheMemory(t *testing.T) {
	text := "a0: &a0 [x]\n"
	for i := range 20 {
		text += fmt.Sprintf("a%d: &a%d [*a%d, *a%d, *a%d, *a%d]\n", i+1, i+1, i, i, i, i)
	}
	assert.Contains(t, refuse(t, text), "aliases unfold to more than 100000 values")
}

func TestAllFaultsOfAReadAreToldTogether(t *testing.T) {
	dir := write(t, map[string]string{"a.yaml": strings.Repeat("---\nno: kind\n", 15), "b.yaml": strings.Repeat("---\nno: kind\n", 10)})
	_, err := Read([]string{dir, "missing"}, nil, Options{})
	require.Error(t, err)
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, 21)
	assert.Equal(t, "missing: no such file or directory", lines[0])
	assert.Contains(t, lines[1], "a.yaml:2 (document 1)")
	assert.Contains(t, lines[15], "a.yaml:30 (document 15)")
	assert.Contains(t, lines[16], "b.yaml:2 (document 1)")
	assert.Equal(t, "and 6 more", lines[20])
}

func TestObjectsGivenTwice(t *testing.T) {
	same := read(t, service("a")+"---\n# the same in another order\n"+"kind: Service\nspec: {ports: [{port: 80}]}\napiVersion: v1\nmetadata: {namespace: default, resourceVersion: \"7\", name: a}\nstatus: {}\n")
	assert.Equal(t, []string{"a"}, serviceNames(same))
	dir := write(t, map[string]string{"a.yaml": "# first\n" + service("a"), "b.yaml": service("b") + "---\n" + strings.Replace(service("a"), "80", "81", 1)})
	_, err := Read([]string{dir}, nil, Options{})
	require.EqualError(t, err, fmt.Sprintf("%s:6 (document 2, Service default/a): is there twice with different content, first in %s:2 (document 1)", filepath.Join(dir, "b.yaml"), filepath.Join(dir, "a.yaml")))
}

func TestOneObjectInTwoVersionsIsGivenTwice(t *testing.T) {
	authz := "apiVersion: security.istio.io/%s\nkind: AuthorizationPolicy\nmetadata: {name: a, namespace: shop}\nspec: {}\n"
	assert.Contains(t, refuse(t, fmt.Sprintf(authz, "v1")+"---\n"+fmt.Sprintf(authz, "v1beta1")), "is there twice with different content")
}
