package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/aymanbagabas/go-udiff"
	"github.com/spf13/cobra"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
)

// hardenOptions are the flags of palisade harden.
type hardenOptions struct {
	reading
	write, exit bool
	defaults    bool
	output      string
}

func newHarden(s streams) *cobra.Command {
	o := &hardenOptions{}
	c := &cobra.Command{
		Use:   "harden -f PATH",
		Short: "Write the defaults of the profile into the manifests of pods",
		Long: `harden gives the pods and templates of manifests what palisade's webhook gives to pods as they
are admitted: the security contexts of the profile, a read-only root file system with writable
paths, no token, modes of Secret volumes, resources, pull policies, spread. What a manifest says
itself is never changed; where that is weak, it is told, with what to do. Every other character
of the files stays as it is.

Profiles are read with the manifests. Where none is read, or with --defaults, the defaults of an
empty one are given. It shows a diff; --write changes the files.

Exit codes: 0 clean; 1 something is to be given, or is weaker than the level restricted takes,
with --exit-code; 2 wrong usage or input that could not be read; 3 manifests that could not be
changed, since they say by YAML anchors what was to be changed.`,
		Example: `  palisade harden -f manifests/ -f intent.yaml
  palisade harden -f manifests/ -f intent.yaml --write
  kustomize build . | palisade harden -f - -o yaml`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), s) },
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringArrayVarP(&o.files, "filename", "f", nil, "file or folder with manifests and intent, or - for standard input; repeatable")
	flags.VarP(checked(&o.namespace, "default", name), "namespace", "n", "namespace of objects that name none")
	o.registerGiven(flags)
	flags.Var(checked(&o.at, "", instant), "at", "time at which exemptions are judged, such as 2026-11-23T12:00:00Z (default now)")
	flags.BoolVar(&o.defaults, "defaults", false, "give the defaults of an empty securityContext and workload where profiles give none")
	flags.BoolVar(&o.write, "write", false, "change the files")
	flags.BoolVar(&o.exit, "exit-code", false, "exit with 1 where something is to be given, or stays weak")
	flags.VarP(oneOf(&o.output, "diff", "diff", "yaml"), "output", "o", "form of the output: diff, or yaml (all that was read, as it is to be)")
	return c
}

func (o *hardenOptions) run(_ context.Context, s streams) error {
	if err := o.check(); err != nil {
		return err
	}
	switch {
	case len(o.files) == 0 || slices.Contains(o.files, ""):
		return errors.New("nothing to read: give a file or folder with -f, or - for standard input")
	case o.write && slices.Contains(o.files, "-"):
		return errors.New("--write does not go with standard input; -o yaml prints what it would be")
	}
	var stdin []byte
	if slices.Contains(o.files, "-") {
		var err error
		if stdin, err = io.ReadAll(s.in); err != nil {
			return fmt.Errorf("reading standard input: %w", err)
		}
	}
	snapshot, err := cluster.Read(o.files, bytes.NewReader(stdin), cluster.Options{DefaultNamespace: o.namespace})
	if err != nil {
		return err
	}
	texts, err := cluster.Texts(o.files, bytes.NewReader(stdin))
	if err != nil {
		return err
	}
	h := engine.NewHardener(snapshot, o.options())
	if o.defaults {
		h.GiveAll()
	}
	var report hardening
	for i := range texts {
		if err := report.text(h, &texts[i], o.namespace); err != nil {
			return err
		}
	}
	return o.tell(s, h, &report)
}

// tell writes the files or what they are to be, and what is to be said.
func (o *hardenOptions) tell(s streams, h *engine.Hardener, r *hardening) error {
	var out bytes.Buffer
	for i := range r.files {
		f := &r.files[i]
		switch {
		case o.output == "yaml":
			out.Write(separated(out.Len() > 0, f.after))
		case !bytes.Equal(f.before, f.after):
			out.WriteString(udiff.Unified(f.path, f.path, string(f.before), string(f.after)))
		}
		if o.write && !bytes.Equal(f.before, f.after) {
			if err := rewrite(f.path, f.after); err != nil {
				return err
			}
		}
	}
	if _, err := io.WriteString(s.err, r.notes(h.Builtin(), o.write)); err != nil {
		return err
	}
	if _, err := s.out.Write(out.Bytes()); err != nil {
		return err
	}
	switch {
	case r.failed > 0:
		return outcome(exitIncomplete)
	case o.exit && r.changed+r.weak > 0:
		return outcome(exitFindings)
	}
	return nil
}

// separated puts a marker before a file that has none, where another comes before it.
func separated(more bool, data []byte) []byte {
	if more && !bytes.HasPrefix(data, []byte("---")) {
		return append([]byte("---\n"), data...)
	}
	return data
}

// rewrite changes the content of a file, and leaves its mode as it is.
func rewrite(path string, data []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("writing what was hardened: %w", err)
	}
	if err := os.WriteFile(path, data, info.Mode().Perm()); err != nil {
		return fmt.Errorf("writing what was hardened: %w", err)
	}
	return nil
}

// hardening gathers what became of the files.
type hardening struct {
	files []hardenedFile
	lines []string
	// changed, same, ungoverned, failed and weak count templates.
	changed, same, ungoverned, failed, weak int
}

type hardenedFile struct {
	path          string
	before, after []byte
}

// text hardens one file.
func (r *hardening) text(h *engine.Hardener, t *cluster.Text, namespace string) error {
	var after []byte
	end := 0
	for _, d := range t.Documents {
		changed, err := h.Document(t.Data[d.Begin:d.End], namespace)
		if err != nil {
			return fmt.Errorf("%s:%d: %w", t.Path, d.Line, err)
		}
		after = append(append(after, t.Data[end:d.Begin]...), changed.Text...)
		end = d.End
		for i := range changed.Templates {
			r.template(&changed.Templates[i], fmt.Sprintf("%s:%d", t.Path, d.Line))
		}
	}
	r.files = append(r.files, hardenedFile{path: t.Path, before: t.Data, after: append(after, t.Data[end:]...)})
	return nil
}

func (r *hardening) template(t *engine.Hardened, at string) {
	if len(t.Below) > 0 {
		r.weak++
	}
	say := func(format string, args ...any) {
		r.lines = append(r.lines, fmt.Sprintf("palisade: %s: %s: ", at, t.ID)+fmt.Sprintf(format, args...))
	}
	switch {
	case t.Failed != nil:
		r.failed++
		say("left as it is: %v", t.Failed)
	case t.Profile == "":
		r.ungoverned++
		say("left as it is: %s", t.Why)
		return
	case len(t.Changes) > 0:
		r.changed++
	default:
		r.same++
	}
	if t.Exempt != "" {
		say("its security contexts are left as they are by %s", t.Exempt)
	}
	for i := range t.Kept {
		say("%s", t.Kept[i])
	}
	for i := range t.Below {
		v := &t.Below[i]
		fields := strings.Join(v.Fields, ", ")
		if len(v.Fields) == 0 {
			fields = "none of its own; it comes from what the mesh injects: " + strings.Join(v.Injected, ", ")
		}
		say("restricted would refuse its pods: %s; its owner must change: %s", v, fields)
	}
}

func (r *hardening) notes(builtin, written bool) string {
	var b strings.Builder
	if builtin {
		b.WriteString("palisade: note: where no SecurityProfile gives defaults, those of an empty securityContext and workload are given\n")
	}
	for _, line := range r.lines {
		b.WriteString(line + "\n")
	}
	verb := "to change"
	if written {
		verb = "changed"
	}
	fmt.Fprintf(&b, "palisade: templates and pods: %d %s, %d as they are to be, %d that no profile gives defaults", r.changed, verb, r.same, r.ungoverned)
	if r.failed > 0 {
		fmt.Fprintf(&b, ", %d that could not be changed", r.failed)
	}
	fmt.Fprintf(&b, "; %d would not be admitted at the level restricted\n", r.weak)
	return b.String()
}
