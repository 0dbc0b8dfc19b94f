// Package accosa answers Accosa's Reset PIN over the vault.
//
// It fills the interface generated from openapi/accosa.yaml, which holds every rule about a field, those
// of the messages inside the tokens included. What a reply says and when is in the contract; [API.Render]
// renders every error.
package accosa

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"strconv"
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
	wholeSecond = "20060102150405"
	maxKeys     = 2 // the current message key and, while keys are exchanged, the other one
)

// The sequences of a reply's numbers. References begin elsewhere, so that neither number is taken for the other.
const (
	transactions   = "accosa_ref" // goes on from where one sequence served both
	references     = "accosa_reference"
	firstReference = 1_000_001
)

// Vault is what this contract needs of [pin.Vault].
type Vault interface {
	Authenticate(ctx context.Context, id, secret string) (pin.Client, error)
	SecondFactor(ctx context.Context, c pin.Client, name, value string) (bool, error)
	Program(ctx context.Context, id string) (pin.Program, error)
	Find(ctx context.Context, q pin.Query, limit int) ([]pin.Record, error)
	MaskedPAN(c pin.Card) (string, error)
	Promise(ctx context.Context, sequence string) (draw func() int64, release func(), err error)
	ResetPIN(ctx context.Context, q pin.Query, o pin.Offer, m pin.Memo) error
}

// Keys finds the keys of tokens. [keyring.Ring] is one.
type Keys interface {
	TokenKeys(ctx context.Context, programID, keyID string, fixedIV []byte) ([]*keyring.TokenKey, error)
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
	right, err := a.vault.SecondFactor(c.Request.Context(), known.client, secureCode, c.GetHeader(secureCode))
	switch {
	case err != nil:
		return err
	case c.GetHeader("clientId") != known.settings.ClientID:
		return &pin.Error{Code: pin.Unauthorized}
	case c.GetHeader("bankId") != known.settings.BankID:
		return wrongBank
	case !right:
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
		Scope: known.client.ID, Key: known.message.clientTxnID, Endpoint: "resetPin", Content: known.message.content, TTL: known.settings.remembered(), OnCard: true,
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
		if object, isObject := value.(map[string]any); ok && isObject && known.key == nil {
			known.key, known.message = key, read(object, violations, a.fresh(known))
			contract.Opened(ctx, text)
		}
		clear(text)
	}
	if known.key == nil {
		return requestNotFound
	}
	return nil
}

// fresh tells whether a requestDateTime is one that the client may send now.
func (a *API) fresh(known *call) func(requestDateTime string) bool {
	return func(at string) bool { return near(at, a.now(), known.zone, known.settings.window()) }
}

// TokenKeys are a client's message keys that may be used, and those that came in their place, the current one first: at
// least one, or UnknownKey.
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
		usable, err := keys.TokenKeys(ctx, programID, id, iv)
		if err != nil && pin.CodeOf(err) != pin.UnknownKey {
			return nil, err
		}
		found = append(found, usable...)
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

// reset has the effect of a request, and makes the reply in the write of the change. The numbers are of the card's
// program, so that nobody reads from their gaps what others do.
func (a *API) reset(ctx context.Context, known *call, m pin.Memo) (reply accosa.ResetPinReply, err error) {
	p, err := pin.New([]byte(known.message.newPIN))
	if err != nil {
		return reply, err
	}
	defer p.Clear()
	var card pin.Card
	var transaction, reference number
	defer func() { transaction.release(); reference.release() }()
	q := a.query(known.message, func(found pin.Card) error {
		card = found
		within := pin.WithCaller(ctx, pin.CallerFrom(ctx).In(card.ProgramID))
		return cmp.Or(transaction.promise(within, a.vault, transactions), reference.promise(within, a.vault, references))
	})
	keep := m.Keep
	m.Keep = func(any) (pin.Replay, error) {
		reply = a.success(known, card, transaction.draw(), firstReference+reference.draw()-1)
		return keep(reply)
	}
	return reply, a.whose(ctx, a.vault.ResetPIN(ctx, q, pin.Plain(p), m))
}

// number is one of a reply, promised before the write that it goes with.
type number struct {
	draw func() int64
	done func()
}

func (n *number) promise(ctx context.Context, v Vault, sequence string) (err error) {
	n.draw, n.done, err = v.Promise(ctx, sequence)
	return err
}

func (n *number) release() {
	if n.done != nil {
		n.done()
	}
}

// success is the reply to a reset.
func (a *API) success(known *call, card pin.Card, transaction, reference int64) accosa.ResetPinReply {
	return accosa.ResetPinReply{
		Urn:                 number64(card.Reference(pin.KindURN)),
		CustomerID:          card.CustomerID,
		Description:         accosa.ResetPinReplyDescriptionResetPin,
		ResponseCode:        accosa.ResetPinReplyResponseCodeN00,
		MessageCode:         accosa.ResetPinReplyMessageCodeN1121,
		ClientTxnID:         known.message.clientTxnID,
		ClientID:            known.settings.ClientID,
		ResponseDateTime:    a.now().In(known.zone).Format(wholeSecond),
		AccosaTransactionID: transaction,
		ResponseMessage:     accosa.ResetPinReplyResponseMessageSuccess,
		AccosaRefNo:         strconv.FormatInt(reference, 10),
		BankID:              *number64(known.settings.BankID),
	}
}
