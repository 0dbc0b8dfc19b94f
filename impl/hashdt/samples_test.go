package hashdt_test

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
)

// samples are what the partner's document prints for each of its three operations: which card they are tried with,
// and what comes back.
var samples = []struct{ operation, number, message string }{
	{"setpin", "00000004", "Set PIN URL fetched successfully."},
	{"resetpin", "00000001", "Reset PIN URL fetched successfully."},
	{"changepin", "00000001", "Change PIN URL fetched successfully."},
}

// filled are the values for the samples' headers.
func filled(t *testing.T, h *apptest.Server, number string) map[string]string {
	t.Helper()
	return map[string]string{
		"x-api-key": "hashdt-sandbox.hashdt-sandbox-secret", "x-product-id": "00000000-0000-7000-8000-00000000a001", "x-cardholder-id": "CH" + number,
		"x-wallet-id": "WL" + number, "x-card-id": "CD" + number, "x-client-id": "hashdt-sandbox", "x-request-id": "order-1",
		"Content-Type": "application/json", "Authorization": "Bearer " + h.Mint(t, "hashdt-sandbox", time.Hour),
	}
}

// Each printed sample as it arrives: all its headers, and what its language's library makes of a body on a GET.
func TestThePartnersSamples(t *testing.T) {
	t.Parallel()
	for _, s := range samples {
		for library, send := range map[string][]contracttest.Option{
			"cURL": nil,
			// requests sends data={} as no body.
			"Python": {contracttest.Header("Accept-Encoding", "gzip, deflate"), contracttest.Header("Accept", "*/*")},
			// OkHttp refuses a body on a GET; others that are given RequestBody.create(mediaType, "") say its length.
			"Java":                           {contracttest.Raw("application/json", ""), contracttest.Header("Content-Length", "0")},
			"Java, with the body of a POST":  {contracttest.Raw("application/json; charset=utf-8", "{}")},
			"NodeJs":                         {contracttest.Header("Accept", "application/json, text/plain, */*")},
			"NodeJs, without a Content-Type": {contracttest.Header("Content-Type", "")}, // axios drops it where there is no data
		} {
			t.Run(s.operation+" "+library, func(t *testing.T) {
				t.Parallel()
				h := apptest.Start(t, "")
				var options []contracttest.Option
				for name, value := range filled(t, h, s.number) {
					options = append(options, contracttest.Header(name, value))
				}
				reply := h.Client.For(t).Do(http.MethodGet, "/issuing/api/v1/card/"+s.operation, append(options, send...)...).ExpectStatus(http.StatusOK)
				require.Equal(t, "Success", reply.Text("/status"))
				require.Equal(t, s.message, reply.Text("/message"))
				require.InDelta(t, 200, reply.JSON("/code"), 0)
				require.Regexp(t, "^http://sandbox/hosted/pin/", reply.Text("/data/0/set_pin_url"))
			})
		}
	}
}

// The sample for a shell, run as it is printed, its placeholders filled in.
func TestThePartnersSampleForCURLRuns(t *testing.T) {
	t.Parallel()
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("there is no curl")
	}
	const printed = `curl --location --request GET \
--url '{{baseUrl}}/issuing/api/:version/card/OPERATION' \
--header 'x-api-key: {{Shared X-API key}}' \
--header 'x-product-id: {{Shared ProductID}}' \
--header 'x-cardholder-id: {{CardholderID}}' \
--header 'x-wallet-id: {{WalletID}}' \
--header 'x-card-id: {{CardID}}' \
--header 'x-client-id: {{ClientID}}' \
--header 'x-request-id: {{IdempotencyKey}}' \
--header 'Content-Type: application/json' \
--header 'Authorization: Bearer {{AccessToken}}' \
`
	for _, s := range samples {
		h := apptest.Start(t, "")
		of := filled(t, h, s.number)
		command := strings.NewReplacer("curl", curl+" --silent --noproxy '*'", "{{baseUrl}}", h.URL, ":version", "v1", "OPERATION", s.operation,
			"{{Shared X-API key}}", of["x-api-key"], "{{Shared ProductID}}", of["x-product-id"], "{{CardholderID}}", of["x-cardholder-id"],
			"{{WalletID}}", of["x-wallet-id"], "{{CardID}}", of["x-card-id"], "{{ClientID}}", of["x-client-id"], "{{IdempotencyKey}}", of["x-request-id"],
			"Bearer {{AccessToken}}", of["Authorization"]).Replace(printed)
		out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), `"message":"`+s.message+`"`)
	}
}
