package probe

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"floe.dev/palisade/verify"
)

// connect asks ztunnel for the port by a CONNECT (HBONE), and gives the stream up as soon as there is an answer.
func (h *handshake) connect() verify.Observation { return readConnect(h.conn, h.tls, h.e) }

// readConnect speaks HTTP/2 over a stream, and reads until there is an answer.
func readConnect(conn *wire, over io.ReadWriter, e *verify.Expectation) verify.Observation {
	var out bytes.Buffer
	out.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&out, over)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	framer.MaxHeaderListSize = maxHeader
	framer.SetMaxReadFrameSize(maxHeader)
	if err := errors.Join(framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0}), framer.WriteHeaders(connectHeaders(e))); err != nil {
		return conn.failed(err)
	}
	_, _ = over.Write(out.Bytes()) // what hinders it shows when it is read why
	for range maxFrames {
		frame, err := framer.ReadFrame()
		if err != nil {
			return conn.framed(err)
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			status, err := strconv.Atoi(f.PseudoValue("status"))
			if err != nil || f.StreamID != 1 || status < 100 || status > 599 {
				return verify.Observation{Outcome: verify.NotTLS, Detail: "an answer without a status"}
			}
			return verify.Observation{Outcome: verify.Answered, Status: status}
		case *http2.GoAwayFrame:
			return verify.Observation{Outcome: verify.Closed, Detail: "it went away: " + f.ErrCode.String()}
		case *http2.RSTStreamFrame:
			return verify.Observation{Outcome: verify.Closed, Detail: "it reset the stream: " + f.ErrCode.String()}
		}
	}
	return verify.Observation{Outcome: verify.Excessive, Detail: fmt.Sprintf("%d frames without an answer", maxFrames)}
}

// framed tells what an error of reading frames means: of the connection, or of what was on it.
func (w *wire) framed(err error) verify.Observation {
	var connection http2.ConnectionError
	var stream http2.StreamError
	if errors.Is(err, http2.ErrFrameTooLarge) || errors.As(err, &connection) || errors.As(err, &stream) {
		return verify.Observation{Outcome: verify.NotTLS, Detail: "it speaks no HTTP/2: " + shown(err.Error())}
	}
	return w.failed(err)
}

// connectHeaders are those of a CONNECT for the port of the pod.
func connectHeaders(e *verify.Expectation) http2.HeadersFrameParam {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range []hpack.HeaderField{
		{Name: ":method", Value: "CONNECT"},
		{Name: ":authority", Value: net.JoinHostPort(e.Address.String(), strconv.Itoa(int(e.Port)))},
	} {
		_ = encoder.WriteField(field) // a Buffer takes everything
	}
	return http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true}
}
