package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/preflight"
	"floe.dev/palisade/report"
)

// waitStep is how long --wait sleeps between looks.
const waitStep = 5 * time.Second

// checkOptions are the flags of palisade check.
type checkOptions struct {
	reading
	failOn   string
	audience string
	home     string
	only     []string
	skip     []string
	wait     time.Duration
	output   string
	color    string
}

func newCheck(s streams) *cobra.Command {
	o := &checkOptions{}
	c := &cobra.Command{
		Use:   "check",
		Short: "Look whether a cluster is fit for what palisade does to it",
		Long: `check looks at the API server, at the rights of whoever asks, at the mesh and its
certificates, at webhooks, the network, Pod Security, and palisade itself. Each check
says what was found; one that does not pass also why it matters and what mends it. It
writes nothing. With -f it reads files; checks that need a running cluster are skipped.

Exit codes: 0 clean; 1 checks at or above --fail-on did not pass; 2 wrong usage, or a
cluster that cannot be reached; 3 something could not be looked at.`,
		Example: `  palisade check
  palisade check --for controller --as system:serviceaccount:palisade-system:palisade
  palisade check --only certificates,webhooks --wait 5m
  palisade check -f dump/ -o json`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), s) },
	}
	o.register(c.Flags())
	flags := c.Flags()
	flags.StringVar(&o.as, "as", "", "user to ask as, such as the controller's account system:serviceaccount:palisade-system:palisade")
	flags.Var(oneOf(&o.audience, "cli", "cli", "controller"), "for", "whose rights are needed: cli (reads) or controller (writes as well)")
	flags.Var(checked(&o.home, defaultHome, name), "palisade-namespace", "namespace of palisade's controller")
	flags.StringSliceVar(&o.only, "only", nil, "ids or categories of the checks to do (default all): server, permissions, mesh, certificates, webhooks, network, pod-security, palisade")
	flags.StringSliceVar(&o.skip, "skip", nil, "ids or categories of checks to leave out")
	flags.DurationVar(&o.wait, "wait", 0, "look again until the checks pass (warnings count as --fail-on says), for as long as this, such as 5m")
	flags.Var(oneOf(&o.failOn, "error", "error", "warning", "never"), "fail-on", "exit with 1 where a check ends at least so badly: error (failed), warning or never")
	flags.Var(oneOf(&o.color, "auto", "auto", "always", "never"), "color", "colour the text: auto (on a terminal, unless NO_COLOR is set), always or never")
	flags.VarP(oneOf(&o.output, "text", "text", "json"), "output", "o", "form of the output: text or json")
	return c
}

func (o *checkOptions) choice() preflight.Choice { return preflight.Choice{Only: o.only, Skip: o.skip} }

func (o *checkOptions) run(ctx context.Context, s streams) error {
	if err := o.choice().Validate(); err != nil {
		return fmt.Errorf("--only and --skip: %w", err)
	}
	if err := o.fit(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	checked, err := o.untilPassed(ctx, s)
	if err != nil {
		return err
	}
	data := checked.Text(palette(o.color, s.out))
	if o.output == "json" {
		if data, err = report.JSON(checked.Document()); err != nil {
			return err
		}
	}
	if _, err := s.out.Write(data); err != nil {
		return err
	}
	return o.outcome(checked)
}

// fit refuses flags that do not go together.
func (o *checkOptions) fit() error {
	_, files, live := o.target()
	switch {
	case o.wait < 0:
		return errors.New("--wait must not be negative")
	case o.wait > 0 && slices.Contains(files, "-"):
		return errors.New("--wait does not go with -f -, since standard input can be read only once")
	case o.as != "" && !live:
		return errors.New("--as is for a running cluster, and files are to be read")
	}
	return nil
}

// untilPassed looks once, or with --wait again and again until the exit code is 0 or
// the time is over. A cluster that does not answer yet is waited for as well.
func (o *checkOptions) untilPassed(ctx context.Context, s streams) (*report.Checked, error) {
	end := time.Now().Add(o.wait)
	said := ""
	for {
		checked, err := o.look(ctx, s)
		left := time.Until(end)
		var faults cluster.InputErrors
		if errors.As(err, &faults) || left <= 0 || ctx.Err() != nil || err == nil && len(o.held(checked)) == 0 {
			return checked, err
		}
		why := ""
		if err != nil {
			why = err.Error()
		} else {
			why = "not passed: " + strings.Join(o.held(checked), ", ")
		}
		if why != said {
			said = why
			// There is nobody left to tell that this could not be written.
			_, _ = fmt.Fprintf(s.err, "palisade: waiting, %s left: %s\n", left.Round(time.Second), why)
		}
		select {
		case <-ctx.Done():
			return checked, err
		case <-time.After(min(waitStep, left)):
		}
	}
}

// held are the ids of checks for which the exit code is not 0.
func (o *checkOptions) held(c *report.Checked) []string {
	var ids []string
	for i := range c.Results {
		if r := &c.Results[i]; r.Incomplete || o.counts(r.Status) {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// counts tells whether a check that ended so makes the command fail.
func (o *checkOptions) counts(s preflight.Status) bool {
	return s == preflight.Failed && o.failOn != "never" || s == preflight.Warning && o.failOn == "warning"
}

// look reads, asks, and judges once.
func (o *checkOptions) look(ctx context.Context, s streams) (*report.Checked, error) {
	snapshot, err := o.snapshot(ctx, s)
	if err != nil {
		return nil, err
	}
	in := engine.Preflight(snapshot, engine.PreflightOptions{Options: o.options(), For: preflight.Audience(o.audience), Home: o.home})
	if c, _, live := o.target(); live {
		if in.Survey, err = o.survey(ctx, s, c, preflight.NeedsOf(in)); err != nil {
			return nil, err
		}
	}
	return &report.Checked{Mesh: in.Model.Cluster.Mesh, Survey: in.Survey, Report: preflight.Run(in, o.choice())}, nil
}

// survey asks the running cluster.
func (o *checkOptions) survey(ctx context.Context, s streams, c connecting, needs preflight.Needs) (*preflight.Survey, error) {
	config, err := c.config()
	if err != nil {
		return nil, err
	}
	shown := newProgress(s.err)
	defer shown.end()
	return cluster.Survey(ctx, config, needs, func(what string, done, total int) {
		shown.tell(fmt.Sprintf("asking the cluster: %d of %d questions (%s)", done, total, what))
	})
}

// outcome is nil, or the exit code that the checks deserve.
func (o *checkOptions) outcome(c *report.Checked) error {
	switch {
	case c.Incomplete():
		return outcome(exitIncomplete)
	case len(o.held(c)) > 0:
		return outcome(exitFindings)
	default:
		return nil
	}
}
