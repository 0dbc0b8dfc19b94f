package accosa_test

import (
	"fmt"
	"net/http"
	"testing"

	"pinvault/impl/app/apptest"
)

// Reset PIN, its token opened and its reply sealed (AES-192-CBC), beside Thredd's PIN set.
func BenchmarkWrites(b *testing.B) {
	c := named(b, "accosa")
	headers := map[string]string{"x-api-key": c.apiKey, "clientId": "2000", "bankId": "7000", "entityId": "100", "secureCode": "accosa-sandbox-code"}
	apptest.Start(b, apptest.Database(b)).Writes(b, func(i int) *http.Request {
		text := message(b, map[string]any{"clientTxnId": fmt.Sprint("BENCH", i)})
		return apptest.Request(b, path, "application/json", c.seal(b, text), headers)
	})
}
