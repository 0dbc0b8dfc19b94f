package journal

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/openapi"
)

func document(t *testing.T, name string) *contract.Document {
	t.Helper()
	d, err := contract.Load(openapi.Documents, name)
	require.NoError(t, err)
	return d
}

func TestTheDocumentsSayWhichNamesAreSecret(t *testing.T) {
	t.Parallel()
	for name, secrets := range map[string][]string{
		"thredd":      {"pin", "pan", "client_secret", "access_token"},
		"accosa":      {"newPIN", "token", "secureCode", "x-api-key"},
		"networkintl": {"encrypted_old_pin", "encrypted_new_pin", "card_number"},
		"creditplus":  {"number", "deviceNumber"},
		"hashdt":      {"set_pin_url", "x-api-key"},
		"hosted":      {"secret", "token", "pin"},
		"issuer":      {"pinBlock", "pan", "clientSecret", "secureCode", "value"},
	} {
		known := namesOf(document(t, name))
		for _, secret := range secrets {
			require.True(t, known[plain(secret)], "%s: %s", name, secret)
		}
	}
	require.False(t, namesOf(document(t, "thredd"))["number"], "which is another contract's")
}

func TestAJSONBodyStaysAsItWasWrittenButForItsSecrets(t *testing.T) {
	t.Parallel()
	n := namesOf()
	for sent, shown := range map[string]string{
		`{"pin":"7010","description":"x"}`:         `{"pin":"****","description":"x"}`,
		"{ \"pin\" :\n\t\"7010\" }":                "{ \"pin\" :\n\t\"****\" }",
		`{"pin":7010,"a":1}`:                       `{"pin":"****","a":1}`,
		`{"pin":null,"secret":true,"password":""}`: `{"pin":null,"secret":true,"password":""}`,
		`{"pin":["7010",{"x":"]"}],"a":1}`:         `{"pin":"****","a":1}`,
		`{"pin":{"x":"}7010"},"a":1}`:              `{"pin":"****","a":1}`,
		`{"p\u0069n":"7010"}`:                      `{"p\u0069n":"****"}`,
		`{"PIN":"7010","new_pin":"2846"}`:          `{"PIN":"****","new_pin":"****"}`,
		`{"pin":"7010","pin":"2846"}`:              `{"pin":"****","pin":"****"}`,
		`{"pincode":"7010","shipping":"x"}`:        `{"pincode":"****","shipping":"x"}`,
		`{"pinChangedAt":"2026-01-01T09:00:00Z"}`:  `{"pinChangedAt":"2026-01-01T09:00:00Z"}`,
		`{"7010":"x"}`:                             `{"****":"x"}`,
		`{"pan":"9999990000000014"}`:               `{"pan":"999999******0014"}`,
		`{"pan":"999999000000001"}`:                `{"pan":"****"}`,
		`{"a":"card 9999990000000014, thanks"}`:    `{"a":"card 999999******0014, thanks"}`,
		`{"a":9999990000000014}`:                   `{"a":999999******0014}`,
		`{"a":"\u0039999990000000014"}`:            `{"a":"999999******0014"}`,
		`{"a":"say \"pin\":\"7\""}`:                `{"a":"say \"pin\":\"7\""}`,
		`{"pin":"7010`:                             `{"pin":"****"`,
		`{"pin":`:                                  `{"pin":`,
		`{"pin":7010`:                              `{"pin":"****"`,
		`{pin:7010,"a":1}`:                         `{pin:****,"a":1}`,
		`{'pin':'7010'}`:                           `{'pin':'****'}`,
		`"7010"`:                                   `"****"`,
		`7010`:                                     `****`,
		`[1,2,"x"]`:                                `[1,2,"x"]`,
		`{"list":[{"pin":"7010"},{"pin":"2846"}]}`: `{"list":[{"pin":"****"},{"pin":"****"}]}`,
		``: ``,
		`{"note":"C1D0F8FB4958670DBA40AB1F3752EF0D"}`: `{"note":"****"}`,
	} {
		require.Equal(t, shown, n.json(sent), sent)
		if json.Valid([]byte(sent)) && sent != `{"a":9999990000000014}` && sent != `7010` {
			require.True(t, json.Valid([]byte(shown)), shown)
		}
	}
}

func TestATextIsMasked(t *testing.T) {
	t.Parallel()
	for sent, shown := range map[string]string{
		"9999990000000014":                                        "999999******0014",
		"9999 9900 0000 0014":                                     "9999 99** **** 0014",
		"9999-9900-0000-0014.":                                    "9999-99**-****-0014.",
		"3782 822463 10005":                                       "3782 82**** *0005",
		"4929 1234 1234 1234 123":                                 "4929 12** **** ***4 123",
		"pan9999990000000014x":                                    "pan999999******0014x",
		"9999990000000015":                                        "9999990000000015",
		"20260101090007":                                          "20260101090007", // a time that could be one
		"20260101090007123":                                       "20260101090007123",
		"99999900000000140000":                                    "99999900000000140000",
		"00000000-0000-7000-8000-000000000001":                    "00000000-0000-7000-8000-000000000001",
		"9999-9900-0000-0014-000000000001":                        "9999-9900-0000-0014-000000000001", // as a part of an id
		"eyJhbGciOiJFZERTQSJ9.eyJhIjoxfQ.c2ln":                    "****",
		"eyJhbGciOiJkaXIifQ..aXY.Y3Q.dGFn":                        "eyJhbGciOiJkaXIifQ..aXY.Y3Q.dGFn",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"/pin/1#AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA":      "/pin/1#****",
		"block C0FFEE00DEADBEEF":                                  "block ****",
	} {
		require.Equal(t, shown, text(sent), sent)
	}
}

func TestWhatIsAroundABodyIsMasked(t *testing.T) {
	t.Parallel()
	n := namesOf()
	for sent, shown := range map[string]string{
		"grant_type=client_credentials&client_secret=top%20secret&client_secret=": "grant_type=client_credentials&client_secret=****&client_secret=",
		"p%69n=7010&a=9999990000000014":                                           "p%69n=****&a=999999******0014",
		"a=9999%209900+0000+0014&b=%zz":                                           "a=9999+99**+****+0014&b=%zz",
		"9999990000000014":                                                        "999999******0014",
	} {
		require.Equal(t, shown, n.form(sent), sent)
	}
	require.Equal(t, "/cards/999999******0014/x?pan=999999******0014&q=%2F", n.path("/cards/9999990000000014/x?pan=9999990000000014&q=%2F"))
	require.Equal(t, "/cards/%2Fx", n.path("/cards/%2Fx"))
	for name, c := range map[string][2]string{
		"Authorization":       {"Bearer abc.def", "Bearer ****"},
		"Proxy-Authorization": {"token", "****"},
		"Cookie":              {"pinvault_page=abc; other=def", "pinvault_page=****; other=****"},
		"Set-Cookie":          {"pinvault_page=abc; Path=/hosted; Secure", "pinvault_page=****; Path=/hosted; Secure"},
		"X-Api-Key":           {"a.b", "****"},
		"X-Pin":               {"7010", "****"},
		"X-Card":              {"9999990000000014", "999999******0014"},
		"Content-Type":        {"application/json", "application/json"},
	} {
		require.Equal(t, c[1], n.headerValue(name, c[0]), name)
	}
	for _, c := range [][3]string{
		{"text/plain", "7010\n", "****"},
		{"text/plain", "pin: 7010, a=1", "pin: ****, a=1"},
		{"text/plain", `{"pin":"7010"}`, `{"pin":"****"}`},
		{"application/x-www-form-urlencoded", "pin=7010", "pin=****"},
		{"application/problem+json", `{"pin":"7010"}`, `{"pin":"****"}`},
		{"text/html", "<script>pin = ask()</script>", "<script>pin = ask()</script>"},
		{"", "  ", "  "},
		{"", "pin=7010\xff", "pin=****"},
	} {
		require.Equal(t, c[2], n.body(c[0], []byte(c[1])), c[1])
	}
}

// What carries a secret is masked whatever document the call is of.
func TestNamesThatCarrySecretsAreMaskedEverywhere(t *testing.T) {
	t.Parallel()
	n := namesOf()
	for _, name := range []string{"X-Auth-Token", "X-CSRF-Token", "DPoP", "X-Vault-Token", "Ocp-Apim-Subscription-Key", "X-Amz-Security-Token",
		"client_secret", "x-api-key", "api_key", "Their-Api-Key", "X-Client-Secret", "db_password", "access_token", "session-token", "sig", "CVV2"} {
		require.Equal(t, "****", n.headerValue(name, "s3cret"), name)
		require.Equal(t, name+"=****", n.form(name+"=s3cret"), name)
		require.JSONEq(t, `{"`+name+`":"****"}`, n.json(`{"`+name+`":"s3cret"}`), name)
	}
	for _, name := range []string{"X-Request-Id", "publicToken", "signed", "secretary", "passwordless"} {
		require.Equal(t, "shown", n.headerValue(name, "shown"), name)
	}
	foreign := NewReader(Reading{Documents: map[string]*contract.Document{"accosa": document(t, "accosa"), "thredd": document(t, "thredd")}})
	require.True(t, foreign.secret["thredd"][plain("x-api-key")])
}

func TestAPINThatIsKnownIsMaskedWhereItStandsForItself(t *testing.T) {
	t.Parallel()
	p := pins{"7010": true, "593817": true}
	for sent, shown := range map[string]string{
		"/cards/7010/pin?note=7010":            "/cards/****/pin?note=****",
		"the PIN is 7010.":                     "the PIN is ****.",
		"7010, 593817":                         "****, ****",
		`{"note":"7010"}`:                      `{"note":"****"}`,
		"7011 17010 70100 a7010 7010a":         "7011 17010 70100 a7010 7010a",
		"2026-01-01T09:00:00.7010Z":            "2026-01-01T09:00:00.7010Z",
		"00000000-7010-7000-8000-000000000001": "00000000-7010-7000-8000-000000000001",
		"7010-7000":                            "7010-7000",
		"http://127.0.0.1:7010/x":              "http://127.0.0.1:7010/x",
		"7010.5 7010.":                         "7010.5 ****.",
		"":                                     "",
	} {
		require.Equal(t, shown, p.hide(sent), sent)
	}
	require.Equal(t, "7010", pins(nil).hide("7010"))
}

// No object or list that a document describes has a secret's name: it would be masked whole.
func TestWhatIsMaskedIsATextOrANumber(t *testing.T) {
	t.Parallel()
	all, err := contract.Names(openapi.Documents)
	require.NoError(t, err)
	for _, name := range all {
		d := document(t, name)
		known := namesOf(d)
		for schema, ref := range d.Spec().Components.Schemas {
			if strings.HasPrefix(schema, "Portfolio") { // of files: no call has it
				continue
			}
			for member, property := range ref.Value.Properties {
				if known[plain(member)] {
					require.False(t, property.Value.Type.Is("object") || property.Value.Type.Is("array"), "%s: %s.%s", name, schema, member)
				}
			}
		}
	}
}
