package probe

import (
	"encoding/binary"
)

// transportPrefix begins a connection to Linkerd's direct port (linkerd2-proxy linkerd/transport-header).
const transportPrefix = "transport.l5d.io/v1\r\n\r\n"

// transportHeader names the port that is meant: the prefix, the length of a
// message in four bytes, and the message transport.l5d.io.Header with port as field 1.
// Without a session protocol the stream is bare TCP, and refused or not as such.
func transportHeader(port int32) []byte {
	const portField = 1 << 3 // a varint
	message := binary.AppendUvarint([]byte{portField}, uint64(port))
	header := binary.BigEndian.AppendUint32([]byte(transportPrefix), uint32(len(message)))
	return append(header, message...)
}
