package networkintl_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
)

// printedRequest and printedReply are the samples of the partner's page, letter by letter. The request is no JSON: where
// the page leaves a value open it has none, or two in brackets.
const (
	printedRequest = `{
  "NISrvRequest": {
    "request_card_pin_change": {
      "header": {
        "msg_id": "12345",
        "msg_type": "TRANSACTION",
        "msg_function": "REQ_CARD_PIN_CHANGE",
        "src_application": "IVR",
        "target_application": "PCMS",
        "timestamp": "2020-05-21T15:13:18.853+04:00",
        "tracking_id": "12345df",
        "bank_id": "bankID",
        "instance_id": null
      },
      "body": {
        "card_number":"479746XXXXXX6373",
        "card_sequence_number":"01",
        "card_expiry_date":"2310",
        "encrypted_old_pin": "9C74D3321D4A5E36",
        "encrypted_new_pin": "7B47D3321D4A5F63",
        "encryption_method": (ASYNC_ENC, SYMMETRIC_ENC),
        "encryption_key_id":, 
        "encryption_key_type":, 
      }
    }
  }
}`

	printedReply = `{
   "NISrvResponse":{
      "response_card_pin_change":{
         "header":{
            "msg_id":"123ab45",
            "msg_type":"TRANSACTION",
            "msg_function":"REP_CARD_PIN_CHANGE",
            "src_application":"IVR",
            "target_application":"PCMS",
            "timestamp":"2020-05-21T15:13:18.853+04:00",
            "tracking_id":"uriyr3487243",
            "bank_id":"bankID",
            "instance_id":null
         },
         "exception_details":{
            "application_name":"NITIBCO",
            "date_time":"2020-05-21T15:13:18.853+04:00",
            "status":"S",
            "error_code":"000",
            "error_description":"Success",
            "transaction_ref_id":null
         }
      }
   }
}`
)

// blanks are what serialisers make of a value that is not there.
var blanks = map[string]string{"empty": `""`, "null": `null`}

// asJSON is the printed request with what the page leaves open filled in: one of the methods, and a blank for the key.
func asJSON(t *testing.T, method, blank string) string {
	t.Helper()
	open := strings.NewReplacer(`(ASYNC_ENC, SYMMETRIC_ENC)`, `"`+method+`"`, `"encryption_key_id":, `, `"encryption_key_id":`+blank+`,`,
		"\"encryption_key_type\":, \n", `"encryption_key_type":`+blank+"\n")
	text := open.Replace(printedRequest)
	require.True(t, json.Valid([]byte(text)), text)
	return text
}

func TestThePartnersPrintedRequest(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, "")
	send := func(text string) *contracttest.Reply {
		n.Reset(t)
		return n.Client.For(t).Do(http.MethodPost, changeV1, n.bearer, contracttest.Raw("application/json", text))
	}
	pan := n.fixtures.Text("/cards/normal/pan")
	filled := func(text, old, chosen string) string {
		return strings.NewReplacer("bankID", "NIC", "479746XXXXXX6373", pan, "2310", "3112", "9C74D3321D4A5E36", old, "7B47D3321D4A5F63", chosen).Replace(text)
	}
	blocks := map[string][2]string{"SYMMETRIC_ENC": {n.block(t, "zpk", "7010", pan), n.block(t, "zpk", "4826", pan)}}
	old, chosen := documented(t, "changed-rsa", "encrypted_old_pin"), documented(t, "changed-rsa", "encrypted_new_pin")
	blocks["ASYNC_ENC"] = [2]string{old, chosen}
	for method, pair := range blocks {
		for name, blank := range blanks {
			t.Run(method+", what is open being "+name, func(t *testing.T) {
				reply := send(filled(asJSON(t, method, blank), pair[0], pair[1]))
				require.Equal(t, saysSuccess, says(reply), "%s", reply.Body)
				require.Equal(t, "4826", n.pin(t, "normal"))
				require.Equal(t, members(t, printedReply), members(t, string(reply.Body)), "the printed reply's members, in its order")
				require.Equal(t, "12345df", reply.Text(details+"transaction_ref_id"), "the tracking_id, as the page's table says; its sample has null")
			})
		}
		t.Run(method+", what is open being left out", func(t *testing.T) {
			text := strings.NewReplacer(`"encryption_key_id":"",`, "", `"encryption_key_type":""`, "", `"`+method+`",`, `"`+method+`"`).Replace(asJSON(t, method, `""`))
			require.Equal(t, saysSuccess, says(send(filled(text, pair[0], pair[1]))))
		})
		t.Run(method+", a card without a sequence number", func(t *testing.T) {
			n.Reset(t)
			issuer := contracttest.Bearer(n.Mint(t, "issuer-sandbox", time.Hour))
			n.Client.For(t).Do(http.MethodPatch, "/issuer/v1/cards/"+n.fixtures.Text("/cards/normal/cardId"), issuer, contracttest.JSON(map[string]any{"sequence": ""})).ExpectStatus(http.StatusOK)
			reply := n.Client.For(t).Do(http.MethodPost, changeV1, n.bearer, contracttest.Raw("application/json", filled(asJSON(t, method, `""`), pair[0], pair[1])))
			require.Equal(t, saysSuccess, says(reply), `the sample's "01" is for C+ only`)
		})
	}
	t.Run("as printed", func(t *testing.T) {
		require.Equal(t, "400 F 103 Invalid field format: body", says(send(printedRequest)), "which is no JSON")
	})
	t.Run("as printed, its values too", func(t *testing.T) {
		text := asJSON(t, "SYMMETRIC_ENC", `""`)
		require.Equal(t, "400 F 102 Invalid field length: bank_id", says(send(text)), "the table's four characters hold, not the sample's six")
		require.Equal(t, "400 F 103 Invalid field format: card_number", says(send(strings.Replace(text, "bankID", "NIC", 1))), "the masked digits are redaction")
	})
	t.Run("a timestamp of the table's form", func(t *testing.T) {
		text := filled(asJSON(t, "SYMMETRIC_ENC", `""`), blocks["SYMMETRIC_ENC"][0], blocks["SYMMETRIC_ENC"][1])
		require.Equal(t, saysSuccess, says(send(strings.Replace(text, "2020-05-21T15:13:18.853+04:00", "21/05/2020 15:13:18", 1))))
	})
}

// documented is a field of the body in an example of the document.
func documented(t *testing.T, example, field string) string {
	t.Helper()
	media := apptest.Documents(t)["networkintl"].Paths.Value(changeV1).Post.RequestBody.Value.Content["application/json"]
	text, err := json.Marshal(media.Examples[example].Value.Value)
	require.NoError(t, err)
	var m struct {
		NISrvRequest struct {
			Change struct {
				Body map[string]any `json:"body"`
			} `json:"request_card_pin_change"`
		}
	}
	require.NoError(t, json.Unmarshal(text, &m))
	return fmt.Sprint(m.NISrvRequest.Change.Body[field])
}

// members are the names of a JSON text's members, in their order.
func members(t *testing.T, text string) []string {
	t.Helper()
	var names []string
	decoder := json.NewDecoder(strings.NewReader(text))
	var walk func()
	walk = func() {
		token, err := decoder.Token()
		require.NoError(t, err)
		if token != json.Delim('{') {
			return
		}
		for decoder.More() {
			name, err := decoder.Token()
			require.NoError(t, err)
			names = append(names, fmt.Sprint(name))
			walk()
		}
		_, err = decoder.Token()
		require.NoError(t, err)
	}
	walk()
	require.True(t, slices.Contains(names, "exception_details"))
	return names
}
