// Command lab stands in for the proxies of a mesh on loopback addresses, so that
// palisade verify can be tried without a cluster. It is for tests and for make demo, and is
// no part of what is shipped.
//
// It writes into the folder that it is given what palisade verify --direct --targets
// FOLDER/targets.yaml needs, prints that path, and goes on until it is interrupted.
// With -commands it does what lines of standard input say: "relax NAMESPACE/NAME" makes the
// stand-ins of a workload permissive. It answers each with a line.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify/lab"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(2)
	}
}

func run(ctx context.Context) error {
	rotate := flag.Duration("rotate", 0, "renew the certificates of the stand-ins this often, such as 30s")
	sound := flag.Bool("sound", false, "let all stand-ins be as they should be")
	commands := flag.Bool("commands", false, "do what lines of standard input say")
	flag.Usage = func() {
		_, _ = fmt.Fprintln(flag.CommandLine.Output(), "usage: lab [-rotate DURATION] [-sound] [-commands] FOLDER")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		return fmt.Errorf("%d arguments were given, and one folder is wanted", flag.NArg())
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	specs := lab.Demo()
	if *sound {
		specs = lab.Sound()
	}
	l, err := lab.Start(model.MeshIstio, specs)
	if err != nil {
		return err
	}
	err = lab.Serve(ctx, l, flag.Arg(0), *rotate, func(targets string) {
		fmt.Println(targets)
		if *commands {
			go obey(l, os.Stdin, os.Stdout)
		}
	})
	if closed := l.Close(); err == nil {
		err = closed
	}
	return err
}

// obey does what lines say, and answers each with one.
func obey(l *lab.Lab, lines io.Reader, answers io.Writer) {
	in := bufio.NewScanner(lines)
	for in.Scan() {
		answer := fmt.Sprintf("%q is no command", in.Text())
		if verb, workload, _ := strings.Cut(in.Text(), " "); verb == "relax" {
			namespace, name, _ := strings.Cut(workload, "/")
			answer = fmt.Sprintf("%d stand-ins of %s are permissive", l.Relax(namespace, name), workload)
		}
		_, _ = fmt.Fprintln(answers, answer) // whoever asked may have gone
	}
}
