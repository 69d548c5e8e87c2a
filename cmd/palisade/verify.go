package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
	"floe.dev/palisade/report"
	"floe.dev/palisade/verify"
	"floe.dev/palisade/verify/probe"
)

// verifyOptions are the flags of palisade verify.
type verifyOptions struct {
	input
	shown
	targets    string
	direct     bool
	prober     string
	roots      []string
	identities []string
	requests   bool
	before     string
	only       []string
	ports      []string
	callers    bool
	ca         string
	store      bool
	job        bool
	image      string
	home       string
	relay      bool
	probing    probe.Options
	telling    sync.Mutex
}

func newVerify(s streams) *cobra.Command {
	o := &verifyOptions{}
	c := &cobra.Command{
		Use:   "verify [--targets FILE | -f PATH] (--direct | --job)",
		Short: "Prove by handshakes that mutual TLS holds",
		Long: `verify opens connections to every port that a posture governs, as a client without
TLS, without a certificate, with an identity that is let in, with one that is not, of a
foreign CA, and with one that has expired, and judges what becomes of each. What did not
answer is not known, and never passes. No request is sent unless --requests allows it.

What is to be tried comes from the intent, or from a file of targets. With -o targets that
file is written, and nothing is tried. With --direct connections are opened from here, to
the addresses of pods; with --job from a pod of a Job in the cluster, that is removed afterwards.

In a running cluster the mesh's roots are read, and its CA certifies the service account of
--prober, by a token of it. With --store the outcome is kept in MTLSReports, by which rollouts go.

Exit codes: 0 everything holds; 1 findings at or above --fail-on; 2 wrong usage or input
that could not be read; 3 something could not be judged, or there was nothing to judge.`,
		Example: `  palisade verify --job --prober palisade-system/palisade-prober
  palisade verify --direct --prober palisade-system/palisade-prober --store
  palisade verify -o targets > targets.yaml
  palisade verify --direct --targets targets.yaml
  palisade verify --direct --targets targets.yaml --before last.json -o json > report.json
  palisade report report.json -o html > report.html`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), s) },
	}
	o.register(c.Flags())
	return c
}

func (o *verifyOptions) register(flags *pflag.FlagSet) {
	o.input.register(flags)
	flags.BoolVar(&o.direct, "direct", false, "open the connections from here, to the addresses of pods")
	flags.StringVar(&o.targets, "targets", "", "file of targets and of what is expected of them, in place of manifests or a cluster")
	flags.StringArrayVar(&o.roots, "roots", nil, "PEM file with the roots that the mesh trusts; repeatable")
	flags.StringArrayVar(&o.identities, "identity", nil, "certificate and key to present, NAME=CERTIFICATE,KEY, or NAME=CERTIFICATE,KEY,expired; repeatable")
	flags.StringVar(&o.prober, "prober", "", "service account that probes play, NAMESPACE/NAME, or its identity such as cluster.local/ns/palisade/sa/prober: no rule should let it in")
	flags.BoolVar(&o.callers, "callers", false, "play the service accounts of callers as well, by tokens of theirs; in a running cluster")
	flags.StringVar(&o.ca, "ca", "", "host:port of the mesh's CA, where its pods cannot be reached by their addresses; in a running cluster")
	flags.StringArrayVar(&o.only, "only", nil, "namespace to verify, where not all that are governed; repeatable")
	flags.Var(each(&o.ports, portRange), "ports", "TCP port to try on every pod beside those that something names, or a range such as 1-65535; repeatable. Only what listens is told")
	flags.BoolVar(&o.job, "job", false, "open the connections from a pod of a Job that is made for it, followed, and removed")
	flags.StringVar(&o.image, "image", "", "image of palisade for --job (default that of the Deployment palisade)")
	flags.Var(checked(&o.home, defaultHome, name), "palisade-namespace", "namespace of palisade, for --job")
	flags.BoolVar(&o.relay, "relay", false, "write the report for whoever follows the log of the pod")
	_ = flags.MarkHidden("relay") // it is there
	flags.BoolVar(&o.store, "store", false, "keep the outcome in the cluster as MTLSReports, by which rollouts go")
	flags.BoolVar(&o.requests, "requests", false, "allow an OPTIONS * request, which shows authorization where it is judged by request")
	flags.StringVar(&o.before, "before", "", "report of an earlier run (JSON): its certificates are remembered, and what changed is shown")
	flags.IntVar(&o.probing.Concurrency, "concurrency", 64, "how many ports are tried at the same time")
	flags.Float64Var(&o.probing.Rate, "rate", 200, "how many connections are opened in a second; 0 does not limit it")
	flags.DurationVar(&o.probing.Timeout, "timeout", 5*time.Second, "deadline of a connection")
	flags.IntVar(&o.probing.Attempts, "attempts", 3, "how often a client is tried that sees other than what it must")
	o.shown.register(flags, "targets")
}

// check refuses values that make no sense, and flags that do not go together.
func (o *verifyOptions) check() error {
	p := &o.probing
	switch {
	case p.Concurrency < 1 || p.Attempts < 1 || p.Timeout <= 0:
		return errors.New("--concurrency, --attempts and --timeout must be above zero")
	case p.Rate < 0:
		return errors.New("--rate must not be below zero")
	case o.targets != "" && (len(o.files) > 0 || o.asked()):
		return errors.New("--targets stands in place of -f and of a cluster")
	case !o.direct && !o.job && o.output != "targets":
		return errors.New("say from where to try: --direct opens the connections from here, --job from a pod in the cluster (-o targets tries nothing, and writes what would be tried)")
	}
	if err := o.checkJob(); err != nil {
		return err
	}
	return o.checkLive()
}

func (o *verifyOptions) run(ctx context.Context, s streams) error {
	if err := o.check(); err != nil {
		return err
	}
	before, err := o.earlier()
	if err != nil {
		return err
	}
	if o.live() {
		return o.runLive(ctx, s, before)
	}
	t, folder, err := o.wanted(ctx, s)
	if err != nil {
		return err
	}
	if o.output == "targets" {
		text, err := yaml.Marshal(t)
		if err == nil {
			_, err = s.out.Write(text)
		}
		return err
	}
	r, err := o.try(ctx, s, t, folder, before)
	if err != nil {
		return err
	}
	if err := o.write(s, r); err != nil {
		return err
	}
	return o.verdict(r)
}

// earlier reads the report of an earlier run, where one is given.
func (o *verifyOptions) earlier() (*verify.Report, error) {
	if o.before == "" {
		return nil, nil
	}
	return readReport(o.before)
}

// wanted is what is to be tried, and the folder to which its paths are relative.
func (o *verifyOptions) wanted(ctx context.Context, s streams) (*verify.Targets, string, error) {
	var t *verify.Targets
	folder := "."
	if o.targets != "" {
		text, err := os.ReadFile(o.targets)
		if err != nil {
			return nil, "", err
		}
		if t, err = verify.ParseTargets(text); err != nil {
			return nil, "", fmt.Errorf("reading %s: %w", o.targets, err)
		}
		folder = filepath.Dir(o.targets)
	} else {
		snapshot, err := o.snapshot(ctx, s)
		if err != nil {
			return nil, "", err
		}
		r := engine.Run(snapshot, o.options())
		if _, err := s.err.Write(report.Problems(grave(r.Problems), palette(o.color, s.err))); err != nil {
			return nil, "", err
		}
		prober, err := verify.ProberIdentity(&r.Model.Cluster.Mesh, o.prober)
		if err != nil {
			return nil, "", fmt.Errorf("--prober: %w", err)
		}
		expect := verify.Options{Prober: prober, Requests: o.requests, Ports: portRanges(o.ports)}
		t = verify.TargetsOf(r.Model.Cluster.Mesh, expect, verify.Expect(r.Model, expect))
	}
	if len(o.only) > 0 {
		t.Only(o.only)
	}
	return t, folder, o.add(t)
}

// add puts into the targets what flags give. Paths of flags are relative to here.
func (o *verifyOptions) add(t *verify.Targets) error {
	t.Requests = t.Requests || o.requests
	if o.targets != "" && o.prober != "" {
		prober, err := verify.ProberIdentity(&model.Mesh{Kind: t.Mesh, TrustDomain: t.TrustDomain}, o.prober)
		if err != nil {
			return fmt.Errorf("--prober: %w", err)
		}
		t.Stranger = prober
	}
	for _, path := range o.roots {
		full, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		t.Roots = append(t.Roots, full)
	}
	for _, text := range o.identities {
		held, err := heldIdentity(text)
		if err != nil {
			return fmt.Errorf("--identity %s: %w", text, err)
		}
		t.Identities = append(t.Identities, held)
	}
	return nil
}

// heldIdentity reads a value of --identity.
func heldIdentity(text string) (held verify.HeldIdentity, err error) {
	name, paths, named := strings.Cut(text, "=")
	parts := strings.Split(paths, ",")
	if !named || name == "" || len(parts) < 2 || len(parts) > 3 || len(parts) == 3 && parts[2] != "expired" {
		return held, errors.New("must be NAME=CERTIFICATE,KEY or NAME=CERTIFICATE,KEY,expired")
	}
	held = verify.HeldIdentity{Identity: strings.TrimPrefix(name, "spiffe://"), Expired: len(parts) == 3}
	if held.Certificate, err = filepath.Abs(parts[0]); err != nil {
		return held, err
	}
	held.Key, err = filepath.Abs(parts[1])
	return held, err
}

// try opens the connections, until all was tried or the user interrupts.
func (o *verifyOptions) try(ctx context.Context, s streams, t *verify.Targets, folder string, before *verify.Report) (*verify.Report, error) {
	equipment, err := probe.Equip(t, folder)
	if err != nil {
		return nil, err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	run := verify.Run{
		Started: time.Now(), Mesh: t.Mesh, TrustDomain: t.TrustDomain, Expectations: t.Expectations(), Authority: equipment.Authority, Before: before,
	}
	probing := o.probing
	probing.Mesh, probing.Trust, probing.Credentials, probing.Requests = t.Mesh, equipment.Trust, equipment.Held, t.Requests
	shown := newProgress(s.err)
	var mu sync.Mutex
	probing.Progress = func(done int) {
		mu.Lock()
		defer mu.Unlock()
		shown.tell(fmt.Sprintf("trying ports: %d of %d", done, len(run.Expectations)))
	}
	// Handshakes leave much garbage beside little that is kept: collecting it less often saves a tenth of the time.
	defer debug.SetGCPercent(debug.SetGCPercent(sweepGC))
	sweep := probe.Run(ctx, run.Expectations, probing)
	shown.end()
	run.Seen, run.Choice, run.Finished = sweep.Seen, sweep.Choice, time.Now()
	return verify.NewReport(&run), nil
}

// sweepGC is the GOGC of a sweep, in percent.
const sweepGC = 400

// verdict is nil, or the exit code that a verification deserves: what is broken
// comes before what is not known, for it is sure.
func (o *verifyOptions) verdict(r *verify.Report) error {
	switch {
	case len(o.grave(r.Findings)) > 0:
		return outcome(exitFindings)
	case r.Summary.Light() == verify.Unknown:
		return outcome(exitIncomplete)
	default:
		return nil
	}
}
