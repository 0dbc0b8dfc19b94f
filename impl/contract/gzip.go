package contract

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// TakesGzip tells whether a caller takes gzip (RFC 9110, 12.5.3).
func TakesGzip(h http.Header) bool { return takes(h["Accept-Encoding"], "gzip") }

// TakesPages tells whether a caller names HTML among what it takes (RFC 9110, 12.5.1). Browsers do; programs take anything.
func TakesPages(h http.Header) bool { return takes(h["Accept"], "text/html") }

// takes tells whether a header's lists have something, and not with a weight of nothing.
func takes(lists []string, wanted string) bool {
	return slices.ContainsFunc(strings.Split(strings.Join(lists, ","), ","), func(one string) bool {
		given, weight, _ := strings.Cut(one, ";")
		name, value, _ := strings.Cut(strings.TrimSpace(weight), "=")
		q, err := strconv.ParseFloat(value, 64)
		return strings.EqualFold(strings.TrimSpace(given), wanted) && !(strings.EqualFold(name, "q") && err == nil && q == 0)
	})
}

// uncoded is the body of a reply without its Content-Encoding, and whether it can be read.
func uncoded(r Reply) ([]byte, bool) {
	if r.Header.Get("Content-Encoding") != "gzip" {
		return r.Body, true
	}
	z, err := gzip.NewReader(bytes.NewReader(r.Body))
	if err != nil {
		return nil, false
	}
	body, err := io.ReadAll(z)
	return body, err == nil
}
