// Command cluster brings up a Kubernetes cluster for the end-to-end tests on a
// machine that reaches no registry, and takes it down again.
//
// Everything comes of Go modules and Debian packages. Docker runs in mount, PID
// and network namespaces of its own, so that it neither sees nor changes the
// containers and the firewall of the host, and ends as a whole with one process.
//
//	cluster up                  what is there already is taken as it is
//	cluster exec -- COMMAND     runs a command in the cluster's network, with KUBECONFIG set
//	cluster down                stops all that up started
//	cluster purge               down, and forgets what was built
//
// It needs root, Go, and Debian's apt-get and dpkg. docs/e2e.md says more.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

const usage = "usage: cluster up | exec -- COMMAND... | down | purge"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

// run returns the exit code: 0, that of the command of exec, or 2 for a failure of ours.
func run(ctx context.Context, args []string, progress io.Writer) int {
	err := verb(ctx, args, progress)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case len(args) > 0 && args[0] == "exec" && errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode()
	}
	_, _ = fmt.Fprintln(progress, "cluster:", err)
	return 2
}

func verb(ctx context.Context, args []string, progress io.Writer) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	h, err := newHarness(progress)
	if err != nil {
		return err
	}
	if args[0] == "exec" && len(args) > 2 && args[1] == "--" {
		return h.exec(ctx, args[2:])
	}
	verbs := map[string]func(*harness, context.Context) error{"up": (*harness).up, "down": (*harness).down, "purge": (*harness).purge}
	do, known := verbs[args[0]]
	if !known || len(args) > 1 {
		return errors.New(usage)
	}
	unlock, err := h.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return do(h, ctx)
}
