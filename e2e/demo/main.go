// Command demo shows palisade at work, from outside and as a user would use it: on a
// Kubernetes control plane of its own (etcd and kube-apiserver on loopback addresses, no
// kubelet), with the built binary and the platform of examples/floe. It ends with exit code 0
// only if all that it tells was seen to happen, and leaves nothing behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"floe.dev/palisade/e2e/embedded"
)

func main() {
	root := flag.String("root", ".", "the clone; bin/palisade and bin/lab must be built")
	keep := flag.Bool("keep", false, "at the end, keep all running until Ctrl-C, to look around")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, *root, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		if ctx.Err() != nil {
			os.Exit(130)
		}
		os.Exit(1)
	}
}

var errInterrupted = errors.New("interrupted; everything is stopped and removed")

// demo is what the steps share.
type demo struct {
	*screen
	root, folder string
	// binary is palisade, lab the stand-ins of a mesh's proxies.
	binary, lab string
	kubeconfig  string
	cluster     *cluster
	controller  *controller
	keep        bool
	// governed are the namespaces of the platform that a profile selects.
	governed []string
	narrator *narrator
}

// run tells the whole story, and takes everything away however it ends.
func run(ctx context.Context, root string, keep bool) (err error) {
	root, err = filepath.Abs(root)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "palisade-demo-")
	if err != nil {
		return err
	}
	d := &demo{screen: newScreen(os.Stdout), root: root, folder: folder, keep: keep,
		binary: filepath.Join(root, "bin/palisade"), lab: filepath.Join(root, "bin/lab"), kubeconfig: filepath.Join(folder, "kubeconfig")}
	d.narrator = &narrator{screen: d.screen, stages: map[string]map[string]string{}, held: map[string]bool{}}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }() // where the end was not reached
	plane, err := d.start()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.end(ctx, plane, err)) }()
	if d.cluster, err = connect(plane.Config); err != nil {
		return err
	}
	if err := writeKubeconfig(plane.Config, d.kubeconfig, "demo"); err != nil {
		return err
	}
	for _, tell := range []func(context.Context) error{d.platform, d.plan, d.govern, d.newcomer, d.drift, d.stepBack, d.postures, d.wire} {
		if err := tell(ctx); err != nil {
			if ctx.Err() != nil {
				return errInterrupted
			}
			return fmt.Errorf("step %d, %s: %w", len(d.steps)+1, d.what, err)
		}
	}
	return nil
}

// start starts the control plane.
func (d *demo) start() (*embedded.ControlPlane, error) {
	d.step("A Kubernetes control plane starts", `
		etcd and kube-apiserver, on loopback addresses only. No kubelet, no scheduler and no controllers: nothing
		runs in this cluster, and a stand-in in this demo does the little of theirs that is needed.`)
	plane, err := embedded.Start(embedded.Options{Root: d.root, Linkerdless: true, Flags: map[string]string{
		"service-cluster-ip-range":  "10.96.0.0/16",
		"disable-admission-plugins": "ServiceAccount", // nobody makes the default accounts
	}})
	if err != nil {
		return nil, err
	}
	d.seen("kube-apiserver answers on %s", plane.Config.Host)
	return plane, nil
}

// end stops and removes everything.
func (d *demo) end(ctx context.Context, plane *embedded.ControlPlane, failed error) error {
	if failed == nil && d.keep {
		d.done()
		d.say("\nAll keeps running until Ctrl-C. In another terminal:")
		d.typed("export KUBECONFIG=" + d.kubeconfig)
		d.typed("bin/palisade audit --context demo")
		<-ctx.Done()
	}
	if failed == nil {
		d.step("Everything is stopped and removed", "")
	}
	err := errors.Join(d.controller.stop(), plane.Stop(), os.RemoveAll(d.folder))
	if failed != nil || err != nil {
		if log := d.controller.log(); log != "" && !errors.Is(failed, errInterrupted) {
			fmt.Fprintf(os.Stderr, "\nThe last that the controller said:\n%s", log)
		}
		return err
	}
	d.seen("the controller and the control plane have ended, %s is removed", d.folder)
	d.times()
	return nil
}

// soak is how long each stage stands in the demo; in a cluster that people work in, the default is ten minutes.
const soak = 2 * time.Second
