package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

func TestPortRangesAreReadOrRefused(t *testing.T) {
	for text, want := range map[string]model.Port{
		"8080":    {Protocol: corev1.ProtocolTCP, Number: 8080, End: 8080},
		"1-65535": {Protocol: corev1.ProtocolTCP, Number: 1, End: 65535},
		"7-7":     {Protocol: corev1.ProtocolTCP, Number: 7, End: 7},
	} {
		assert.NoError(t, portRange(text), text)
		assert.Equal(t, []model.Port{want}, portRanges([]string{text}), text)
	}
	for _, text := range []string{"", "0", "65536", "2-1", "1-", "-1", "a", "1-2-3", "1,2", " 1"} {
		assert.Error(t, portRange(text), text)
	}
}
