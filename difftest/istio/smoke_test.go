package istio_test

import (
	"testing"

	"istio.io/istio/pilot/test/xds"
	"floe.dev/palisade/mesh/istio"
	"floe.dev/palisade/verdict"
	"floe.dev/palisade/model"
)

func TestSmoke(t *testing.T) {
	s := xds.NewFakeDiscoveryServer(t, xds.FakeOptions{})
	_ = s
	_ = istio.NewReader(&model.Model{}, nil)
	_ = verdict.Open
}
