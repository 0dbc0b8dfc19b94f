package jose_test

import (
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/jose"
)

func TestAHeaderIsReadInOneWayByEverybody(t *testing.T) {
	for name, test := range map[string]struct {
		header string
		plain  bool
	}{
		"what is sent":                          {`{"alg":"dir","enc":"A256GCM","kid":"mine"}`, true},
		"a parameter that nobody knows":         {`{"alg":"dir","enc":"A256GCM","kid":"mine","typ":"JOSE"}`, true},
		"capitals in values":                    {`{"alg":"ECDH-ES","epk":{"kty":"EC","crv":"P-256"}}`, true},
		"a name in several objects":             {`{"x":"a","epk":{"x":"b"}}`, true},
		"a parameter twice":                     {`{"alg":"dir","alg":"dir"}`, false},
		"a parameter twice, escaped":            {`{"alg":"dir","\u0061lg":"none"}`, false},
		"a parameter twice within":              {`{"epk":{"x":"a","x":"b"}}`, false},
		"a parameter in capitals":               {`{"ALG":"dir"}`, false},
		"a parameter in capitals, and in small": {`{"enc":"A256GCM","Enc":"A128GCM"}`, false},
		"capitals within":                       {`{"epk":{"X":"a"}}`, false},
		"no JSON":                               {`{"alg"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.plain, jose.PlainHeader([]byte(base64.RawURLEncoding.EncodeToString([]byte(test.header))+"..A.A.A")))
		})
	}
	require.False(t, jose.PlainHeader([]byte("{}..A.A.A")), "a header that is not in base64url")
}
