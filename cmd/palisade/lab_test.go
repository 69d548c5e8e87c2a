package main

import (
	"context"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify/lab"
)

// labs are the labs of scripts, by their folders.
type labs struct {
	mu      sync.Mutex
	running map[string]*lab.Lab
}

// start starts the demo and writes its files: lab FOLDER. It ends with the script.
func (l *labs) start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: lab folder")
	}
	started, err := lab.Start(model.MeshIstio, lab.Demo())
	ts.Check(err)
	ts.Defer(func() { l.end(ts, args[0]) })
	ts.Check(started.Write(context.Background(), ts.MkAbs(args[0])))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running[ts.MkAbs(args[0])] = started
}

// rotate renews the certificates of a lab: rotate FOLDER.
func (l *labs) rotate(ts *testscript.TestScript, _ bool, args []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ts.Check(l.running[ts.MkAbs(args[0])].Rotate())
}

// stop ends a lab: stop FOLDER.
func (l *labs) stop(ts *testscript.TestScript, _ bool, args []string) { l.end(ts, args[0]) }

func (l *labs) end(ts *testscript.TestScript, folder string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if started := l.running[ts.MkAbs(folder)]; started != nil {
		ts.Check(started.Close())
		delete(l.running, ts.MkAbs(folder))
	}
}
