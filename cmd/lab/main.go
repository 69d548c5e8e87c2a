// Command lab stands in for the proxies of a mesh on loopback addresses, so that
// palisade verify can be tried without a cluster. It is for tests and for make demo, and is
// no part of what is shipped.
//
// It writes into the folder that it is given what palisade verify --direct --targets
// FOLDER/targets.yaml needs, prints that path, and goes on until it is interrupted.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
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
	flag.Usage = func() {
		_, _ = fmt.Fprintln(flag.CommandLine.Output(), "usage: lab [-rotate DURATION] FOLDER")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		return fmt.Errorf("%d arguments were given, and one folder is wanted", flag.NArg())
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	l, err := lab.Start(model.MeshIstio, lab.Demo())
	if err != nil {
		return err
	}
	err = lab.Serve(ctx, l, flag.Arg(0), *rotate, func(targets string) { fmt.Println(targets) })
	if closed := l.Close(); err == nil {
		err = closed
	}
	return err
}
