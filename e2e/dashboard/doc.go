// Package dashboard holds palisade's dashboard to Grafana's own types.
package dashboard
