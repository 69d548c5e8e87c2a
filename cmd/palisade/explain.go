package main

import (
	"context"

	"github.com/spf13/cobra"

	"floe.dev/palisade/engine"
	"floe.dev/palisade/report"
	"floe.dev/palisade/verdict"
)

// explainOptions are the flags of palisade explain.
type explainOptions struct {
	viewing
	output string
	exit   bool
}

func newExplain(s streams) *cobra.Command {
	o := &explainOptions{}
	c := &cobra.Command{
		Use:   "explain FROM TO[:PORT] -f PATH",
		Short: "Tell whether one peer reaches another, and which rule decides in every layer",
		Long: `explain walks one connection through all layers, in the order in which it meets
them: how the client's side sends it, the client's NetworkPolicies, the server's, the
mTLS mode of the server's proxy, and its authorization. It names the object and the
rule that decide in each.

FROM and TO are a workload, a pod or a Service, [namespace/][kind/]name, or an
address. The port is a number or a name, with its protocol where that is not TCP
(53/udp): of the Service where TO is one, otherwise of the pods. Without a port, every
port is told that the server is known to listen on.

Exit codes: 0 answered; 1 something of it is denied or allowed in part only, with
--exit-code; 2 wrong usage or input that could not be read; 3 something that decides is
not known.`,
		Example: `  palisade explain shop/web shop/cart:7070 -f manifests/
  palisade explain 203.0.113.7 shop/svc/web:443 -f manifests/ -o json`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), s, args[0], args[1]) },
	}
	o.register(c.Flags())
	o.registerLevel(c.Flags())
	c.Flags().BoolVar(&o.exit, "exit-code", false, "exit with 1 where something is denied, or allowed in part only")
	c.Flags().VarP(oneOf(&o.output, "text", "text", "json"), "output", "o", "form of the output: text or json")
	return c
}

func (o *explainOptions) run(ctx context.Context, s streams, client, server string) error {
	from, err := engine.ParseName(client, o.namespace)
	if err != nil {
		return err
	}
	to, port, err := engine.ParseTarget(server, o.namespace)
	if err != nil {
		return err
	}
	v, err := o.look(ctx, s)
	if err != nil {
		return err
	}
	answers, err := v.Ask(from, to, port)
	if err != nil {
		return err
	}
	asked := make([]report.Asked, len(answers))
	for i, a := range answers {
		asked[i] = report.Asked{Explanation: a.Explanation}
		if a.Service != nil {
			asked[i].Service = a.Service.Namespace + "/" + a.Service.Name
		}
	}
	text := report.ExplanationText(asked, palette(o.color, s.out))
	if o.output == "json" {
		if text, err = report.JSON(report.Explanations(asked, v.Problems)); err != nil {
			return err
		}
	}
	if err := o.tell(s, &v, "the answer is"); err != nil {
		return err
	}
	if _, err := s.out.Write(text); err != nil {
		return err
	}
	return o.verdict(asked)
}

// verdict is nil, or the exit code that the answers deserve.
func (o *explainOptions) verdict(asked []report.Asked) error {
	least := verdict.Open
	for i := range asked {
		if asked[i].Decision == verdict.Unclear {
			return outcome(exitIncomplete)
		}
		least = min(least, asked[i].Decision)
	}
	if o.exit && least != verdict.Open {
		return outcome(exitFindings)
	}
	return nil
}
