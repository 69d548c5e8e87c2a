package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// tableForm asks the API server for the columns that kubectl get shows.
const tableForm = "application/json;as=Table;v=v1;g=meta.k8s.io"

// table is what kubectl get -A would print of a kind, by the API server's own columns.
func table(ctx context.Context, c *kubernetes.Clientset, path string) (string, error) {
	var t metav1.Table
	data, err := c.Discovery().RESTClient().Get().AbsPath(path).SetHeader("Accept", tableForm).Do(ctx).Raw()
	if err != nil {
		return "", fmt.Errorf("reading %s as a table: %w", path, err)
	}
	if err := jsonInto(data, &t); err != nil {
		return "", fmt.Errorf("reading %s as a table: %w", path, err)
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	row := []string{"NAMESPACE"}
	for _, c := range t.ColumnDefinitions {
		if c.Priority == 0 {
			row = append(row, strings.ToUpper(c.Name))
		}
	}
	_, _ = fmt.Fprintln(w, strings.Join(row, "\t"))
	for i := range t.Rows {
		var o metav1.PartialObjectMetadata
		if err := jsonInto(t.Rows[i].Object.Raw, &o); err != nil {
			return "", fmt.Errorf("reading a row of %s: %w", path, err)
		}
		row = []string{o.Namespace}
		for j, c := range t.ColumnDefinitions {
			if c.Priority == 0 {
				row = append(row, fmt.Sprint(t.Rows[i].Cells[j]))
			}
		}
		_, _ = fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // into memory
	return b.String(), nil
}
