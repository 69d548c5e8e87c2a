package verify

import (
	"slices"
	"strconv"
)

// alertNames are the TLS alerts (RFC 8446, section 6).
var alertNames = map[uint8]string{
	0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow", 40: "handshake_failure",
	42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired",
	46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error",
	51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error", 86: "inappropriate_fallback",
	90: "user_canceled", 109: "missing_extension", 110: "unsupported_extension", 112: "unrecognized_name",
	113: "bad_certificate_status_response", 115: "unknown_psk_identity", 116: "certificate_required", 120: "no_application_protocol",
}

// AlertName is "alert 116 certificate_required".
func AlertName(alert uint8) string {
	text := "alert " + strconv.Itoa(int(alert))
	if name := alertNames[alert]; name != "" {
		text += " " + name
	}
	return text
}

// refusals are the alerts by which servers refuse a client for its certificate,
// or for want of one. Which of them comes differs between TLS stacks and
// versions: BoringSSL and Go send 40 in TLS 1.2 where 1.3 has 116, Envoy 46 where
// Go has 42 and rustls 49.
var refusals = []uint8{40, 42, 43, 44, 45, 46, 48, 49, 116}

// refuses tells whether an alert refuses the client for its certificate. Others,
// such as protocol_version or internal_error, say nothing about who may come in.
func refuses(alert uint8) bool { return slices.Contains(refusals, alert) }
