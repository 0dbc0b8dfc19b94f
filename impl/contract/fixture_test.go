package contract_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
)

// load loads testdata/cards.yaml, the document that all checks run against.
func load(t testing.TB, options ...contract.Option) *contract.Document {
	t.Helper()
	d, err := contract.Load(os.DirFS("testdata"), "cards", options...)
	require.NoError(t, err)
	return d
}

// operation finds one by its operationId.
func operation(t testing.TB, d *contract.Document, id string) *contract.Operation {
	t.Helper()
	for _, op := range d.Operations() {
		if op.ID == id {
			return op
		}
	}
	t.Fatalf("no operation %s", id)
	return nil
}

// post is a request with a body and a Content-Type, none when it is "".
func post(contentType, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

// lines prints violations as they print themselves.
func lines(violations []contract.Violation) []string {
	texts := []string{}
	for _, v := range violations {
		texts = append(texts, v.String())
	}
	return texts
}
