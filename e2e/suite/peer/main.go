// Command peer is what runs in the pods of the end-to-end tests: it serves, and it
// dials, with real packets.
//
//	peer serve tcp:8080 udp:8081     answers each with its host name
//	peer dial tcp 10.244.0.7:8080    prints "open", "refused" or "no answer"
//
// Dialling exits with 0 whatever came of it; 2 means that it could not be tried.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

func main() {
	err := errors.New("usage: peer serve NETWORK:PORT... | dial [--timeout 2s] NETWORK ADDRESS")
	switch {
	case len(os.Args) > 2 && os.Args[1] == "serve":
		err = serve(os.Args[2:])
	case len(os.Args) > 3 && os.Args[1] == "dial":
		err = dial(os.Args[2:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(2)
	}
}

// serve listens on each NETWORK:PORT, and returns only if that fails.
func serve(listeners []string) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	failed := make(chan error)
	for _, l := range listeners {
		network, port, ok := strings.Cut(l, ":")
		if !ok {
			return fmt.Errorf("%q is not NETWORK:PORT", l)
		}
		go func() {
			if network == "udp" {
				failed <- serveUDP(port, host)
				return
			}
			failed <- serveTCP(port, host)
		}()
	}
	return <-failed
}

func serveTCP(port, host string) error {
	l, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			_, _ = c.Write([]byte(host)) // a client that is gone needs no answer
			_ = c.Close()
		}()
	}
}

func serveUDP(port, host string) error {
	c, err := net.ListenPacket("udp", ":"+port)
	if err != nil {
		return err
	}
	buffer := make([]byte, 512)
	for {
		_, from, err := c.ReadFrom(buffer)
		if err != nil {
			return err
		}
		if _, err := c.WriteTo([]byte(host), from); err != nil && !errors.Is(err, syscall.EPERM) {
			return err
		}
	}
}

func dial(args []string) error {
	flags := flag.NewFlagSet("dial", flag.ContinueOnError)
	timeout := flags.Duration("timeout", 2*time.Second, "how long to wait for an answer")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 2 {
		return errors.New("dial takes NETWORK and ADDRESS")
	}
	seen, err := attempt(flags.Arg(0), flags.Arg(1), *timeout)
	if err != nil {
		return err
	}
	fmt.Println(seen)
	return nil
}

// attempt tells what came of a flow: only an answer of the server's makes it open.
func attempt(network, address string, timeout time.Duration) (string, error) {
	deadline := time.Now().Add(timeout)
	c, err := net.DialTimeout(network, address, timeout)
	if err == nil {
		defer func() { _ = c.Close() }()
		err = errors.Join(c.SetDeadline(deadline), ask(c, network))
	}
	var timedOut net.Error
	switch {
	case err == nil:
		return "open", nil
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return "refused", nil
	case errors.As(err, &timedOut) && timedOut.Timeout():
		return "no answer", nil
	}
	return "", err
}

func ask(c net.Conn, network string) error {
	if network == "udp" {
		if _, err := c.Write([]byte("?")); err != nil {
			return err
		}
	}
	_, err := c.Read(make([]byte, 512))
	return err
}
