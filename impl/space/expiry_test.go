package space_test

import (
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/keyring"
)

const (
	issuerCard = "/issuer/v1/cards/00000000-0000-7000-8000-000000000001/pin"
	match      = `{"pinBlock":"2F780C8387FFF32C","format":"ISO-0","keyId":"zpk-sandbox"}`
	mismatch   = `{"pinBlock":"8E5C68B2BF08164B","format":"ISO-0","keyId":"zpk-sandbox"}`
)

// as is the caller with a token of a client.
func (c *caller) as(client string) *caller {
	c.t.Helper()
	other := *c
	other.logIn(client)
	return &other
}

func (c *caller) advance(seconds string) {
	c.t.Helper()
	require.Equal(c.t, 200, c.do("POST", "/sandbox/clock", `{"advanceSeconds":`+seconds+`}`).status)
}

// link asks the issuing API for a link to the hosted page.
func (c *caller) link(requestID string) *url.URL {
	c.t.Helper()
	answer := c.do("GET", "/issuing/api/v1/card/resetpin", "", "x-api-key", "hashdt-sandbox.hashdt-sandbox-secret", "x-product-id", "00000000-0000-7000-8000-00000000a001",
		"x-cardholder-id", "CH00000001", "x-wallet-id", "WL00000001", "x-card-id", "CD00000001", "x-request-id", requestID)
	require.Equal(c.t, 200, answer.status, "%s", answer.body)
	data := answer.json(c.t)["data"].([]any)[0].(map[string]any)
	at, err := url.Parse(data["set_pin_url"].(string))
	require.NoError(c.t, err)
	return at
}

func (c *caller) exchange(at *url.URL) int {
	c.t.Helper()
	path, ok := strings.CutPrefix(at.Path, "/spaces/"+c.id)
	require.True(c.t, ok, "a link is of its space")
	return c.do("POST", path+"/exchange", `{"secret":"`+at.Fragment+`"}`).status
}

// accosa sends a message of the client whose messages must be of now.
func (c *caller) accosa(transaction string) int {
	c.t.Helper()
	raw, err := hex.DecodeString("5B0F9E2D7C416A83F1D4E6097B38C25AA94D1E70F36C82B5")
	require.NoError(c.t, err)
	key, err := keyring.NewTokenKey(raw, nil)
	require.NoError(c.t, err)
	token, err := key.Seal(strings.NewReader(strings.Repeat("0123456789abcdef", 8)), []byte(`{"urn":70000000001,"messageCode":1120,"clientTxnId":"`+transaction+`",`+
		`"requestDateTime":"20260115160000","last4Digits":"0014","newPIN":"4826"}`))
	require.NoError(c.t, err)
	body, err := json.Marshal(map[string]string{"token": token})
	require.NoError(c.t, err)
	return c.do("POST", "/mob1/api/onboarding/v1/resetPin", string(body), "x-api-key", "accosa_window-sandbox.accosa_window-sandbox-secret",
		"clientId", "2000", "bankId", "7000", "entityId", "100", "secureCode", "accosa-sandbox-code").status
}

// Each thing that a contract says expires is done, and looked at a moment before that and at it, by the clock alone. In
// another space, whose clock was not moved, nothing of it does.
func TestWhatExpiresDoesSoByTheSpacesClock(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, "") // whose time is 2026-01-15T12:00:00Z and stands
	status := func(c *caller) int { return c.do("GET", "/api/v1/cards/103169946/pin/status", "").status }
	for _, test := range []struct {
		name   string
		before string // seconds after which it still is
		then   string // and how many more end it
		do     func(c *caller) func() any
		is     any
		was    any // when it has ended
	}{
		{"a token of the issuer's", "3599", "1", func(c *caller) func() any {
			as := c.as("issuer")
			return func() any { return as.do("GET", issuerCard, "").status }
		}, 200, 401},
		{"a token of Thredd's own endpoint", "14399", "1", func(c *caller) func() any {
			answer := c.do("POST", "/connect/token", "grant_type=client_credentials&client_id=thredd-sandbox&client_secret=thredd-sandbox-secret",
				"Content-Type", "application/x-www-form-urlencoded")
			require.Equal(t, 200, answer.status, "%s", answer.body)
			c.auth = answer.json(t)["access_token"].(string)
			return func() any { return status(c) }
		}, 200, 401},
		{"Thredd's idempotency key", "3599", "1", func(c *caller) func() any {
			set := func(pin string) any {
				c.logIn("thredd")
				return c.do("POST", "/api/v1/cards/103169946/pin", `{"pin":"`+pin+`"}`, "IdempotencyKey", "0190a0a0-0000-7000-8000-000000000001").status
			}
			require.Equal(t, 204, set("4826"))
			return func() any { return set("9315") }
		}, 400, 204},
		{"the issuer API's idempotency key", "86399", "1", func(c *caller) func() any {
			unblock := func() any {
				answer := c.as("issuer").do("POST", issuerCard+"/unblock", `{"reason":"x"}`, "Idempotency-Key", "one")
				require.Equal(t, 204, answer.status)
				return answer.header.Get("Idempotent-Replayed")
			}
			require.Empty(t, unblock())
			return unblock
		}, "true", ""},
		{"the issuer API's idempotency key of a verification", "59", "1", func(c *caller) func() any {
			verify := func() any {
				answer := c.as("issuer").do("POST", issuerCard+"/verifications", match, "Idempotency-Key", "one")
				require.Equal(t, 200, answer.status)
				return answer.header.Get("Idempotent-Replayed")
			}
			require.Empty(t, verify())
			return verify
		}, "true", ""},
		{"a secret that was replaced", "299", "2", func(c *caller) func() any {
			rotated := c.as("issuer").do("POST", "/issuer/v1/clients/thredd-sandbox/rotate", `{"overlapSeconds":300}`)
			require.Equal(t, 200, rotated.status, "%s", rotated.body)
			return func() any {
				return c.do("POST", "/oauth2/token", "grant_type=client_credentials&client_id=thredd-sandbox&client_secret=thredd-sandbox-secret",
					"Content-Type", "application/x-www-form-urlencoded").status
			}
		}, 200, 401},
		{"a link to the hosted page", "299", "1", func(c *caller) func() any {
			links := []*url.URL{c.link("first"), c.link("second")}
			return func() any {
				at := links[0]
				links = links[1:]
				return c.exchange(at)
			}
		}, 200, 410},
		{"the time of a Credit+ message", "900", "1", func(c *caller) func() any {
			return func() any {
				return c.as("creditplus_window").do("POST", "/deviceapi/apis/v2/services/helpdesk/resetpinretrycounter",
					`{"identifier":"DEVICE0000000001","timestamp":"2026-01-15T12:00:00Z","dataValidUntilTimestamp":"2026-01-16T12:00:00Z"}`).status
			}
		}, 200, 400},
		{"how long a Credit+ message is good", "3600", "1", func(c *caller) func() any {
			return func() any {
				return c.as("creditplus").do("POST", "/deviceapi/apis/v2/services/helpdesk/resetpinretrycounter",
					`{"identifier":"DEVICE0000000001","timestamp":"2026-01-15T12:00:00Z","dataValidUntilTimestamp":"2026-01-15T13:00:00Z"}`).status
			}
		}, 200, 400},
		{"the time of an Accosa message", "900", "1", func(c *caller) func() any {
			n := "A"
			return func() any {
				n += "1"
				return c.accosa(n)
			}
		}, 200, 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			moved, still := newSpace(t, s, "path"), newSpace(t, s, "path")
			look, lookStill := test.do(moved), test.do(still)
			moved.advance(test.before)
			require.Equal(t, test.is, look(), "a moment before")
			moved.advance(test.then)
			require.Equal(t, test.was, look(), "then")
			require.Equal(t, test.is, lookStill(), "where the clock was not moved")
		})
	}
}

// The try counter is no matter of time.
func TestADayGivesNoTriesBack(t *testing.T) {
	t.Parallel()
	c := newSpace(t, apptest.Start(t, ""), "path")
	for _, left := range []float64{2, 1} {
		require.Equal(t, left, c.as("issuer").do("POST", issuerCard+"/verifications", mismatch).json(t)["remainingTries"])
		c.advance("86400")
	}
}
