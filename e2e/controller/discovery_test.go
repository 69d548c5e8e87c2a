package controller

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// starting has the proxy answer as a server that has just begun: it serves no custom resources yet.
func (s *spoiler) starting(r *http.Request, answer *http.Response) {
	if !s.begins.Load() || r.URL.Path != "/apis" {
		return
	}
	body := io.Reader(answer.Body)
	if answer.Header.Get("Content-Encoding") == "gzip" {
		body, _ = gzip.NewReader(body)
	}
	var list map[string]any
	if json.NewDecoder(body).Decode(&list) != nil {
		return
	}
	kept := []any{}
	items, _ := list["items"].([]any)
	for _, i := range items {
		metadata, _ := i.(map[string]any)["metadata"].(map[string]any)
		if name, _ := metadata["name"].(string); !strings.Contains(name, ".") || name == "apiextensions.k8s.io" || name == "networking.k8s.io" {
			kept = append(kept, i)
		}
	}
	list["items"] = kept
	text, _ := json.Marshal(list)
	s.count("kinds hidden")
	answer.Body = io.NopCloser(bytes.NewReader(text))
	answer.Header.Del("Content-Encoding")
	answer.Header.Del("Etag")
	answer.Header.Set("Content-Length", strconv.Itoa(len(text)))
}

func TestAServerThatStartsAndListsNoCustomResourcesYetOpensNothing(t *testing.T) {
	l := newLab(t)
	home := l.shop()
	l.apply(plain)
	s, kubeconfig := newSpoiler(t, 1)
	c := l.controllerAt(kubeconfig)
	l.eventually(30*time.Second, l.governed(home))
	before := l.names(networkPolicies, home)
	w := l.watch(networkPolicies)

	s.begins.Store(true)
	l.patch(definitionKind, "", "sidecars.networking.istio.io", `{"metadata": {"annotations": {"lab": "`+l.name+`"}}}`) // has the kinds asked for again
	l.eventually(20*time.Second, func() string {
		if !strings.Contains(c.log.String(), "nothing is written, and all stays as it is") {
			return "the log does not say that nothing is written"
		}
		return ""
	})
	time.Sleep(3 * time.Second)
	s.late.Store(true) // rules are read only long after profiles
	s.begins.Store(false)
	l.eventually(30*time.Second, l.governed(l.namespace("more")))
	time.Sleep(2 * time.Second)
	for _, e := range w.all() {
		assert.Equal(t, l.name+"-more", e.object.GetNamespace(), "%s", e)
	}
	assert.Equal(t, before, l.names(networkPolicies, home))
}
