package apptest

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"
	"github.com/stretchr/testify/require"

	"pinvault/impl/contract/contracttest"
)

// Link is where a cardholder is sent to the hosted page: what the issuing API returned.
type Link struct{ Path, Secret string }

// AskLink calls one of the issuing API's operations for the card with that number in the fixtures.
func AskLink(t testing.TB, client *contracttest.Client, operation string, card int, requestID string, more ...contracttest.Option) *contracttest.Reply {
	t.Helper()
	options := append([]contracttest.Option{
		contracttest.Header("x-api-key", "hashdt-sandbox.hashdt-sandbox-secret"),
		contracttest.Header("x-product-id", "00000000-0000-7000-8000-00000000a001"),
		contracttest.Header("x-cardholder-id", fmt.Sprintf("CH%08d", card)),
		contracttest.Header("x-wallet-id", fmt.Sprintf("WL%08d", card)),
		contracttest.Header("x-card-id", fmt.Sprintf("CD%08d", card)),
		contracttest.Header("x-request-id", requestID),
	}, more...)
	return client.For(t).Do(http.MethodGet, "/issuing/api/v1/card/"+operation, options...)
}

// ParseLink takes a link apart.
func ParseLink(t testing.TB, text string) Link {
	t.Helper()
	u, err := url.Parse(text)
	require.NoError(t, err)
	return Link{Path: u.Path, Secret: u.Fragment}
}

// NewLink is a link for a card.
func NewLink(t testing.TB, client *contracttest.Client, operation string, card int) Link {
	t.Helper()
	id := fmt.Sprintf("%s-%d-%s", operation, card, rand.Text())
	return ParseLink(t, AskLink(t, client, operation, card, id).ExpectStatus(http.StatusOK).Text("/data/0/set_pin_url"))
}

// Session is a link whose secret was exchanged.
type Session struct {
	Link
	Token string
	Key   *ecdh.PublicKey
}

// Exchange exchanges the secret, once.
func (l Link) Exchange(t testing.TB, client *contracttest.Client) Session {
	t.Helper()
	return l.Exchanged(t, l.Try(t, client, l.Secret).ExpectStatus(http.StatusOK))
}

// Try exchanges a secret, with what options say of the browser.
func (l Link) Try(t testing.TB, client *contracttest.Client, secret string, options ...contracttest.Option) *contracttest.Reply {
	t.Helper()
	return client.For(t).Do(http.MethodPost, l.Path+"/exchange", append(options, contracttest.JSON(map[string]string{"secret": secret}))...)
}

// Exchanged is the session that an exchange was answered with.
func (l Link) Exchanged(t testing.TB, reply *contracttest.Reply) Session {
	t.Helper()
	point := []byte{4}
	for _, coordinate := range []string{"/key/x", "/key/y"} {
		raw, err := base64.RawURLEncoding.DecodeString(reply.Text(coordinate))
		require.NoError(t, err)
		point = append(point, raw...)
	}
	key, err := ecdh.P256().NewPublicKey(point)
	require.NoError(t, err)
	return Session{Link: l, Token: reply.Text("/token"), Key: key}
}

// Seal encrypts a message as the page does.
func (s Session) Seal(t testing.TB, message string) string {
	t.Helper()
	sealed, err := jwe.Encrypt([]byte(message), jwe.WithKey(jwa.ECDH_ES(), s.Key), jwe.WithContentEncryption(jwa.A256GCM()))
	require.NoError(t, err)
	return string(sealed)
}

// PINMessage is what the page encrypts.
func PINMessage(purpose, digits string) string {
	return fmt.Sprintf("%-64s", fmt.Sprintf(`{"for":%q,"pin":%q}`, purpose, digits))
}

// Submit sends a PIN for a purpose, which is the path's last segment too.
func (s Session) Submit(t testing.TB, client *contracttest.Client, purpose, digits string) *contracttest.Reply {
	t.Helper()
	return s.Send(t, client, purpose, s.Seal(t, PINMessage(purpose, digits)))
}

// Send sends what is sealed, or is to be taken for it.
func (s Session) Send(t testing.TB, client *contracttest.Client, step, sealed string) *contracttest.Reply {
	t.Helper()
	return client.For(t).Do(http.MethodPost, s.Path+"/"+step, contracttest.JSON(map[string]string{"token": s.Token, "pin": sealed}))
}

// The cards of the fixtures, by number, that links in documented rows are for: a first PIN can be chosen only where none was.
var linked = map[string]int{"setpin": 4, "resetpin": 1, "changepin": 1}

var sessionID = regexp.MustCompile(`[0-9a-f-]{36}`)

// Begun is a row with the session of a link that was just made.
func Begun(t testing.TB, client *contracttest.Client, c contracttest.Conversation) contracttest.Conversation {
	t.Helper()
	link := NewLink(t, client, c.Session.Link, linked[c.Session.Link])
	c.Path = sessionID.ReplaceAllLiteralString(c.Path, strings.TrimPrefix(link.Path, "/hosted/pin/"))
	if c.Body == nil || c.Raw {
		return c
	}
	body := map[string]string{"secret": link.Secret}
	if message := c.Session.Message; message != nil {
		session := link.Exchange(t, client)
		body = map[string]string{"token": session.Token, "pin": session.Seal(t, PINMessage(message["for"].(string), message["pin"].(string)))}
	}
	var err error
	c.Body, err = json.Marshal(body)
	require.NoError(t, err)
	return c
}
