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
func TakesGzip(h http.Header) bool {
	return slices.ContainsFunc(strings.Split(strings.Join(h["Accept-Encoding"], ","), ","), func(one string) bool {
		coding, weight, _ := strings.Cut(one, ";")
		name, value, _ := strings.Cut(strings.TrimSpace(weight), "=")
		q, err := strconv.ParseFloat(value, 64)
		return strings.EqualFold(strings.TrimSpace(coding), "gzip") && !(strings.EqualFold(name, "q") && err == nil && q == 0)
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
