package creditplus_test

import (
	"net/http"
	"testing"

	"pinvault/impl/app/apptest"
)

// Reset PIN Retry Counter, its JWE opened (dir, A256GCM), beside Thredd's PIN set.
func BenchmarkWrites(b *testing.B) {
	d := newHelpdesk(b, apptest.Start(b, apptest.Database(b)))
	d.Writes(b, func(int) *http.Request {
		sealed := d.sealed(b, "creditplus", "key", d.text(b, d.base))
		return apptest.Request(b, pathV2, jose, sealed, map[string]string{"Authorization": "Bearer " + d.tokens["creditplus"]})
	})
}
