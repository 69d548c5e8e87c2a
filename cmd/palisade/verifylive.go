package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
	"floe.dev/palisade/report"
	"floe.dev/palisade/verify"
	"floe.dev/palisade/verify/live"
	"floe.dev/palisade/verify/probe"
)

// live tells whether a running cluster is verified, and not what files name.
func (o *verifyOptions) live() bool {
	_, _, live := o.target()
	return live && o.targets == "" && o.output != "targets"
}

// checkLive refuses flags that are for a running cluster where there is none.
func (o *verifyOptions) checkLive() error {
	if o.live() {
		return nil
	}
	for flag, set := range map[string]bool{"--store": o.store, "--callers": o.callers, "--ca": o.ca != "", "--job": o.job} {
		if set {
			return fmt.Errorf("%s is for a running cluster", flag)
		}
	}
	return nil
}

// runLive verifies a running cluster, from here or from a pod in it, and shows what came of it.
func (o *verifyOptions) runLive(ctx context.Context, s streams, before *verify.Report) error {
	var r *verify.Report
	var err error
	if o.job {
		r, err = o.runJob(ctx, s)
	} else {
		r, err = o.tryLive(ctx, s, before)
	}
	switch {
	case r == nil:
		return err
	case o.relay:
		return errors.Join(err, relayed(s.out, r))
	}
	if err := errors.Join(err, o.write(s, r)); err != nil {
		return err
	}
	return o.verdict(r)
}

// tryLive verifies the mesh of a running cluster, by roots and certificates of its own.
func (o *verifyOptions) tryLive(ctx context.Context, s streams, before *verify.Report) (*verify.Report, error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	looked := time.Now()
	snapshot, err := o.snapshot(ctx, s)
	if err != nil {
		return nil, err
	}
	m, problems := engine.InForce(snapshot, o.options())
	if _, err := s.err.Write(report.Problems(grave(problems), palette(o.color, s.err))); err != nil {
		return nil, err
	}
	if m.Cluster.Mesh.Kind == model.MeshNone {
		return nil, errors.New("the cluster has no mesh that could be verified; --mesh says which it is where that does not show")
	}
	c, _, _ := o.target()
	config, err := c.config()
	if err != nil {
		return nil, err
	}
	g, err := o.start(ctx, config, m)
	if err != nil {
		return nil, err
	}
	g.Before, g.Looked = before, looked
	if g.Gone, err = cluster.PodGone(ctx, config); err != nil {
		return nil, err
	}
	o.showProgress(s, g)
	defer debug.SetGCPercent(debug.SetGCPercent(sweepGC))
	verified := live.Run(ctx, g)
	if o.store {
		err = storeReports(ctx, config, snapshot, verified)
	}
	return verified, err
}

// start puts together what a verification starts from: of the cluster, and of flags.
func (o *verifyOptions) start(ctx context.Context, config *rest.Config, m *model.Model) (*live.Given, error) {
	secrets, err := cluster.Certificates(ctx, config, engine.AuthoritySecrets(m))
	if err != nil {
		return nil, err
	}
	authority := engine.AuthorityOf(m, secrets)
	g := &live.Given{
		Model: m, Roots: authority.Roots, Authority: authority.Known, Namespaces: o.only,
		Callers: o.callers, CA: o.ca, Requests: o.requests, Ports: portRanges(o.ports), Probing: o.probing,
	}
	if g.Prober, err = verify.ProberIdentity(&m.Cluster.Mesh, o.prober); err != nil {
		return nil, fmt.Errorf("--prober: %w", err)
	}
	if g.Prober != "" || g.Callers {
		if g.Tokens, err = cluster.NewTokens(config); err != nil {
			return nil, err
		}
	}
	files := &verify.Targets{}
	if err := o.add(files); err != nil {
		return nil, err
	}
	equipment, err := probe.Equip(files, ".")
	if err != nil {
		return nil, err
	}
	g.Held = equipment.Held
	for _, c := range equipment.Roots {
		if !slices.ContainsFunc(g.Roots, c.Equal) {
			g.Roots = append(g.Roots, c)
			g.Authority.Roots = append(g.Authority.Roots, verify.CertificateOf(c))
		}
	}
	return g, nil
}

func (o *verifyOptions) showProgress(s streams, g *live.Given) {
	shown := newProgress(s.err)
	if shown.out == nil && !o.relay {
		return
	}
	tell := shown.tell
	if o.relay {
		tell = func(text string) {
			_, _ = fmt.Fprintln(s.out, relayProgress+strings.TrimPrefix(text, "trying ports: "))
		} // a line for the eye
	}
	var planned, last atomic.Int64
	g.Planned = func(ports int) {
		planned.Store(int64(ports))
		tell(fmt.Sprintf("trying ports: 0 of %d", ports))
	}
	g.Probing.Progress = func(done int) {
		total := planned.Load()
		if step := int64(done) * 100 / max(total, 1); last.Swap(step) != step {
			o.telling.Lock()
			defer o.telling.Unlock()
			tell(fmt.Sprintf("trying ports: %d of %d", done, total))
			if int64(done) == total {
				shown.end()
			}
		}
	}
}

// storeReports keeps a report in the cluster, by namespace, where rollouts go by it.
func storeReports(ctx context.Context, config *rest.Config, s *engine.Snapshot, r *verify.Report) error {
	writer, err := cluster.NewWriter(config, false)
	if err != nil {
		return err
	}
	for namespace, status := range engine.MTLSReportStatuses(r, s.Reports) {
		if err := writer.StoreReport(ctx, namespace, status); err != nil {
			return fmt.Errorf("storing the MTLSReport of namespace %s: %w", namespace, err)
		}
	}
	return nil
}
