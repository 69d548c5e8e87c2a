package main

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOnlyAnAnswerMakesAFlowOpen(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes the connection, nobody answers
	require.NoError(t, err)
	defer func() { _ = silent.Close() }()
	mute, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = mute.Close() }()
	answering, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = answering.Close() }()
	go func() {
		if c, err := answering.Accept(); err == nil {
			_, _ = c.Write([]byte("peer"))
			_ = c.Close()
		}
	}()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, gone.Close())

	for _, c := range []struct{ network, address, seen string }{
		{"tcp", answering.Addr().String(), "open"},
		{"tcp", silent.Addr().String(), "no answer"},
		{"udp", mute.LocalAddr().String(), "no answer"},
		{"tcp", gone.Addr().String(), "refused"},
	} {
		seen, err := attempt(c.network, c.address, 200*time.Millisecond)
		require.NoError(t, err)
		assert.Equal(t, c.seen, seen, c.network+" "+c.address)
	}
	_, err = attempt("carrier-pigeon", "127.0.0.1:1", time.Millisecond)
	assert.Error(t, err, "what cannot be tried is not closed")
}
