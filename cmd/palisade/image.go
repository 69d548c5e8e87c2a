package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"floe.dev/palisade/image"
	"floe.dev/palisade/image/source"
	"floe.dev/palisade/model"
	"floe.dev/palisade/report"
)

// imageOptions are the flags of palisade image.
type imageOptions struct {
	source.Options
	policy  image.Policy
	timeout time.Duration
	failOn  string
	output  string
	color   string
}

func newImage(s streams) *cobra.Command {
	o := &imageOptions{}
	c := &cobra.Command{
		Use:   "image NAME...",
		Short: "Look whether images will run in hardened pods",
		Long: `image reads the configuration of images, not their layers, and tells whether they run
as root, where they write, whether their tag may move, and whether their registry is
allowed. A name is an archive (docker save, or an OCI layout in a tar file), a folder with
an OCI layout, or the name of an image in a registry; archive:, oci: and registry: before
it say which. Registries are asked with the credentials of docker login.

Exit codes: 0 clean; 1 faults at or above --fail-on; 2 wrong usage, or an image that could
not be read; 3 something could not be judged, which wins over 1.`,
		Example: `  palisade image registry.example.com/shop/web:1.4
  docker save shop/web:1.4 | gzip > web.tgz && palisade image web.tgz
  palisade image oci:build/ --name registry.example.com/shop/web:1.4 --allow-registry registry.example.com`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("nothing to look at: give an archive, a folder or the name of an image")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), s, args) },
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.Var(each(&o.policy.Allowed, registry), "allow-registry", "registry, or a path in one, in which images may be, such as registry.example.com or ghcr.io/example; repeatable (default any)")
	flags.Var(checked(&o.Reference, "", reference), "name", "name under which nodes will pull what an archive or a folder holds, where it does not tell")
	flags.Var(checked(&o.Platform, "", platform), "platform", "one platform, such as linux/arm64 (default all that there are)")
	flags.BoolVar(&o.Insecure, "insecure", false, "ask registries without TLS")
	flags.DurationVar(&o.timeout, "timeout", time.Minute, "how long to wait for registries in all")
	flags.Var(oneOf(&o.failOn, "error", "error", "warning", "info", "never"), "fail-on", "exit with 1 where a fault is at least this grave: error, warning, info or never")
	flags.Var(oneOf(&o.color, "auto", "auto", "always", "never"), "color", "colour the text: auto (on a terminal, unless NO_COLOR is set), always or never")
	flags.VarP(oneOf(&o.output, "text", "text", "json"), "output", "o", "form of the output: text or json")
	return c
}

// registry takes a host, with or without a path.
func registry(text string) error {
	host, _, _ := strings.Cut(text, "/")
	if !strings.ContainsAny(host, ".:") && host != "localhost" {
		return errors.New("must begin with the host of a registry, such as registry.example.com; Docker Hub is docker.io")
	}
	if _, err := image.ParseReference(strings.TrimSuffix(text, "/") + "/image"); err != nil {
		return err
	}
	return nil
}

func reference(text string) error {
	if _, err := image.ParseReference(text); err != nil {
		return fmt.Errorf("must be the name of an image: %w", err)
	}
	return nil
}

func platform(text string) error {
	if parts := strings.Split(text, "/"); len(parts) < 2 || len(parts) > 3 {
		return errors.New("must be os/architecture, such as linux/amd64, with a variant where there is one")
	}
	return nil
}

func (o *imageOptions) run(ctx context.Context, s streams, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	var results report.Images
	var faults faultsOfFiles
	for _, name := range names {
		facts, err := source.Read(ctx, name, o.Options)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		for _, f := range facts {
			results = append(results, image.Judge(f, o.policy))
		}
	}
	if len(faults) > 0 {
		return faults
	}
	data := results.Text(palette(o.color, s.out))
	if o.output == "json" {
		var err error
		if data, err = report.JSON(results.Document()); err != nil {
			return err
		}
	}
	if _, err := s.out.Write(data); err != nil {
		return err
	}
	switch {
	case results.Summary().Incomplete:
		return outcome(exitIncomplete)
	case o.failOn != "never" && results.Reaches(model.Severity(o.failOn)):
		return outcome(exitFindings)
	default:
		return nil
	}
}
