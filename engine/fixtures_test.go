package engine_test

// The parts from which the tests put a cluster together.
const (
	facts = `
apiVersion: v1
kind: ConfigMap
metadata: {name: kubeadm-config, namespace: kube-system}
data:
  ClusterConfiguration: |
    networking: {dnsDomain: cluster.local, podSubnet: 10.244.0.0/16, serviceSubnet: 10.96.0.0/16}
---
apiVersion: v1
kind: Node
metadata: {name: node-1}
status: {addresses: [{type: InternalIP, address: 172.18.0.2}]}
---
apiVersion: v1
kind: Service
metadata: {name: kubernetes, namespace: default}
spec: {clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1], ports: [{name: https, port: 443, targetPort: 6443}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: kubernetes, namespace: default}
subsets: [{addresses: [{ip: 172.18.0.9}], ports: [{name: https, port: 6443}]}]`

	kubeDNS = `
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec:
  selector: {k8s-app: kube-dns}
  clusterIP: 10.96.0.10
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: coredns, namespace: kube-system}
spec:
  selector: {matchLabels: {k8s-app: kube-dns}}
  template:
    metadata: {labels: {k8s-app: kube-dns}}
    spec: {containers: [{name: coredns, image: coredns, ports: [{containerPort: 53, protocol: UDP}]}]}`

	profile = `
apiVersion: palisade.floe.dev/v1alpha1
kind: SecurityProfile
metadata: {name: strict}
spec: {namespaceSelector: {}}`

	istio = `
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: mesh-system}
data: {mesh: "rootNamespace: mesh-system\ntrustDomain: corp.example\n"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: istiod, namespace: mesh-system, labels: {app: istiod}}
spec:
  selector: {matchLabels: {app: istiod}}
  template:
    metadata: {labels: {app: istiod}}
    spec: {containers: [{name: discovery, image: "istio/pilot:1.31.1"}]}`

	istioCNI = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: istio-cni-node, namespace: mesh-system, labels: {k8s-app: istio-cni-node}}
spec:
  selector: {matchLabels: {k8s-app: istio-cni-node}}
  template:
    metadata: {labels: {k8s-app: istio-cni-node}}
    spec: {containers: [{name: install-cni, image: "istio/install-cni:1.31.1"}]}`

	ztunnel = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: ztunnel, namespace: mesh-system, labels: {app: ztunnel}}
spec:
  selector: {matchLabels: {app: ztunnel}}
  template:
    metadata: {labels: {app: ztunnel}}
    spec: {containers: [{name: istio-proxy, image: "istio/ztunnel:1.31.1"}]}`

	linkerd = `
apiVersion: v1
kind: ConfigMap
metadata: {name: linkerd-config, namespace: l5d}
data:
  values: |
    linkerdVersion: edge-25.4.4
    identityTrustDomain: corp.example
    clusterDomain: cluster.local
    proxy: {outboundTransportMode: transport-header}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: linkerd-identity, namespace: l5d, labels: {linkerd.io/control-plane-component: identity, linkerd.io/control-plane-ns: l5d}}
spec:
  selector: {matchLabels: {linkerd.io/control-plane-component: identity}}
  template:
    metadata: {labels: {linkerd.io/control-plane-component: identity, linkerd.io/control-plane-ns: l5d}}
    spec: {containers: [{name: identity, image: controller}]}`

	sidecarShop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}`
	ambientShop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}`
	linkerdShop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, annotations: {linkerd.io/inject: enabled}}`
	plainShop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}`

	web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {serviceAccountName: web, containers: [{name: web, image: "web:1", ports: [{containerPort: 8080}]}]}`
	api = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec:
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      serviceAccountName: api
      containers:
      - name: api
        image: api:1
        ports: [{name: http, containerPort: 9000}, {name: admin, containerPort: 9001}]
        readinessProbe: {httpGet: {path: /ready, port: http}}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {selector: {app: api}, ports: [{name: http, port: 80, targetPort: http}]}`
	other = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: other, namespace: shop}
spec:
  selector: {matchLabels: {app: other}}
  template:
    metadata: {labels: {app: other}}
    spec: {serviceAccountName: other, containers: [{name: other, image: "other:1"}]}`
	webToAPI = `
apiVersion: palisade.floe.dev/v1alpha1
kind: TrafficRule
metadata: {name: api, namespace: shop}
spec:
  to: {matchLabels: {app: api}}
  from: [{pods: {podSelector: {matchLabels: {app: web}}}}]
  ports: [{port: http}]`
)
