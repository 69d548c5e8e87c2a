package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"

	"floe.dev/palisade/controller"
)

// defaultHome is the namespace that palisade is installed into.
const defaultHome = "palisade-system"

func newController(s streams) *cobra.Command {
	var in reading
	var o controller.Options
	var format, level string
	c := &cobra.Command{
		Use:   "controller",
		Short: "Govern a cluster: watch it, write what is wanted, step by step, and keep it so",
		Long: `controller watches the cluster that it runs in (or that --kubeconfig names) and
writes what its SecurityProfiles demand: in every namespace stage by stage, each
proven before the next, with what allows before what denies. What somebody changes
of it is mended; what is not palisade's is never touched. How every namespace stands
is in its NamespacePosture. It runs until it is told to end.`,
		Example: `  palisade controller
  palisade controller --kubeconfig ~/.kube/config --mesh istio --leader-elect=false`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := in.check(); err != nil {
				return err
			}
			if o.WebhookPort < 0 || o.WebhookPort > 65535 {
				return fmt.Errorf("--webhook-port %d is no port: 0 to 65535", o.WebhookPort)
			}
			if every := o.Verification.Every; every != 0 && (every < time.Minute || every > 45*time.Minute) {
				return fmt.Errorf("--verify-every %s: 1m to 45m, or 0: what is older than an hour counts for nothing", every)
			}
			log, err := newLog(s, format, level)
			if err != nil {
				return err
			}
			config, err := in.config()
			if err != nil {
				return fmt.Errorf("no cluster to govern: %w", err)
			}
			o.Given, o.Log = in.given, log
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return controller.Run(ctx, config, o)
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	in.connecting.register(flags)
	in.registerGiven(flags)
	flags.VarP(checked(&o.Namespace, cmp.Or(os.Getenv("POD_NAMESPACE"), defaultHome), name), "namespace", "n", "namespace that palisade runs in, where its Lease is")
	flags.BoolVar(&o.LeaderElection, "leader-elect", true, "let several replicas run, of which one writes")
	flags.StringVar(&o.MetricsAddress, "metrics-bind-address", ":8080", `where to serve Prometheus metrics; "0" does not`)
	flags.StringVar(&o.HealthAddress, "health-probe-bind-address", ":8081", `where to serve /healthz and /readyz; "0" does not`)
	flags.IntVar(&o.WebhookPort, "webhook-port", 9443, "where to serve admission of palisade's own kinds; 0 does not")
	flags.DurationVar(&o.Verification.Every, "verify-every", 0, "how often to verify on the wire what is in force, and how long a namespace waits at most to be verified again; 0 does not verify")
	flags.StringVar(&o.Verification.Prober, "prober", "", "service account that probes play, NAMESPACE/NAME, by tokens of it: no rule should let it in")
	flags.StringVar(&o.Verification.CA, "ca", "", "host:port of the mesh's CA, where its pods cannot be reached by their addresses")
	flags.StringVar(&o.RuntimeEvents.Address, "falco-bind-address", "0", `where to take in Falco's events, such as :9444; "0" does not`)
	flags.StringVar(&o.RuntimeEvents.Folder, "falco-folder", "/etc/palisade/falco", "folder with tls.crt and tls.key to serve by, and what senders prove who they are by: token, or ca.crt")
	flags.StringArrayVar(&o.RuntimeEvents.Clients, "falco-client", nil, "DNS name or URI in the certificate of a sender of Falco's events; repeatable")
	flags.StringVar(&o.ProfileAddress, "pprof-bind-address", "0", `where to serve profiles of the process, such as 127.0.0.1:6060; "0" does not`)
	flags.Var(oneOf(&format, "json", "json", "text"), "log-format", "form of the log on standard error: json or text")
	flags.Var(oneOf(&level, "info", "debug", "info", "warn", "error"), "log-level", "least grave lines that are logged: debug, info, warn or error")
	return c
}

// newLog makes a log on standard error.
func newLog(s streams, format, level string) (logr.Logger, error) {
	var least slog.Level
	if err := least.UnmarshalText([]byte(strings.ToUpper(level))); err != nil {
		return logr.Logger{}, err
	}
	o := &slog.HandlerOptions{Level: least}
	if format == "text" {
		return logr.FromSlogHandler(slog.NewTextHandler(s.err, o)), nil
	}
	return logr.FromSlogHandler(slog.NewJSONHandler(s.err, o)), nil
}
