// Command palisade puts one security intent into every layer of a Kubernetes
// cluster that can hold it. It is also a kubectl plugin, under the name
// kubectl-palisade.
//
// Data goes to standard output, everything else to standard error. Output is
// gathered before it is written: a command that fails has printed nothing of it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"floe.dev/palisade/cluster"
)

func main() {
	os.Exit(run(context.Background(), os.Args, streams{os.Stdin, os.Stdout, os.Stderr}))
}

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// The exit codes.
const (
	exitClean      = 0
	exitFindings   = 1
	exitFailure    = 2
	exitIncomplete = 3
)

// outcome is how a command ended that did its work: there is nothing more to say about it.
type outcome int

func (o outcome) Error() string { return fmt.Sprintf("exit code %d", int(o)) }

// run runs one command line, args[0] being the name of the program, and returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	root := newRoot(filepath.Base(args[0]), s)
	root.SetArgs(args[1:])
	err := root.ExecuteContext(ctx)
	var o outcome
	switch {
	case err == nil:
		return exitClean
	case errors.As(err, &o):
		return int(o)
	default:
		printError(s.err, err)
		return exitFailure
	}
}

func newRoot(program string, s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "palisade",
		Short: "One security intent, in every layer of a cluster that can hold it",
		Long: `palisade reads manifests and a few lines of intent (SecurityProfile, TrafficRule,
ExternalAccess, Exemption), and writes what makes it hold: NetworkPolicies, mutual
TLS and authorization of Istio or Linkerd, and Pod Security labels.`,
		Example: `  palisade plan -f manifests/ -f intent.yaml
  palisade render -f manifests/ -f intent.yaml > palisade.yaml`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	if strings.HasPrefix(program, "kubectl-") {
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl palisade"}
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w\nsee %s --help", err, c.CommandPath())
	})
	root.AddCommand(
		newPlan(s), newRender(s), newMap(s), newExplain(s), newDiff(s), newAudit(s), newLevels(s), newCheck(s), newVerify(s), newReport(s), newHarden(s), newController(s), newScanGate(s), newImage(s), newVersion(s),
	)
	return root
}

// noArguments refuses what is left over, which most often are paths without their flag.
func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q; files and folders are given with -f, once for each", args[0])
	}
	return nil
}

// faultsOfFiles are faults of several files, of which each gets a line.
type faultsOfFiles []error

func (f faultsOfFiles) Error() string { return errors.Join(f...).Error() }

func (f faultsOfFiles) Unwrap() []error { return f }

// printError writes an error as "palisade: message"; faults of the input get a line each.
func printError(w io.Writer, err error) {
	message := strings.TrimSpace(err.Error())
	var faults cluster.InputErrors
	var several faultsOfFiles
	if errors.As(err, &faults) || errors.As(err, &several) {
		message = strings.ReplaceAll(message, "\n", "\npalisade: ")
	}
	// There is nobody left to tell that this could not be written.
	_, _ = fmt.Fprintf(w, "palisade: %s\n", message)
}
