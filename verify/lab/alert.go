package lab

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"net"
)

// alertConn lets a server choose its alert. crypto/tls has one for all that a
// callback finds wrong (42 bad_certificate), where proxies have others; so the
// record in which that one is about to go out is put in place by one of our own.
// The server has sent nothing under its application key at that moment, so that ours is
// the first record under it (RFC 8446, sections 5.2 and 7.3).
type alertConn struct {
	net.Conn
	// secret is the server's application traffic secret, once it is known.
	secret []byte
	// instead is the record to send in place of the next.
	instead []byte
}

// Write sends, or what is to go out instead.
func (c *alertConn) Write(p []byte) (int, error) {
	if c.instead == nil {
		return c.Conn.Write(p)
	}
	record := c.instead
	c.instead = nil
	if _, err := c.Conn.Write(record); err != nil {
		return 0, err
	}
	return len(p), nil
}

// keyLog is the io.Writer to which crypto/tls tells its secrets.
type keyLog struct{ to *alertConn }

// Write keeps the secret of the server's application records.
func (k keyLog) Write(line []byte) (int, error) {
	fields := bytes.Fields(line)
	if len(fields) == 3 && string(fields[0]) == "SERVER_TRAFFIC_SECRET_0" {
		k.to.secret, _ = hex.DecodeString(string(fields[2])) // crypto/tls writes hexadecimal
	}
	return len(line), nil
}

// send arranges for an alert in place of the one that comes next.
func (c *alertConn) send(state *tls.ConnectionState, alert uint8) {
	const fatal, alertRecord = 2, 21
	if state.Version != tls.VersionTLS13 { // the client's certificate comes before anything is encrypted
		c.instead = []byte{alertRecord, 3, 3, 0, 2, fatal, alert}
		return
	}
	c.instead = seal(c.secret, state.CipherSuite, []byte{fatal, alert, alertRecord})
}

// seal is one TLS 1.3 record, the first under a secret; nil for suites that it does not know.
func seal(secret []byte, suite uint16, inner []byte) []byte {
	newHash, keyLength := func() hash.Hash { return sha256.New() }, 16
	switch suite {
	case tls.TLS_AES_128_GCM_SHA256:
	case tls.TLS_AES_256_GCM_SHA384:
		newHash, keyLength = func() hash.Hash { return sha512.New384() }, 32
	default:
		return nil
	}
	block, err := aes.NewCipher(expand(newHash, secret, "key", keyLength))
	if err != nil {
		return nil
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil
	}
	nonce := expand(newHash, secret, "iv", aead.NonceSize()) // of record 0
	header := []byte{23, 3, 3}
	header = binary.BigEndian.AppendUint16(header, uint16(len(inner)+aead.Overhead()))
	return aead.Seal(header, nonce, inner, header)
}

// expand is HKDF-Expand-Label of RFC 8446, section 7.1, without a context.
func expand(newHash func() hash.Hash, secret []byte, label string, length int) []byte {
	full := "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(length))
	info = append(info, byte(len(full)))
	info = append(info, full...)
	info = append(info, 0)
	key, err := hkdf.Expand(newHash, secret, string(info), length)
	if err != nil { // lengths are those of the suites
		panic(err)
	}
	return key
}
