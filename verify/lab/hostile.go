package lab

import (
	"crypto/tls"
	"io"
	"net"
	"time"

	"golang.org/x/net/http2"

	"floe.dev/palisade/verify"
)

// misbehave plays a fault that takes over a connection; false where the fault is none of these.
func (s *standin) misbehave(conn net.Conn, tunnelled bool) bool {
	if s.Way == verify.HBONE && !tunnelled && s.Fault != Hanging && s.Fault != Resetting && s.Fault != Flood {
		return false // what comes in by the tunnel is hostile, and the port as it should be
	}
	switch s.Fault {
	case Hanging:
		drain(conn)
	case Resetting:
		reset(conn)
	case SlowLoris:
		dribble(conn)
	case HugeRecord:
		hugeRecord(conn)
	case Garbage:
		garbage(conn)
	case Flood:
		flood(conn)
	case EndlessChain:
		s.endlessChain(conn)
	case FrameFlood:
		s.frameFlood(conn)
	default:
		return false
	}
	return true
}

// reset reads something, then ends the connection by RST.
func reset(conn net.Conn) {
	_, _ = conn.Read(make([]byte, 1))
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
}

// dribble sends the header of a handshake record and then its body, a byte at a time.
func dribble(conn net.Conn) {
	if _, err := conn.Write([]byte{22, 3, 3, 0x3f, 0xff}); err != nil {
		return
	}
	for {
		time.Sleep(50 * time.Millisecond)
		if _, err := conn.Write([]byte{0}); err != nil {
			return
		}
	}
}

// hugeRecord announces a record of 65,535 bytes and sends 16 MiB.
func hugeRecord(conn net.Conn) {
	if _, err := conn.Write([]byte{22, 3, 3, 0xff, 0xff}); err != nil {
		return
	}
	chunk := make([]byte, 64<<10)
	for range 256 {
		if _, err := conn.Write(chunk); err != nil {
			return
		}
	}
}

// garbage answers the first bytes with noise that is the same every time.
func garbage(conn net.Conn) {
	_, _ = conn.Read(make([]byte, 1024))
	noise := make([]byte, 512)
	for i := range noise {
		noise[i] = byte(i*i*31 + 7*i + 0x9b)
	}
	_, _ = conn.Write(noise)
	drain(conn)
}

// flood sends an HTTP answer that does not end.
func flood(conn net.Conn) {
	text := "HTTP/1.1 200 OK\r\nX-Flood: "
	for {
		if _, err := io.WriteString(conn, text); err != nil {
			return
		}
		text = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	}
}

// endlessChain shows its certificate and a thousand copies of its issuer.
func (s *standin) endlessChain(conn net.Conn) {
	shown := *s.leaf()
	for range 1000 {
		shown.Certificate = append(shown.Certificate[:len(shown.Certificate):len(shown.Certificate)], shown.Certificate[1])
	}
	server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{shown}, MinVersion: tls.VersionTLS12, NextProtos: s.protocols()})
	if server.Handshake() == nil {
		drain(server)
	}
}

// frameFlood ends TLS, takes everybody, and sends settings for ever.
func (s *standin) frameFlood(conn net.Conn) {
	server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*s.leaf()}, MinVersion: tls.VersionTLS12, NextProtos: s.protocols()})
	if server.Handshake() != nil {
		return
	}
	go drain(server)
	framer := http2.NewFramer(server, server)
	for framer.WriteSettings() == nil {
	}
}

// protocols are what probes offer, so that they go on.
func (s *standin) protocols() []string {
	return []string{"istio-peer-exchange", "h2", transportProtocol}
}
