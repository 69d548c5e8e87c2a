package audit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// scrapeRefused is a port that a workload announces for scraping and at which the
// mesh refuses the Prometheus that was read (istio#38720, istio#27328). A sidecar that
// serves the application's metrics with its own has nothing to refuse.
func scrapeRefused() Kind {
	return Kind{
		Code: "ScrapeRefused", Severities: []model.Severity{model.Warning},
		Says: "the mesh refuses Prometheus at a port that is announced for scraping",
		Why:  "A Prometheus outside the mesh brings no identity, so strict mTLS and authorization turn it away: the metrics are missing, and with them the alerts that live by them.",
		Fix:  "have the proxy serve the application's metrics, enrol Prometheus, or let the port take plaintext and limit who comes there by a NetworkPolicy",
		Find: findScrapeRefused,
	}
}

func findScrapeRefused(e *Evidence) []model.Finding {
	var scrapers []*model.Workload
	e.eachWorkload(func(w *model.Workload) {
		if isPrometheus(w) {
			scrapers = append(scrapers, w)
		}
	})
	if e.State.Mesh == nil || len(scrapers) == 0 {
		return nil
	}
	var found []model.Finding
	e.eachWorkload(func(w *model.Workload) {
		number, err := strconv.ParseInt(strings.TrimSpace(w.Annotations["prometheus.io/port"]), 10, 32)
		if w.Annotations["prometheus.io/scrape"] != "true" || err != nil || number < 1 || number > 65535 || !w.Facts.Meshed() || w.Facts.MergesMetrics {
			return
		}
		port := model.TCP(int32(number))
		var why string
		var refused []*model.Workload
		for _, scraper := range scrapers {
			told := judged(e.State.Mesh.Filters(w), scraper, w, port)
			if told.Decision != verdict.Refused {
				return // one of them gets through
			}
			refused, why = append(refused, scraper), refusal(&told)
		}
		found = append(found, scrapeRefused().At(model.Warning, w.Ref(), w.TemplatePath()+"metadata.annotations[prometheus.io/port]",
			fmt.Sprintf("port %d is announced for scraping, and the mesh refuses %s there: %s", number, named(refused), why), ""))
	})
	return found
}

// isPrometheus finds Prometheus by its well-known labels, or by its image.
func isPrometheus(w *model.Workload) bool {
	return w.Labels["app.kubernetes.io/name"] == "prometheus" || w.Labels["app"] == "prometheus" ||
		slices.ContainsFunc(w.Spec.Containers, func(c corev1.Container) bool {
			return strings.Contains(c.Image, "prometheus/prometheus:") || strings.Contains(c.Image, "prom/prometheus:")
		})
}
