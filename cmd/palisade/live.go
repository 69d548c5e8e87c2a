package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
)

// connecting says which cluster to read, where one is.
type connecting struct {
	kubeconfig string
	context    string
	// as is the user to ask as, where it is not the kubeconfig's own.
	as string
}

func (c *connecting) register(flags *pflag.FlagSet) {
	flags.StringVar(&c.kubeconfig, "kubeconfig", "", "kubeconfig of the cluster to read (default $KUBECONFIG, or ~/.kube/config)")
	flags.StringVar(&c.context, "context", "", "context of the kubeconfig; with it a cluster is read, and files given with -f are laid over it")
}

// asked tells whether a flag names a cluster.
func (c *connecting) asked() bool { return c.kubeconfig != "" || c.context != "" }

// errNoCluster tells that no kubeconfig was found.
var errNoCluster = errors.New("no kubeconfig was found")

// config finds the cluster, as kubectl would; in a pod, the one that it runs in.
func (c *connecting) config() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: c.context}).ClientConfig()
	switch {
	case err == nil:
		config.UserAgent = "palisade"
		config.WarningHandler = rest.NoWarnings{} // of old versions of kinds; they would stand between the lines
		if c.as != "" {
			config.Impersonate.UserName = c.as
		}
		return config, nil
	case clientcmd.IsEmptyConfig(err) && !c.asked():
		return nil, errNoCluster
	default:
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
}

// readCluster reads a running cluster, and lays files over it.
func (in *reading) readCluster(ctx context.Context, s streams, c connecting, files []string) (*engine.Snapshot, error) {
	config, err := c.config()
	if err != nil {
		return nil, err
	}
	shown := newProgress(s.err)
	defer shown.end()
	return cluster.ReadLive(ctx, config, files, s.in, cluster.Options{DefaultNamespace: in.namespace}, shown.step)
}

// progress shows on a terminal how far reading has come, in one line; elsewhere nothing.
type progress struct {
	out   io.Writer
	width int
}

func newProgress(out io.Writer) *progress {
	if !isTerminal(out) {
		return &progress{}
	}
	return &progress{out: out}
}

func (p *progress) step(kind string, done, total int) {
	p.tell(fmt.Sprintf("reading the cluster: %d of %d kinds (%s)", done, total, kind))
}

// tell shows a line in place of the last.
func (p *progress) tell(line string) {
	if p.out == nil {
		return
	}
	pad := max(0, p.width-len(line))
	p.width = len(line)
	_, _ = fmt.Fprintf(p.out, "\r%s%s", line, strings.Repeat(" ", pad)) // a line for the eye
}

// end takes the line away.
func (p *progress) end() {
	if p.out != nil && p.width > 0 {
		_, _ = fmt.Fprintf(p.out, "\r%s\r", strings.Repeat(" ", p.width))
	}
}
