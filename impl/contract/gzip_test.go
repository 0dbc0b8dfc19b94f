package contract_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
)

func TestGzipIsForWhoeverTakesIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		sent []string
		want bool
	}{
		{"nothing said", nil, false},
		{"empty", []string{""}, false},
		{"gzip", []string{"gzip"}, true},
		{"in capitals", []string{"GZIP"}, true},
		{"among others", []string{"br;q=1.0, gzip;q=0.8, *;q=0.1"}, true},
		{"in a second header", []string{"br", " gzip ; q=0.001"}, true},
		{"others", []string{"br, deflate, identity;q=0.5"}, false},
		{"one that begins alike", []string{"gzipped"}, false},
		{"refused", []string{"gzip;q=0"}, false},
		{"refused, with all decimals", []string{"br, gzip; Q=0.000"}, false},
		{"another refused", []string{"br;q=0, gzip"}, true},
		{"with a weight that is no number", []string{"gzip;q=little"}, true},
		{"with another parameter", []string{"gzip;level=0"}, true},
	} {
		require.Equal(t, c.want, contract.TakesGzip(http.Header{"Accept-Encoding": c.sent}), c.name)
	}
}

func TestPagesAreForWhoeverNamesThem(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "application/json, text/plain, */*": false, "text/html;q=0, */*": false,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": true,
	} {
		require.Equal(t, want, contract.TakesPages(http.Header{"Accept": {accept}}), accept)
	}
}
