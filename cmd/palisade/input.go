package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
	"floe.dev/palisade/plan"
	"floe.dev/palisade/report"
)

// reading is what the commands share that look at a folder or a cluster: what to
// read, and which facts to take as given.
type reading struct {
	connecting
	files     []string
	namespace string
	given     engine.Given
	at        string
}

// register adds the flags, in the order in which the help shows them.
func (in *reading) register(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.StringArrayVarP(&in.files, "filename", "f", nil, "file or folder with manifests and intent, or - for standard input; repeatable. Without it a cluster is read")
	in.connecting.register(flags)
	flags.VarP(checked(&in.namespace, "default", name), "namespace", "n", "namespace of objects that name none")
	in.registerGiven(flags)
	flags.Var(checked(&in.at, "", instant), "at", "time at which exemptions are judged, such as 2026-11-23T12:00:00Z (default now)")
}

// registerGiven adds the flags for facts that win over what is read.
func (in *reading) registerGiven(flags *pflag.FlagSet) {
	flags.Var(oneOf(&in.given.Mesh, "auto", "auto", "istio", "linkerd", "none"), "mesh", "mesh in use: auto (decided from the objects), istio, linkerd or none")
	flags.Var(oneOf(&in.given.MeshMode, "", "sidecar", "ambient", "proxyless"), "mesh-mode", "Istio's mode of namespaces that carry no enrolment of their own: sidecar, ambient or proxyless")
	flags.Var(checked(&in.given.MeshNamespace, "", name), "mesh-namespace", "namespace of the mesh's control plane")
	flags.Var(checked(&in.given.TrustDomain, "", domain), "trust-domain", "trust domain of the mesh, such as cluster.local")
	flags.Var(checked(&in.given.ClusterDomain, "", domain), "cluster-domain", "DNS domain of the cluster, such as cluster.local")
	flags.Var(oneOf(&in.given.LinkerdTransport, "", "transport-header", "transparent"), "linkerd-transport", "how Linkerd's proxies dial each other: transport-header or transparent")
	flags.Var(each(&in.given.PodCIDRs, prefix), "pod-cidr", "address range of pods; repeatable")
	flags.Var(each(&in.given.ServiceCIDRs, prefix), "service-cidr", "address range of Services; repeatable")
	flags.Var(each(&in.given.NodeCIDRs, prefix), "node-cidr", "address range of nodes; repeatable")
	flags.Var(each(&in.given.DNSServers, address), "dns-server", "address of a resolver that pods use beside the DNS Service, such as a node-local cache; repeatable")
	flags.Var(each(&in.given.APIServers, addressPort), "api-server", "address:port behind the Kubernetes API; repeatable")
}

// check refuses flags that do not go together.
func (in *reading) check() error {
	mesh := in.given.Mesh
	switch {
	case in.given.MeshMode != "" && mesh != "auto" && mesh != "istio":
		return fmt.Errorf("--mesh-mode is for Istio and does not go with --mesh %s", mesh)
	case in.given.LinkerdTransport != "" && mesh != "auto" && mesh != "linkerd":
		return fmt.Errorf("--linkerd-transport does not go with --mesh %s", mesh)
	}
	return nil
}

// clusterPath names a cluster where paths are given: "cluster:", or "cluster:CONTEXT".
const clusterPath = "cluster:"

// snapshot reads what -f names, and further paths; a cluster where a flag or a path
// names one, or where there are no paths.
func (in *reading) snapshot(ctx context.Context, s streams, more ...string) (*engine.Snapshot, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	c, files, live := in.target(more...)
	if slices.Contains(files, "") {
		return nil, errors.New("nothing to read: an empty path was given")
	}
	if !live {
		return cluster.Read(files, s.in, cluster.Options{DefaultNamespace: in.namespace})
	}
	snapshot, err := in.readCluster(ctx, s, c, files)
	if errors.Is(err, errNoCluster) {
		return nil, fmt.Errorf("nothing to read: give a file or folder with -f, or - for standard input; %w, so there is no cluster to read either", err)
	}
	return snapshot, err
}

// target tells which cluster is to be read, if any, and which files.
func (in *reading) target(more ...string) (c connecting, files []string, live bool) {
	c, live = in.connecting, in.asked()
	for _, path := range slices.Concat(in.files, more) {
		if name, is := strings.CutPrefix(path, clusterPath); is {
			live, c.context = true, cmp.Or(name, c.context)
			continue
		}
		files = append(files, path)
	}
	return c, files, live || len(files) == 0
}

// options are what the engine is told beside what was read.
func (in *reading) options() engine.Options {
	now := time.Now()
	if in.at != "" {
		// The flag was checked when it was set.
		now, _ = time.Parse(time.RFC3339, in.at)
	}
	return engine.Options{Given: in.given, Now: now}
}

// input is a reading whose findings may make the command fail.
type input struct {
	reading
	failOn string
}

// register adds the flags, in the order in which the help shows them.
func (in *input) register(flags *pflag.FlagSet) {
	in.reading.register(flags)
	flags.Var(oneOf(&in.failOn, "error", "error", "warning", "info", "never"), "fail-on", "exit with 1 where a finding (or the impact of a plan) is at least this grave: error, warning, info or never")
}

// run reads the input and takes it through the engine, with or without the plan's impact.
func (in *input) run(ctx context.Context, s streams, impact bool) (engine.Result, error) {
	snapshot, err := in.snapshot(ctx, s)
	if err != nil {
		return engine.Result{}, err
	}
	o := in.options()
	o.Impact = impact
	return engine.Run(snapshot, o), nil
}

// outcome is nil, or the exit code that the result deserves.
func (in *input) outcome(r engine.Result) error {
	err := in.exit(r.Plan.Problems, r.Plan.Findings)
	if err == nil && in.least() != "" && slices.ContainsFunc(r.Plan.Impact, func(i plan.Impact) bool { return i.Basis.Severity().Rank() >= in.least().Rank() }) {
		return outcome(exitFindings)
	}
	return err
}

func (in *input) exit(problems []model.Problem, findings []model.Finding) error {
	switch {
	case report.Incomplete(problems):
		return outcome(exitIncomplete)
	case len(in.grave(findings)) > 0:
		return outcome(exitFindings)
	default:
		return nil
	}
}

// grave are the findings that make the command fail.
func (in *input) grave(findings []model.Finding) []model.Finding {
	if in.least() == "" {
		return nil
	}
	return report.AtOrAbove(findings, in.least())
}

// least is the gravity from which on a finding fails the command; empty for none.
func (in *input) least() model.Severity {
	if in.failOn == "never" {
		return ""
	}
	return model.Severity(in.failOn)
}

// noteUnknown tells of objects that were not looked at, in a line or none.
func noteUnknown(unknown map[string]int) string {
	total := 0
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(unknown)) {
		total += unknown[kind]
		kinds = append(kinds, fmt.Sprintf("%s: %d", kind, unknown[kind]))
	}
	if total == 0 {
		return ""
	}
	return fmt.Sprintf("palisade: note: objects of kinds that it does not look at: %d (%s)\n", total, strings.Join(kinds, ", "))
}
