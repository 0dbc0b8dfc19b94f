package networkintl_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/networkintl"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
	"pinvault/impl/store/storetest"
)

const (
	changeV1    = "/CardServices/Transaction/V1/CardPinChange"
	changeV2    = "/CardServices/Transaction/V2/CardPinChange"
	certificate = "/CardServices/Security/V1/PinCertificate"
)

// network is a partner of Network International's contract: the sandbox's client.
type network struct {
	*apptest.Server
	fixtures *contracttest.Reply
	bearer   contracttest.Option
	thredd   contracttest.Option // looks at PINs and try counters from another contract
}

func newNetwork(t testing.TB, url string) *network {
	t.Helper()
	h := apptest.Start(t, url)
	return &network{Server: h, fixtures: h.Client.For(t).Do(http.MethodGet, "/sandbox/fixtures").ExpectStatus(http.StatusOK),
		bearer: contracttest.Bearer(h.Mint(t, "networkintl-sandbox", 30*24*time.Hour)),
		thredd: contracttest.Bearer(h.Mint(t, "thredd-sandbox", 30*24*time.Hour))}
}

// message is a request as JSON has it.
type message struct {
	Header map[string]any `json:"header"`
	Body   map[string]any `json:"body"`
}

func (m message) MarshalJSON() ([]byte, error) {
	type plain message
	return json.Marshal(map[string]any{"NISrvRequest": map[string]any{"request_card_pin_change": plain(m)}})
}

// with sets fields of header or body; removed takes one out.
func (m message) with(fields map[string]any) message {
	for name, value := range fields {
		part := m.Body
		if _, ok := headerFields[name]; ok {
			part = m.Header
		}
		part[name] = value
		if value == removed {
			delete(part, name)
		}
	}
	return m
}

var removed = new(struct{})

var headerFields = map[string]bool{"msg_id": true, "msg_type": true, "msg_function": true, "src_application": true,
	"target_application": true, "timestamp": true, "tracking_id": true, "bank_id": true, "instance_id": true}

// change is a request to change the card's PIN under the client's TDES key.
func (n *network) change(t testing.TB, card, old, chosen string) message {
	t.Helper()
	pan := n.fixtures.Text("/cards/" + card + "/pan")
	return message{
		Header: map[string]any{"msg_id": "12345", "msg_type": "TRANSACTION", "msg_function": "REQ_CARD_PIN_CHANGE", "src_application": "IVR",
			"target_application": "PCMS", "timestamp": "2020-05-21T15:13:18.853+04:00", "tracking_id": "12345df", "bank_id": "NIC", "instance_id": nil},
		Body: map[string]any{"card_number": pan, "card_sequence_number": "01", "card_expiry_date": "3112",
			"encrypted_old_pin": n.block(t, "zpk", old, pan), "encrypted_new_pin": n.block(t, "zpk", chosen, pan), "encryption_method": "SYMMETRIC_ENC"},
	}
}

// byReference turns a request into one of version 2.
func (m message) byReference(kind string, id any) message {
	return m.with(map[string]any{"card_number": removed, "card_identifier_type": kind, "card_identifier_id": id})
}

// block is a PIN block under a key of the client.
func (n *network) block(t testing.TB, key, digits, pan string) string {
	t.Helper()
	of, format := pinblock.NewTDES, pinblock.ISO0
	if key == "zpk_aes" {
		of, format = pinblock.NewAES, pinblock.ISO4
	}
	return apptest.PINBlock(t, of, n.fixtures.Text("/clients/networkintl/"+key+"_hex"), format, digits, pan)
}

func (n *network) send(t testing.TB, path string, m message) *contracttest.Reply {
	t.Helper()
	return n.Client.For(t).Do(http.MethodPost, path, n.bearer, contracttest.JSON(m))
}

const details = "/NISrvResponse/response_card_pin_change/exception_details/"

// says is how a reply names its outcome.
func says(r *contracttest.Reply) string {
	return fmt.Sprintf("%d %s %s %s", r.Status, r.Text(details+"status"), r.Text(details+"error_code"), r.Text(details+"error_description"))
}

const (
	saysSuccess   = "200 S 000 Success"
	saysCardIssue = "200 F 889 Card/PIN Issue"
	saysRejected  = "200 F 105 New PIN rejected by policy"
	saysDuplicate = "409 F 106 Duplicate msg_id"
)

// tries and pin are those of a card, as Thredd's contract shows them.
func (n *network) tries(t testing.TB, card string) string {
	t.Helper()
	return n.Client.For(t).Do(http.MethodGet, "/api/v1/cards/"+n.fixtures.Text("/cards/"+card+"/publicToken")+"/pin/status", n.thredd).
		ExpectStatus(http.StatusOK).Text("/remainingTries")
}

func (n *network) pin(t testing.TB, card string) string {
	t.Helper()
	return n.Client.For(t).Do(http.MethodGet, "/api/v1/cards/"+n.fixtures.Text("/cards/"+card+"/publicToken")+"/pin", n.thredd).
		ExpectStatus(http.StatusOK).Text("/pin")
}

// settings changes some of the client's settings, and program the sandbox's main program.
func (n *network) settings(t testing.TB, named string) {
	t.Helper()
	require.NoError(t, n.Vault.UpdateClient(apptest.Operating(t), "networkintl-sandbox", func(c *pin.Client) (err error) {
		c.Settings, _, err = networkintl.Settings().Client.Set(c.Settings, json.RawMessage(named))
		return err
	}, pin.Memo{}))
}

func (n *network) program(t testing.TB, change func(*pin.Program)) {
	t.Helper()
	_, err := n.Vault.UpdateProgram(apptest.Operating(t), n.fixtures.Text("/cards/normal/programId"), func(p *pin.Program) error {
		change(p)
		return nil
	}, pin.Memo{})
	require.NoError(t, err)
}

// Every named example of the document comes out of a running server as it is written down.
func TestEveryDocumentedExampleComesOut(t *testing.T) {
	t.Parallel()
	apptest.Examples(t, "networkintl", apptest.Start(t, "").Env("networkintl"), nil)
}

func TestFailuresOfCardAndPINAreOneReply(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, "")
	nobody := "9999990000000188"
	garbage := strings.Repeat("0", 16)
	rsaGarbage := strings.Repeat("0", 510) + "02"
	replies := map[string]*contracttest.Reply{}
	for _, test := range []struct {
		name  string
		tries string // of the card afterwards
		card  string
		path  string
		send  message
	}{
		{"unknown card", "3", "normal", changeV1, n.change(t, "normal", "7010", "4826").with(map[string]any{"card_number": nobody})},
		{"wrong expiry", "3", "normal", changeV1, n.change(t, "normal", "7010", "4826").with(map[string]any{"card_expiry_date": "3111"})},
		{"wrong expiry and wrong old PIN", "3", "normal", changeV1, n.change(t, "normal", "9182", "4826").with(map[string]any{"card_expiry_date": "3111"})},
		{"wrong old PIN", "2", "normal", changeV1, n.change(t, "normal", "9182", "4826")},
		{"wrong old PIN and a new one of eight digits", "2", "normal", changeV1, n.change(t, "normal", "9182", "48261735")},
		{"old block that does not open", "2", "normal", changeV1, n.change(t, "normal", "7010", "4826").with(map[string]any{"encrypted_old_pin": garbage})},
		{"new block that does not open", "3", "normal", changeV1, n.change(t, "normal", "7010", "4826").with(map[string]any{"encrypted_new_pin": garbage})},
		{"RSA block that is not padded", "2", "normal", changeV1, n.change(t, "normal", "7010", "4826").with(map[string]any{
			"encryption_method": "ASYNC_ENC", "encrypted_old_pin": rsaGarbage, "encrypted_new_pin": rsaGarbage})},
		{"blocks of another card", "2", "second", changeV1, n.change(t, "normal", "7010", "4826").with(map[string]any{"card_number": n.fixtures.Text("/cards/second/pan")})},
		{"blocked PIN", "0", "blocked", changeV1, n.change(t, "blocked", "2904", "4826")},
		{"lost card", "", "lost", changeV1, n.change(t, "lost", "4719", "4826")},
		{"stolen card", "", "stolen", changeV1, n.change(t, "stolen", "8260", "4826")},
		{"closed card", "", "closed", changeV1, n.change(t, "closed", "8305", "4826")},
		{"card of another program", "", "alias_disabled", changeV1, n.change(t, "alias_disabled", "7435", "4826")},
		{"version 2: unknown contract number", "3", "normal", changeV2, n.change(t, "normal", "7010", "4826").byReference("CONTRACT_NUMBER", "CN99999999")},
		{"version 2: unknown external id", "3", "normal", changeV2, n.change(t, "normal", "7010", "4826").byReference("EXID", "EX99999999")},
		{"version 2: contract number as external id", "3", "normal", changeV2, n.change(t, "normal", "7010", "4826").byReference("EXID", "CN00000001")},
		{"version 2: wrong expiry", "3", "normal", changeV2, n.change(t, "normal", "7010", "4826").byReference("EXID", "EX00000001").with(map[string]any{"card_expiry_date": "3111"})},
		{"version 2: wrong old PIN", "2", "normal", changeV2, n.change(t, "normal", "9182", "4826").byReference("EXID", "EX00000001")},
	} {
		t.Run(test.name, func(t *testing.T) {
			n.Reset(t)
			reply := n.send(t, test.path, test.send)
			require.Equal(t, saysCardIssue, says(reply), "%s", reply.Body)
			replies[test.name] = reply
			if test.tries != "" {
				require.Equal(t, test.tries, n.tries(t, test.card))
			}
			if test.card == "normal" {
				require.Equal(t, "7010", n.pin(t, "normal"))
			}
		})
	}
	for name, reply := range replies { // the header is the same in all of them, and the clock stands
		require.Equal(t, string(replies["unknown card"].Body), string(reply.Body), name)
		require.Equal(t, replies["unknown card"].Header.Get("Content-Type"), reply.Header.Get("Content-Type"), name)
	}
}

func TestSuccessIsWrittenAsInTheOriginal(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, "")
	reply := n.send(t, changeV1, n.change(t, "normal", "7010", "4826"))
	require.Equal(t, `{"NISrvResponse":{"response_card_pin_change":{`+
		`"header":{"msg_id":"12345","msg_type":"TRANSACTION","msg_function":"REP_CARD_PIN_CHANGE","src_application":"IVR",`+
		`"target_application":"PCMS","timestamp":"2026-01-15T16:00:00.000+04:00","tracking_id":"12345df","bank_id":"NIC","instance_id":null},`+
		`"exception_details":{"application_name":"NITIBCO","date_time":"2026-01-15T16:00:00.000+04:00","status":"S","error_code":"000",`+
		`"error_description":"Success","transaction_ref_id":"12345df"}}}}`, strings.TrimSpace(string(reply.Body)))
	require.Equal(t, "4826", n.pin(t, "normal"))

	reply = n.send(t, changeV1, n.change(t, "normal", "4826", "7010").with(map[string]any{"msg_id": "2", "tracking_id": removed, "instance_id": removed}))
	require.Equal(t, saysSuccess, says(reply))
	require.NotContains(t, string(reply.Body), "tracking_id")
	require.NotContains(t, string(reply.Body), "instance_id")
	require.Contains(t, string(reply.Body), `"transaction_ref_id":null`)
}

func TestKeysOpenWhatTheyAreMadeFor(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, "")
	pan := n.fixtures.Text("/cards/normal/pan")
	reply := n.Client.For(t).Do(http.MethodGet, certificate, n.bearer).ExpectStatus(http.StatusOK)
	der, err := base64.StdEncoding.DecodeString(reply.Text("/certificate"))
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	require.Equal(t, n.fixtures.Text("/clients/networkintl/rsa_key_id"), parsed.Subject.CommonName)
	require.Equal(t, reply.Body, n.Client.For(t).Do(http.MethodGet, certificate, n.bearer).Body, "the same at every call")
	toRSA := func(digits string) string {
		clearBlock, err := pinblock.Encode(pinblock.ISO0, []byte(digits), pan, nil)
		require.NoError(t, err)
		//lint:ignore SA1019 the contract has this padding
		sealed, err := rsa.EncryptPKCS1v15(rand.Reader, parsed.PublicKey.(*rsa.PublicKey), clearBlock) //nolint:staticcheck // see above
		require.NoError(t, err)
		return strings.ToUpper(hex.EncodeToString(sealed))
	}
	toTDES := func(digits string) string { return n.block(t, "zpk", digits, pan) }
	toAES := func(digits string) string { return n.block(t, "zpk_aes", digits, pan) }
	for _, test := range []struct {
		name    string
		seal    func(digits string) string
		with    map[string]any
		outcome string
	}{
		{"TDES by default", toTDES, nil, saysSuccess},
		{"TDES by id", toTDES, map[string]any{"encryption_key_id": "zpk-ni-sandbox"}, saysSuccess},
		{"TDES by type", toTDES, map[string]any{"encryption_key_type": "TDES"}, saysSuccess},
		{"TDES by id and general type", toTDES, map[string]any{"encryption_key_id": "zpk-ni-sandbox", "encryption_key_type": "ZPK"}, saysSuccess},
		{"TDES in small letters", func(d string) string { return strings.ToLower(toTDES(d)) }, nil, saysSuccess},
		{"AES by id", toAES, map[string]any{"encryption_key_id": "zpk-ni-sandbox-aes"}, saysSuccess},
		{"AES by type", toAES, map[string]any{"encryption_key_type": "AES"}, saysSuccess},
		{"RSA by default", toRSA, map[string]any{"encryption_method": "ASYNC_ENC"}, saysSuccess},
		{"RSA by id", toRSA, map[string]any{"encryption_method": "ASYNC_ENC", "encryption_key_id": "rsa-ni-sandbox", "encryption_key_type": "RSA"}, saysSuccess},
		{"a symmetric key for RSA", toRSA, map[string]any{"encryption_method": "ASYNC_ENC", "encryption_key_id": "zpk-ni-sandbox"}, "400 F 104 Invalid field value: encryption_key_id"},
		{"a type that contradicts the method", toTDES, map[string]any{"encryption_key_type": "RSA"}, "400 F 104 Invalid field value: encryption_key_type"},
		{"a type that nobody knows", toTDES, map[string]any{"encryption_key_type": "DES"}, saysSuccess},
		{"a type that nobody knows, with RSA", toRSA, map[string]any{"encryption_method": "ASYNC_ENC", "encryption_key_type": "rsa"}, saysSuccess},
		{"a type of 21 characters", toTDES, map[string]any{"encryption_key_type": strings.Repeat("x", 21)}, "400 F 102 Invalid field length: encryption_key_type"},
		{"AES under the default key", toAES, nil, "400 F 102 Invalid field length: encrypted_old_pin"},
		{"the SDKs' name for the method", toRSA, map[string]any{"encryption_method": "ASYMMETRIC_ENC"}, "400 F 104 Invalid field value: encryption_method"},
	} {
		t.Run(test.name, func(t *testing.T) {
			n.Reset(t)
			m := n.change(t, "normal", "7010", "4826").with(map[string]any{"encrypted_old_pin": test.seal("7010"), "encrypted_new_pin": test.seal("4826")}).with(test.with)
			require.Equal(t, test.outcome, says(n.send(t, changeV1, m)))
			want := map[bool]string{true: "4826", false: "7010"}[test.outcome == saysSuccess]
			require.Equal(t, want, n.pin(t, "normal"))
			require.Equal(t, "3", n.tries(t, "normal"))
		})
	}
	t.Run("the SDKs' name once the settings admit it", func(t *testing.T) {
		n.Reset(t)
		n.settings(t, `{"asymmetricAlias":true}`)
		m := n.change(t, "normal", "7010", "4826").with(map[string]any{"encryption_method": "ASYMMETRIC_ENC", "encrypted_old_pin": toRSA("7010"), "encrypted_new_pin": toRSA("4826")})
		require.Equal(t, saysSuccess, says(n.send(t, changeV1, m)))
	})
	t.Run("no default key", func(t *testing.T) {
		n.Reset(t)
		n.settings(t, `{"pinKeyIds":[]}`)
		require.Equal(t, "400 F 101 Mandatory field missing: encryption_key_id", says(n.send(t, changeV1, n.change(t, "normal", "7010", "4826"))))
		require.Equal(t, "404 F 404 Not Found", says(n.Client.For(t).Do(http.MethodGet, certificate, n.bearer)))
	})
}

// What is said about keys is said before a card is sought.
func TestUnknownKeyDoesNotTellOfCards(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, "")
	var bodies []string
	for _, number := range []string{n.fixtures.Text("/cards/normal/pan"), n.fixtures.Text("/cards/lost/pan"), "9999990000000188"} {
		m := n.change(t, "normal", "7010", "4826").with(map[string]any{"card_number": number, "encryption_key_id": "zpk-nobody"})
		bodies = append(bodies, string(n.send(t, changeV1, m).ExpectStatus(http.StatusBadRequest).Body))
	}
	require.Equal(t, []string{bodies[0], bodies[0], bodies[0]}, bodies)
	require.Equal(t, "3", n.tries(t, "normal"))
}

func TestSharesTheTryCounter(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, "")
	step := 0
	send := func(old, chosen string) string {
		step++
		return says(n.send(t, changeV1, n.change(t, "normal", old, chosen).with(map[string]any{"msg_id": fmt.Sprint(step)})))
	}
	require.Equal(t, "3", n.tries(t, "normal"))
	require.Equal(t, saysCardIssue, send("9182", "4826"))
	require.Equal(t, "2", n.tries(t, "normal"), "a wrong old PIN takes a try")
	require.Equal(t, saysCardIssue, send("9182", "4826"))
	require.Equal(t, "1", n.tries(t, "normal"))
	require.Equal(t, saysRejected, send("7010", "48261735"))
	require.Equal(t, "3", n.tries(t, "normal"), "a right old PIN restores them, even if the new one is refused")
	require.Equal(t, "7010", n.pin(t, "normal"))
	require.Equal(t, saysCardIssue, send("9182", "4826"))
	require.Equal(t, saysSuccess, send("7010", "482617"))
	require.Equal(t, "3", n.tries(t, "normal"))
	require.Equal(t, "482617", n.pin(t, "normal"), "six digits are the longest")
	for range 3 {
		require.Equal(t, saysCardIssue, send("7010", "4826"))
	}
	require.Equal(t, "0", n.tries(t, "normal"))
	require.Equal(t, saysCardIssue, send("482617", "4826"), "a right PIN is not looked at any more")
	require.Equal(t, "482617", n.pin(t, "normal"))

	n.Reset(t)
	n.program(t, func(p *pin.Program) { p.Policy = pin.PolicyHistory })
	require.Equal(t, saysRejected, send("7010", "1234"), "weak")
	require.Equal(t, saysRejected, send("7010", "7010"), "the same")
	require.Equal(t, "7010", n.pin(t, "normal"))
	require.Equal(t, "3", n.tries(t, "normal"))
}

func TestRepeatedMessages(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, "")
	good := func() message { return n.change(t, "normal", "7010", "4826") }
	for _, test := range []struct {
		name    string
		first   message
		outcome string
		other   message
	}{
		{"a change", good(), saysSuccess, n.change(t, "normal", "4826", "7010")},
		{"a wrong old PIN", n.change(t, "normal", "9182", "4826"), saysCardIssue, good()},
		{"a new PIN that is refused", n.change(t, "normal", "7010", "48261735"), saysRejected, good()},
		{"an unknown card", good().with(map[string]any{"card_number": "9999990000000188"}), saysCardIssue, good()},
		{"a wrong expiry date", good().with(map[string]any{"card_expiry_date": "3111"}), saysCardIssue, good()},
		{"a lost card", n.change(t, "lost", "4719", "4826"), saysCardIssue, good()},
		{"a blocked PIN", n.change(t, "blocked", "2904", "4826"), saysCardIssue, good()},
	} {
		t.Run(test.name, func(t *testing.T) {
			n.Reset(t)
			first := n.send(t, changeV1, test.first)
			require.Equal(t, test.outcome, says(first))
			tries, digits := n.tries(t, "normal"), n.pin(t, "normal")
			n.Clock.Forward(time.Hour)
			require.Equal(t, string(first.Body), string(n.send(t, changeV1, test.first).Body), "the stored reply, its time too")
			require.Equal(t, saysDuplicate, says(n.send(t, changeV1, test.other)), "another body")
			require.Equal(t, saysDuplicate, says(n.send(t, changeV2, good().byReference("EXID", "EX00000001"))), "another operation")
			n.Clock.Forward(23*time.Hour - time.Second)
			require.Equal(t, string(first.Body), string(n.send(t, changeV1, test.first).Body), "until the last second")
			require.Equal(t, []string{tries, digits}, []string{n.tries(t, "normal"), n.pin(t, "normal")}, "no second effect")
			n.Clock.Forward(time.Second)
			again := n.send(t, changeV1, test.first)
			require.NotEqual(t, string(first.Body), string(again.Body), "after 24 hours it is a new request")
		})
	}
	t.Run("a request that breaks the contract leaves its msg_id free", func(t *testing.T) {
		n.Reset(t)
		for _, with := range []map[string]any{{"card_expiry_date": "3113"}, {"bank_id": "ABC"}, {"encryption_key_id": "zpk-nobody"}} {
			require.Equal(t, http.StatusBadRequest, n.send(t, changeV1, good().with(with)).Status)
		}
		require.Equal(t, saysSuccess, says(n.send(t, changeV1, good())))
	})
	t.Run("a fault leaves its msg_id free", func(t *testing.T) {
		n.Reset(t)
		restore := n.Faults.Fail(t, "database")
		failed := n.send(t, changeV1, good())
		restore()
		require.Equal(t, "503 F 999 System error", says(failed))
		require.Equal(t, saysSuccess, says(n.send(t, changeV1, good())))
	})
	t.Run("msg_ids of another source are its own", func(t *testing.T) {
		n.Reset(t)
		require.Equal(t, saysSuccess, says(n.send(t, changeV1, good())))
		back := n.change(t, "normal", "4826", "7010").with(map[string]any{"src_application": "MOBILE"})
		require.Equal(t, saysSuccess, says(n.send(t, changeV1, back)))
		require.Equal(t, saysSuccess, says(n.send(t, changeV1, good())), "each has its own reply")
		require.Equal(t, "7010", n.pin(t, "normal"))
		require.Equal(t, saysDuplicate, says(n.send(t, changeV1, good().with(map[string]any{"src_application": "MOBILE"}))))
	})
	t.Run("msg_ids of another client are its own", func(t *testing.T) {
		n.Reset(t)
		require.Equal(t, saysSuccess, says(n.send(t, changeV1, good())))
		other := contracttest.Bearer(n.Mint(t, "networkintl_other-sandbox", time.Hour))
		reply := n.Client.For(t).Do(http.MethodPost, changeV1, other, contracttest.JSON(good()))
		require.Equal(t, saysCardIssue, says(reply), "not its card, but not its msg_id either")
	})
}

func TestCardSequenceNumberIsMandatoryForCPlusOnly(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, "")
	for _, test := range []struct {
		name     string
		sequence any
		without  string // outcome in a program that is not flagged
		with     string // in one that is
	}{
		{"the card's", "01", saysSuccess, saysSuccess},
		{"another", "02", saysSuccess, saysCardIssue},
		{"absent", removed, saysSuccess, "400 F 101 Mandatory field missing: card_sequence_number"},
		{"null", nil, saysSuccess, "400 F 101 Mandatory field missing: card_sequence_number"},
		{"empty", "", saysSuccess, "400 F 101 Mandatory field missing: card_sequence_number"},
		{"one digit", "1", "400 F 102 Invalid field length: card_sequence_number", "400 F 102 Invalid field length: card_sequence_number"},
		{"no digits", "AB", "400 F 103 Invalid field format: card_sequence_number", "400 F 103 Invalid field format: card_sequence_number"},
	} {
		for _, flagged := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, C+ %t", test.name, flagged), func(t *testing.T) {
				n.Reset(t)
				n.program(t, func(p *pin.Program) {
					p.Settings = map[string]json.RawMessage{"networkintl": json.RawMessage(fmt.Sprintf(`{"cPlus":%t}`, flagged))}
				})
				want := map[bool]string{false: test.without, true: test.with}[flagged]
				require.Equal(t, want, says(n.send(t, changeV1, n.change(t, "normal", "7010", "4826").with(map[string]any{"card_sequence_number": test.sequence}))))
			})
		}
	}
}

func TestRepliesFollowProgramAndSettings(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, "")
	stamp := func(r *contracttest.Reply) [2]string {
		return [2]string{r.Text("/NISrvResponse/response_card_pin_change/header/timestamp"), r.Text(details + "date_time")}
	}
	n.program(t, func(p *pin.Program) { p.TimeZone = "Asia/Kolkata" })
	n.settings(t, `{"applicationName":"PINVAULT"}`)
	n.Clock.Forward(45 * time.Millisecond)
	ok := n.send(t, changeV1, n.change(t, "normal", "7010", "4826"))
	require.Equal(t, [2]string{"2026-01-15T17:30:00.045+05:30", "2026-01-15T17:30:00.045+05:30"}, stamp(ok))
	require.Equal(t, "PINVAULT", ok.Text(details+"application_name"))
	bad := n.send(t, changeV1, n.change(t, "normal", "7010", "4826").with(map[string]any{"msg_id": removed}))
	require.Equal(t, "2026-01-15T17:30:00.045+05:30", stamp(bad)[0], "in errors too")
	require.Equal(t, "PINVAULT", bad.Text(details+"application_name"))
	n.program(t, func(p *pin.Program) { p.TimeZone = "" })
	unset := n.send(t, changeV1, n.change(t, "normal", "4826", "7010").with(map[string]any{"msg_id": "2"}))
	require.Equal(t, "200 S 000 Success", says(unset))
	require.Equal(t, "2026-01-15T16:00:00.045+04:00", stamp(unset)[0], "that of a program without a zone is too")
	unknown := n.Client.For(t).Do(http.MethodPost, changeV1, contracttest.JSON(n.change(t, "normal", "7010", "4826"))).ExpectStatus(http.StatusUnauthorized)
	require.Equal(t, "2026-01-15T16:00:00.045+04:00", stamp(unknown)[0], "nobody's zone is +04:00")
	require.Equal(t, "NITIBCO", unknown.Text(details+"application_name"))
}

func TestTimestamps(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, "")
	for text, good := range map[string]bool{
		"21/05/2020 15:13:18": true, "29/02/2024 00:00:00": true, "2020-05-21T15:13:18.853+04:00": true, "2020-05-21T15:13:18Z": true,
		"2020-05-21T15:13:18-11:30": true, "2020-05-21T15:13:18.853123456Z": true,
		"2026-01-15T12:00Z": true, "2026-01-15T12:00+0400": true, "2020-05-21T15:13:18+0400": true, "2020-05-21t15:13:18z": true, "2020-05-21T15:13:18+18:00": true,
		"0000-05-21T15:13:18Z": false, "21/05/0000 15:13:18": false, "2020-05-21T15:13:18+24:00": false, "2020-05-21T15:13:18-18:01": false,
		"05/21/2020 15:13:18": false, "29/02/2023 00:00:00": false, "21/05/2020": false, "21/05/2020 24:00:00": false, "1/5/2020 15:13:18": false,
		"2020-05-21 15:13:18": false, "2020-05-21T15:13:18": false, "2020-13-21T15:13:18Z": false, "now": false, " ": false,
	} {
		n.Reset(t)
		want := map[bool]string{true: saysSuccess, false: "400 F 103 Invalid field format: timestamp"}[good]
		require.Equal(t, want, says(n.send(t, changeV1, n.change(t, "normal", "7010", "4826").with(map[string]any{"timestamp": text}))), text)
	}
}

// Every field and wrapper in turn, replaced by everything that it cannot be, or left out.
func TestMalformedRequestsAreRefusedAndChangeNothing(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, "")
	junk := []string{"null", `""`, "0", "-1.5e3", "true", "[]", "{}", `[""]`, `{"a":null}`, strings.Repeat("[", 20) + strings.Repeat("]", 20),
		`"\u0001"`, `"\u0000"`, `"\ud800"`, `"` + strings.Repeat("9", 2000) + `"`, "1e999", "nul", `"`, "\"\xff\""}
	optional := []string{"instance_id", "tracking_id", "card_sequence_number", "encryption_key_id", "encryption_key_type"} // null and "" are as if absent
	for _, version := range []struct {
		path string
		good message
	}{
		{changeV1, n.change(t, "normal", "7010", "4826").with(map[string]any{"encryption_key_id": "zpk-ni-sandbox", "encryption_key_type": "TDES", "instance_id": "1"})},
		{changeV2, n.change(t, "normal", "7010", "4826").with(map[string]any{"encryption_key_id": "zpk-ni-sandbox", "encryption_key_type": "TDES", "instance_id": "1"}).
			byReference("CONTRACT_NUMBER", "CN00000001")},
	} {
		good, err := json.Marshal(version.good)
		require.NoError(t, err)
		refuse := func(name, body string) {
			reply := n.Client.For(t).Do(http.MethodPost, version.path, n.bearer, contracttest.Raw("application/json", body))
			require.Equal(t, http.StatusBadRequest, reply.Status, "%s: %s", name, reply.Body)
			require.Equal(t, "F", reply.Text(details+"status"))
		}
		for _, part := range []map[string]any{version.good.Header, version.good.Body} {
			for name, value := range part {
				was, err := json.Marshal(value)
				require.NoError(t, err)
				member := fmt.Sprintf("%q:%s", name, was)
				require.Contains(t, string(good), member)
				for _, is := range junk {
					if !slices.Contains(optional, name) || is != "null" && is != `""` {
						refuse(name+" is "+is, strings.Replace(string(good), member, fmt.Sprintf("%q:%s", name, is), 1))
					}
				}
				refuse(name+" in other letters", strings.Replace(string(good), fmt.Sprintf("%q:", name), fmt.Sprintf("%q:", strings.ToUpper(name)), 1))
				refuse(name+" twice", strings.Replace(string(good), member, member+","+member, 1))
				refuse(name+" twice, in other letters", strings.Replace(string(good), member, member+","+fmt.Sprintf("%q:%s", strings.ToUpper(name), was), 1))
			}
		}
		for _, wrapper := range []string{"NISrvRequest", "request_card_pin_change", "header", "body"} {
			for _, other := range []string{strings.ToLower(wrapper) + "x", strings.ToUpper(wrapper) + "_", "", wrapper + " "} {
				refuse(wrapper+" misnamed", strings.Replace(string(good), `"`+wrapper+`"`, `"`+other+`"`, 1))
			}
			for _, is := range junk {
				at := strings.Index(string(good), `"`+wrapper+`":`) + len(wrapper) + 3
				var inner json.RawMessage
				require.NoError(t, json.NewDecoder(bytes.NewReader(good[at:])).Decode(&inner))
				refuse(wrapper+" is "+is, string(good[:at])+is+string(good[at+len(inner):]))
			}
		}
		for _, body := range append(junk, "", " ", string(good)+"x", string(good)+string(good), string(good[1:]), "\xef\xbb\xbf"+string(good), strings.Repeat("[", 60_000)) {
			refuse("body "+body[:min(40, len(body))], body)
		}
	}
	require.Equal(t, "7010", n.pin(t, "normal"))
	require.Equal(t, "3", n.tries(t, "normal"))
	for _, secret := range []string{n.fixtures.Text("/cards/normal/pan"), n.block(t, "zpk", "7010", n.fixtures.Text("/cards/normal/pan"))} {
		require.NotContains(t, n.Log.String(), secret)
	}
}

// A request that breaks several rules gets the lowest code, and of one code the first field in the order
// of the document.
func TestOrderOfErrors(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, "")
	for body, want := range map[string]string{
		`{"NISrvRequest":null}`: "101 Mandatory field missing: NISrvRequest",
		`{"NISrvRequest":{}}`:   "101 Mandatory field missing: request_card_pin_change",
		`{"NISrvRequest":{"request_card_pin_change":{"header":null}}}`:         "101 Mandatory field missing: header",
		`{"NISrvRequest":{"request_card_pin_change":{"header":[],"body":[]}}}`: "103 Invalid field format: header",
		`{"NISrvRequest":[]}`: "103 Invalid field format: NISrvRequest",
		`{"NISrvRequest":{"request_card_pin_change":{"header":{},"body":{"x":1}}}}`: "101 Mandatory field missing: msg_id",
		`null`: "103 Invalid field format: body",
		``:     "103 Invalid field format: body",
	} {
		reply := n.Client.For(t).Do(http.MethodPost, changeV1, n.bearer, contracttest.Raw("application/json", body))
		require.Equal(t, "400 F "+want, says(reply), body)
	}
	for _, test := range []struct {
		with map[string]any
		want string
	}{
		{map[string]any{"bank_id": "ABC", "msg_type": "ENQUIRY"}, "104 Invalid field value: msg_type"},
		{map[string]any{"bank_id": "ABC", "timestamp": "30/02/2020 00:00:00"}, "103 Invalid field format: timestamp"},
		{map[string]any{"bank_id": "ABC", "encryption_key_id": "zpk-nobody"}, "104 Invalid field value: bank_id"},
		{map[string]any{"bank_id": "ABC", "encrypted_new_pin": "00"}, "102 Invalid field length: encrypted_new_pin"},
		{map[string]any{"card_number": "1", "msg_id": 1}, "102 Invalid field length: card_number"},
		{map[string]any{"card_number": "1", "msg_id": 1, "encryption_method": ""}, "101 Mandatory field missing: encryption_method"},
		{map[string]any{"encryption_method": removed, "timestamp": removed, "card_expiry_date": nil}, "101 Mandatory field missing: timestamp"},
		{map[string]any{"encryption_method": removed, "card_expiry_date": nil, "card_number": ""}, "101 Mandatory field missing: card_number"},
		{map[string]any{"card_expiry_date": "33", "card_sequence_number": "1"}, "102 Invalid field length: card_sequence_number"},
		{map[string]any{"encrypted_old_pin": "B7F7DF54074528", "msg_id": 1}, "102 Invalid field length: encrypted_old_pin"},
		{map[string]any{"encrypted_old_pin": "B7F7DF54074528", "encryption_method": "NONE"}, "102 Invalid field length: encrypted_old_pin"},
		{map[string]any{"encrypted_old_pin": "B7F7DF54074528", "encryption_key_id": "zpk-nobody"}, "102 Invalid field length: encrypted_old_pin"},
		{map[string]any{"encrypted_old_pin": "B7F7DF54074528", "encryption_key_id": 7}, "102 Invalid field length: encrypted_old_pin"},
		{map[string]any{"encrypted_old_pin": "B7F7DF5407452X", "encryption_key_type": "RSA"}, "102 Invalid field length: encrypted_old_pin"},
		{map[string]any{"encrypted_old_pin": "B7F7DF540745287X", "msg_type": "ENQ"}, "103 Invalid field format: encrypted_old_pin"},
		{map[string]any{"timestamp": "30/02/2020 15:13:18", "msg_type": "ENQ"}, "103 Invalid field format: timestamp"},
		{map[string]any{"bank_id": "ABC", "encryption_method": "NONE"}, "104 Invalid field value: bank_id"},
		{map[string]any{"encryption_method": "NONE", "encryption_key_id": "zpk-nobody"}, "104 Invalid field value: encryption_method"},
		{map[string]any{"encryption_method": "ASYMMETRIC_ENC", "encryption_key_id": "zpk-nobody"}, "104 Invalid field value: encryption_method"},
		{map[string]any{"encryption_method": "NONE"}, "104 Invalid field value: encryption_method"},
		{map[string]any{"encryption_key_id": "zpk-nobody"}, "104 Invalid field value: encryption_key_id"},
	} {
		n.Reset(t)
		require.Equal(t, "400 F "+test.want, says(n.send(t, changeV1, n.change(t, "normal", "7010", "4826").with(test.with))))
	}
}

// Rules of the program, the client and the keys stand in one list with those of the document.
func TestOrderOfErrorsInACPlusProgram(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, "")
	n.program(t, func(p *pin.Program) {
		p.Settings = map[string]json.RawMessage{"networkintl": json.RawMessage(`{"cPlus":true}`)}
	})
	for _, test := range []struct {
		with map[string]any
		want string
	}{
		{map[string]any{"card_sequence_number": removed, "msg_id": "1234567890123"}, "101 Mandatory field missing: card_sequence_number"},
		{map[string]any{"card_sequence_number": nil, "card_expiry_date": ""}, "101 Mandatory field missing: card_sequence_number"},
		{map[string]any{"card_sequence_number": "", "card_number": ""}, "101 Mandatory field missing: card_number"},
		{map[string]any{"card_sequence_number": 1, "bank_id": "ABC"}, "103 Invalid field format: card_sequence_number"},
	} {
		require.Equal(t, "400 F "+test.want, says(n.send(t, changeV1, n.change(t, "normal", "7010", "4826").with(test.with))))
	}
	headless := contracttest.Raw("application/json", `{"NISrvRequest":{"request_card_pin_change":{"header":{}}}}`)
	require.Equal(t, "400 F 101 Mandatory field missing: msg_id", says(n.Client.For(t).Do(http.MethodPost, changeV1, n.bearer, headless)))
}

// A card that was renewed keeps its number and gets another sequence number.
func TestCardsOfOneNumberAreToldApartByTheirSequenceNumbers(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, "")
	const pan = "9999990000000501"
	program := n.fixtures.Text("/cards/normal/programId")
	issuer := contracttest.Bearer(n.Mint(t, "issuer-sandbox", time.Hour))
	made := func(sequence string) *contracttest.Reply {
		card := map[string]any{"programId": program, "pan": pan, "expiry": "3112"}
		if sequence != "" {
			card["sequence"] = sequence
		}
		return n.Client.For(t).Do(http.MethodPost, "/issuer/v1/cards", issuer, contracttest.JSON(card))
	}
	pins := map[string]string{"": "1357", "01": "2468", "02": "3579"}
	card := func(sequence string) {
		id := made(sequence).ExpectStatus(http.StatusCreated).Text("/cardId")
		p, err := pin.New([]byte(pins[sequence]))
		require.NoError(t, err)
		require.NoError(t, n.Vault.SetPIN(apptest.Operating(t), pin.Query{CardID: id}, pin.Plain(p), pin.Memo{}))
	}
	id := 0
	change := func(sequence any, old, chosen string) string {
		id++
		m := n.change(t, "normal", old, chosen).with(map[string]any{"msg_id": fmt.Sprint(id), "card_number": pan, "card_sequence_number": sequence,
			"encrypted_old_pin": n.block(t, "zpk", old, pan), "encrypted_new_pin": n.block(t, "zpk", chosen, pan)})
		return says(n.send(t, changeV1, m))
	}
	card("")
	require.Equal(t, saysSuccess, change("01", "1357", "1357"), "one card is the card")
	card("01")
	card("02")
	require.Equal(t, http.StatusConflict, made("02").Status, "but no two of one sequence number")
	require.Equal(t, http.StatusConflict, made("").Status)
	require.Equal(t, saysSuccess, change("01", "2468", "4826"))
	require.Equal(t, saysSuccess, change("02", "3579", "4827"))
	require.Equal(t, saysCardIssue, change("01", "4827", "4828"), "each has its own PIN")
	require.Equal(t, saysCardIssue, change("03", "4826", "4828"), "none has it")
	require.Equal(t, saysCardIssue, change(removed, "4826", "4828"), "three have the number")
	require.Equal(t, saysSuccess, change("01", "4826", "4828"), "and a look-up that finds none takes no try")
}

// A client of the whole server could once be made. None of its calls can be served.
func TestAClientWithoutAProgramIsForbidden(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, "")
	c := pin.Client{ID: "networkintl-everywhere", Contract: networkintl.Name, Name: "everywhere", Scopes: []string{"pins:change"}, Settings: json.RawMessage(`{"bankId":"NIC"}`)}
	_, _, err := n.Vault.CreateClient(apptest.Operating(t), c, "networkintl-everywhere-secret", pin.Memo{})
	require.NoError(t, err)
	bearer := contracttest.Bearer(n.Mint(t, c.ID, time.Hour))
	for _, reply := range []*contracttest.Reply{
		n.Client.For(t).Do(http.MethodPost, changeV1, bearer, contracttest.JSON(n.change(t, "normal", "7010", "4826"))),
		n.Client.For(t).Do(http.MethodPost, changeV1, bearer, contracttest.JSON(n.change(t, "normal", "7010", "4826").with(map[string]any{"msg_id": removed}))),
		n.Client.For(t).Do(http.MethodGet, certificate, bearer),
	} {
		require.Equal(t, "403 F 403 Forbidden", says(reply))
		require.Equal(t, `Bearer realm="networkintl", error="insufficient_scope"`, reply.Header.Get("WWW-Authenticate"))
	}
}

// A hundred changes of one card at once, all with the right old PIN: one wins, the others are told 889,
// and no more tries are gone than wrong guesses were compared.
func TestParallelChangesHaveOneWinner(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, database(t))
			const many = 100
			requests := make([]message, many)
			for i := range requests {
				requests[i] = n.change(t, "normal", "7010", fmt.Sprintf("48%02d", i)).with(map[string]any{"msg_id": fmt.Sprint(i)})
			}
			outcomes := make([]string, many)
			var all sync.WaitGroup
			for i, m := range requests {
				all.Go(func() {
					reply := n.Client.For(t).Do(http.MethodPost, changeV1, n.bearer, contracttest.JSON(m))
					outcomes[i] = fmt.Sprint(reply.Status)
					if reply.Status == http.StatusOK {
						var out struct {
							NISrvResponse struct {
								Change struct {
									Details struct {
										Code string `json:"error_code"`
									} `json:"exception_details"`
								} `json:"response_card_pin_change"`
							}
						}
						if json.Unmarshal(reply.Body, &out) == nil {
							outcomes[i] = out.NISrvResponse.Change.Details.Code
						}
					}
				})
			}
			all.Wait()
			winner := -1
			count := map[string]int{}
			for i, o := range outcomes {
				if count[o]++; o == "000" {
					winner = i
				}
			}
			require.Equal(t, map[string]int{"000": 1, "889": many - 1}, count)
			require.Equal(t, fmt.Sprintf("48%02d", winner), n.pin(t, "normal"))

			wrong := 0
			events, err := n.Vault.AuditEvents(context.WithoutCancel(apptest.Operating(t)), pin.AuditQuery{Chain: n.fixtures.Text("/cards/normal/cardId"), Page: pin.Page{Limit: 1000}})
			require.NoError(t, err)
			for _, e := range events {
				if e.Type == pin.EventPINFailed && e.Outcome == string(pin.Mismatch) {
					wrong++
				}
			}
			left := n.tries(t, "normal")
			require.Equal(t, fmt.Sprint(max(0, 3-wrong)), left, "%d wrong guesses were compared", wrong)
			t.Logf("%d wrong guesses, %s tries left", wrong, left)
		})
	}
}
