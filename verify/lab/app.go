package lab

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
)

// serve plays an application on a connection until it ends.
func (a App) serve(conn net.Conn, own *tls.Certificate) {
	switch a {
	case HTTP:
		serveHTTP(conn)
	case Banner:
		if _, err := io.WriteString(conn, "220 lab ESMTP\r\n"); err == nil {
			drain(conn)
		}
	case HangsUp:
		_, _ = conn.Read(make([]byte, 1)) // and hangs up, whatever came
	case OwnTLS:
		server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*own}, MinVersion: tls.VersionTLS12})
		if server.Handshake() == nil {
			drain(server)
		}
	case Absent:
	default:
		drain(conn)
	}
}

// drain reads until the connection ends.
func drain(conn io.Reader) { _, _ = io.Copy(io.Discard, conn) }

// serveHTTP answers requests, and whatever else with 400.
func serveHTTP(conn net.Conn) {
	reader := bufio.NewReader(conn)
	for {
		r, err := http.ReadRequest(reader)
		switch {
		case err == nil:
			_, err = io.Copy(io.Discard, r.Body)
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isNet(err):
			return
		default:
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			return
		}
		if err != nil {
			return
		}
		if _, err := io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n"); err != nil {
			return
		}
	}
}

func isNet(err error) bool {
	var op *net.OpError
	return errors.As(err, &op)
}

// isHTTP tells whether a first line begins a request, as proxies judge that detect protocols.
func isHTTP(line string) bool {
	method, rest, ok := strings.Cut(line, " ")
	return ok && method != "" && strings.ToUpper(method) == method && strings.Contains(rest, " HTTP/1.")
}
