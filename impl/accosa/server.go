// Package accosa answers Accosa's Reset PIN over the vault.
//
// It fills the interface generated from openapi/accosa.yaml, which holds every rule about a field, those
// of the messages inside the tokens included. What a reply says and when is in the contract; [API.Render]
// renders every error.
package accosa

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"pinvault/generated/accosa"
	"pinvault/impl/contract"
	"pinvault/impl/idempotency"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// Name is the contract's name: that of its document and of its clients.
const Name = "accosa"

const (
	replayTTL   = 24 * time.Hour // of a clientTxnId, from its first use
	sequence    = "accosa_ref"   // of accosaRefNo
	wholeSecond = "20060102150405"
	maxKeys     = 2 // the current message key and, while keys are exchanged, the other one
)

// Vault is what this contract needs of [pin.Vault].
type Vault interface {
	Authenticate(ctx context.Context, id, secret string) (pin.Client, error)
	SettingMatches(c pin.Client, name, value string) bool
	Program(ctx context.Context, id string) (pin.Program, error)
	Find(ctx context.Context, q pin.Query, limit int) ([]pin.Record, error)
	MaskedPAN(c pin.Card) (string, error)
	Number(ctx context.Context, sequence string) (int64, error)
	ResetPIN(ctx context.Context, q pin.Query, o pin.Offer, m pin.Memo) error
}

// Keys finds the keys of tokens. [keyring.Ring] is one.
type Keys interface {
	TokenKey(ctx context.Context, programID, keyID string, fixedIV []byte) (*keyring.TokenKey, error)
}

// Messages checks what is inside a token. The contract's own [contract.Document] does.
type Messages interface {
	CheckMessage(schemaName string, data []byte) (any, []contract.Violation)
}

// API answers the contract.
type API struct {
	vault    Vault
	keys     Keys
	messages Messages
	once     *idempotency.Guard
	now      func() time.Time
	random   io.Reader
}

// New makes the API. now and random, where the IVs of replies come from, default to the clock and to the
// system's random source.
func New(vault Vault, keys Keys, messages Messages, once *idempotency.Guard, now func() time.Time, random io.Reader) *API {
	if now == nil {
		now = time.Now
	}
	if random == nil {
		random = rand.Reader
	}
	return &API{vault: vault, keys: keys, messages: messages, once: once, now: now, random: random}
}

// Mount registers the operations. Errors go to fail.
func (a *API) Mount(r gin.IRouter, fail func(*gin.Context, error)) { accosa.Mount(r, a, fail) }

// call is what is known of the request under way.
type call struct {
	client   pin.Client
	settings clientSettings
	schema   string            // that the document describes the message by
	zone     *time.Location    // of the client's program
	key      *keyring.TokenKey // that opened the request; nil until one has
	message  message
}

type callKey struct{}

// callOf is nil for a request of nobody we know.
func callOf(ctx context.Context) *call {
	known, _ := ctx.Value(callKey{}).(*call)
	return known
}

// Authorize knows a caller by the API key, then by the other headers.
func (a *API) Authorize(c *gin.Context, op *contract.Operation) (pin.Caller, error) {
	key := c.GetHeader("x-api-key")
	if key == "" {
		return pin.Caller{}, noAPIKey
	}
	id, secret := pin.SplitAPIKey(key)
	if !utf8.ValidString(id) { // which no database would look for
		return pin.Caller{}, &pin.Error{Code: pin.Unauthorized}
	}
	client, err := a.vault.Authenticate(c.Request.Context(), id, secret)
	if err == nil && client.Contract != Name {
		err = &pin.Error{Code: pin.Unauthorized}
	}
	if err != nil {
		return pin.Caller{}, err
	}
	known := &call{client: client, schema: contract.MessageSchema(op.Spec.RequestBody.Value.Content.Get("application/json").Extensions)}
	if known.settings, err = ofClients.Read(client.Settings); err != nil {
		return pin.Caller{}, err
	}
	if known.zone, err = a.zone(pin.WithCaller(c.Request.Context(), client.Caller()), client); err != nil {
		return pin.Caller{}, err
	}
	c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), callKey{}, known))
	return client.Caller(), a.admit(c, known)
}

// zone is the time zone of the client's program.
func (a *API) zone(ctx context.Context, c pin.Client) (*time.Location, error) {
	if c.ProgramID == "" {
		return time.UTC, nil
	}
	program, err := a.vault.Program(ctx, c.ProgramID)
	if err != nil {
		return nil, err
	}
	return time.LoadLocation(program.TimeZone)
}

// admit holds the headers beside the API key against the client's settings. Whatever is absent comes
// before what is wrong.
func (a *API) admit(c *gin.Context, known *call) error {
	for _, h := range mandatory {
		if c.GetHeader(h.name) == "" {
			return h.absent
		}
	}
	switch {
	case c.GetHeader("clientId") != known.settings.ClientID:
		return &pin.Error{Code: pin.Unauthorized}
	case c.GetHeader("bankId") != known.settings.BankID:
		return wrongBank
	case !a.vault.SettingMatches(known.client, secureCode, c.GetHeader(secureCode)):
		return wrongSecureCode
	case c.GetHeader("entityId") == "":
		return missing("entityId")
	case c.GetHeader("entityId") != known.settings.EntityID:
		return invalid("entityId")
	}
	return nil
}

// ResetPin gives a card another PIN in place of a forgotten one.
func (a *API) ResetPin(ctx context.Context, r accosa.ResetPinRequestObject) (accosa.ResetPinResponseObject, error) {
	known := callOf(ctx)
	if err := a.open(ctx, known, r.Body.Token); err != nil {
		return nil, err
	}
	defer clear(known.message.content)
	if err := known.message.fault(); err != nil {
		return nil, err
	}
	reply, _, err := idempotency.Once(ctx, a.once, idempotency.Request{
		Scope: known.client.ID, Key: known.message.clientTxnID, Endpoint: "resetPin", Content: known.message.content, TTL: replayTTL,
	}, pin.Memo{}, func(m pin.Memo) (accosa.ResetPinReply, error) { return a.reset(ctx, known, m) })
	if err != nil {
		return nil, err
	}
	token, err := a.seal(ctx, known.key, reply)
	return accosa.ResetPin200JSONResponse(token), err
}

// open opens the token with the client's keys and reads the message. Each key does all the work there
// is, whatever came of the one before and wherever the token is broken; only then the outcome is looked
// at, and every failure is the same error. So neither reply nor time tells a wrong padding from a
// message that makes no sense.
func (a *API) open(ctx context.Context, known *call, token string) error {
	keys, err := known.settings.tokenKeys(ctx, a.keys, known.client.ProgramID)
	if err != nil {
		return err
	}
	for _, key := range keys {
		text, ok := key.Open(token)
		value, violations := a.messages.CheckMessage(known.schema, text)
		clear(text)
		if object, isObject := value.(map[string]any); ok && isObject && known.key == nil {
			known.key, known.message = key, read(object, violations)
		}
	}
	if known.key == nil {
		return requestNotFound
	}
	return nil
}

// TokenKeys are a client's message keys that may be used, the current one first: at least one, or
// UnknownKey.
func TokenKeys(ctx context.Context, keys Keys, c pin.Client) ([]*keyring.TokenKey, error) {
	own, err := ofClients.Read(c.Settings)
	if err != nil {
		return nil, err
	}
	return own.tokenKeys(ctx, keys, c.ProgramID)
}

func (s clientSettings) tokenKeys(ctx context.Context, keys Keys, programID string) ([]*keyring.TokenKey, error) {
	iv, err := s.iv()
	if err != nil {
		return nil, err
	}
	var found []*keyring.TokenKey
	for _, id := range s.MessageKeyIDs[:min(maxKeys, len(s.MessageKeyIDs))] {
		key, err := keys.TokenKey(ctx, programID, id, iv)
		if err != nil && pin.CodeOf(err) != pin.UnknownKey {
			return nil, err
		}
		if err == nil {
			found = append(found, key)
		}
	}
	if found == nil {
		return nil, &pin.Error{Code: pin.UnknownKey}
	}
	return found, nil
}

// seal makes the token of a reply.
func (a *API) seal(ctx context.Context, key *keyring.TokenKey, reply any) (accosa.Token, error) {
	text, err := json.Marshal(reply)
	if err != nil {
		return accosa.Token{}, err
	}
	contract.Inside(ctx, text)
	token, err := key.Seal(a.random, text)
	return accosa.Token{Token: token}, err
}

// reset has the effect of a request, and makes the reply in the write of the change.
func (a *API) reset(ctx context.Context, known *call, m pin.Memo) (reply accosa.ResetPinReply, err error) {
	if err := a.oneCustomer(ctx, known.message.mobileNumber); err != nil {
		return reply, err
	}
	p, err := pin.New([]byte(known.message.newPIN))
	if err != nil {
		return reply, err
	}
	defer p.Clear()
	number, err := a.vault.Number(ctx, sequence)
	if err != nil {
		return reply, err
	}
	var card pin.Card
	keep := m.Keep
	m.Keep = func(any) (pin.Replay, error) {
		reply = a.success(known, card, number)
		return keep(reply)
	}
	err = a.vault.ResetPIN(ctx, pin.Query{
		References: []pin.Reference{{Kind: pin.KindURN, Value: known.message.urn}},
		Check: func(rec pin.Record) error {
			card = rec.Card
			return a.check(rec, known.message)
		},
	}, pin.Plain(p), m)
	if other, ok := errors.AsType[elsewhere](err); ok {
		err = a.whose(ctx, other)
	}
	return reply, err
}

// success is the reply to a reset.
func (a *API) success(known *call, card pin.Card, number int64) accosa.ResetPinReply {
	return accosa.ResetPinReply{
		Urn:                 *number64(known.message.urn),
		CustomerID:          card.CustomerID,
		Description:         accosa.ResetPinReplyDescriptionResetPin,
		ResponseCode:        accosa.ResetPinReplyResponseCodeN00,
		MessageCode:         accosa.ResetPinReplyMessageCodeN1121,
		ClientTxnID:         known.message.clientTxnID,
		ClientID:            known.settings.ClientID,
		ResponseDateTime:    a.now().In(known.zone).Format(wholeSecond),
		AccosaTransactionID: number,
		ResponseMessage:     accosa.ResetPinReplyResponseMessageSuccess,
		AccosaRefNo:         strconv.FormatInt(number, 10),
		BankID:              *number64(known.settings.BankID),
	}
}

// check holds what else the message says of the card against it.
func (a *API) check(rec pin.Record, m message) error {
	masked, err := a.vault.MaskedPAN(rec.Card)
	if err != nil {
		return err
	}
	own, err := ofPrograms.Read(rec.Program.Settings[Name])
	switch {
	case err != nil:
		return err
	case !strings.HasSuffix(masked, m.last4Digits):
		return &pin.Error{Code: pin.NotFound}
	case m.customerID != "" && m.customerID != rec.Card.CustomerID:
		return elsewhere{pin.Holder{CustomerID: m.customerID}, unknownCustomer}
	case m.cardProfileID == "" && own.CardProfileMandatory:
		return profileMandatory
	case m.cardProfileID != "" && m.cardProfileID != rec.Card.CardProfileID:
		return elsewhere{pin.Holder{CardProfileID: m.cardProfileID}, invalidProfile}
	}
	return nil
}

// elsewhere is what the card does not have: another card has it, or it is unknown.
type elsewhere struct {
	holder  pin.Holder
	unknown row
}

// Error is that of the row for what is unknown.
func (e elsewhere) Error() string { return e.unknown.Error() }

// whose is the mismatch of what belongs to other cards, or unknown for what belongs to none.
func (a *API) whose(ctx context.Context, e elsewhere) error {
	others, err := a.vault.Find(ctx, pin.Query{Holder: e.holder}, 1)
	switch {
	case err != nil:
		return err
	case len(others) == 0:
		return e.unknown
	}
	return mismatch
}

// oneCustomer refuses a mobile number that several customers have. Cards keep its digits.
func (a *API) oneCustomer(ctx context.Context, mobile string) error {
	if mobile = strings.TrimPrefix(mobile, "+"); mobile == "" {
		return nil
	}
	cards, err := a.vault.Find(ctx, pin.Query{Holder: pin.Holder{MobileNumber: mobile}}, mostWithNumber)
	for _, rec := range cards {
		if rec.Card.CustomerID != cards[0].Card.CustomerID {
			return severalCustomers
		}
	}
	return err
}

// mostWithNumber bounds how many cards with one mobile number are looked at.
const mostWithNumber = 100
