// Package hashdt answers the issuing API's set, reset and change of a PIN by hosted page: each hands out
// the link to a PIN-entry session.
//
// It fills the interface generated from openapi/hashdt.yaml, which holds every rule about a header. What
// the page behind the link does is impl/hosted's. [API.Render] renders every error.
package hashdt

import (
	"context"
	"encoding/json"
	"mime"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"pinvault/generated/hashdt"
	"pinvault/impl/contract"
	"pinvault/impl/idempotency"
	"pinvault/impl/pin"
	"pinvault/impl/pinsession"
)

// Name is the contract's name: that of its document and of its clients.
const Name = "hashdt"

// Vault is what this contract needs of [pin.Vault].
type Vault interface {
	Authenticate(ctx context.Context, id, secret string) (pin.Client, error)
	Program(ctx context.Context, id string) (pin.Program, error)
}

// Bearer tells whose token an Authorization header holds: Unauthorized, Unavailable.
type Bearer func(ctx context.Context, authorization string) (pin.Caller, error)

// API answers the contract.
type API struct {
	vault    Vault
	sessions *pinsession.Sessions
	once     *idempotency.Guard
	bearer   Bearer
	base     string
}

// New makes the API. base is the server's public URL, where the links lead.
func New(vault Vault, sessions *pinsession.Sessions, once *idempotency.Guard, bearer Bearer, base string) *API {
	return &API{vault: vault, sessions: sessions, once: once, bearer: bearer, base: strings.TrimSuffix(base, "/")}
}

// Mount registers the operations. Errors go to fail.
func (a *API) Mount(r gin.IRouter, fail func(*gin.Context, error)) { hashdt.Mount(r, a, fail) }

const (
	keyHeader   = "x-api-key"
	contentType = "Content-Type"
)

// Authorize knows a client by x-api-key, its id and secret with a full stop between. A bearer token need
// not be sent; one that is must be good, and the same client's.
func (a *API) Authorize(c *gin.Context, _ *contract.Operation) (pin.Caller, error) {
	ctx := c.Request.Context()
	key := c.GetHeader(keyHeader)
	if key == "" {
		return pin.Caller{}, header(keyHeader, contract.RuleRequired, "")
	}
	client, err := a.authenticate(ctx, key)
	if err != nil {
		return pin.Caller{}, err
	}
	caller := client.Caller()
	sent := c.GetHeader("Authorization")
	if sent == "" {
		return caller, nil
	}
	holder, err := a.bearer(ctx, sent)
	if err == nil && holder.ClientID != client.ID {
		err = &pin.Error{Code: pin.Unauthorized}
	}
	if pin.CodeOf(err) == pin.Unauthorized {
		err = bearerBad.as(err) // that of the API key would mislead
	}
	return caller, err
}

// authenticate finds the client of an API key. A database takes no text that is not UTF-8; no header brings
// control characters.
func (a *API) authenticate(ctx context.Context, key string) (pin.Client, error) {
	if !utf8.ValidString(key) {
		return pin.Client{}, &pin.Error{Code: pin.Unauthorized}
	}
	id, secret := pin.SplitAPIKey(key)
	client, err := a.vault.Authenticate(ctx, id, secret)
	if err == nil && client.Contract != Name {
		err = &pin.Error{Code: pin.Unauthorized}
	}
	return client, err
}

// header is the violation of a header that OpenAPI cannot describe or that decides who calls.
func header(name string, rule contract.Rule, limit string) error {
	return contract.Broken{{In: contract.InHeader, Pointer: name, Rule: rule, Limit: limit, Label: name}}
}

// call is a request as far as the three operations go: what a repetition must repeat.
type call struct {
	Product, Cardholder, Wallet, Card, RequestID string
}

// SetPin hands out a link to choose the first PIN.
func (a *API) SetPin(ctx context.Context, r hashdt.SetPinRequestObject) (hashdt.SetPinResponseObject, error) {
	p := r.Params
	link, err := a.link(ctx, pin.ActionSet, p.XClientID, call{p.XProductID, p.XCardholderID, p.XWalletID, p.XCardID, p.XRequestID})
	return hashdt.SetPin200JSONResponse(fetched("Set", link)), err
}

// ResetPin hands out a link to choose a PIN without the current one.
func (a *API) ResetPin(ctx context.Context, r hashdt.ResetPinRequestObject) (hashdt.ResetPinResponseObject, error) {
	p := r.Params
	link, err := a.link(ctx, pin.ActionReset, p.XClientID, call{p.XProductID, p.XCardholderID, p.XWalletID, p.XCardID, p.XRequestID})
	return hashdt.ResetPin200JSONResponse(fetched("Reset", link)), err
}

// ChangePin hands out a link to choose a PIN with the current one.
func (a *API) ChangePin(ctx context.Context, r hashdt.ChangePinRequestObject) (hashdt.ChangePinResponseObject, error) {
	p := r.Params
	link, err := a.link(ctx, pin.ActionChange, p.XClientID, call{p.XProductID, p.XCardholderID, p.XWalletID, p.XCardID, p.XRequestID})
	return hashdt.ChangePin200JSONResponse(fetched("Change", link)), err
}

func fetched(what, link string) hashdt.Fetched {
	return hashdt.Fetched{Status: hashdt.FetchedStatusSuccess, Message: hashdt.FetchedMessage(what + " PIN URL fetched successfully."),
		Code: 200, Data: []hashdt.Link{{SetPinURL: link}}}
}

// link makes a session, once per x-request-id while its link serves, and its URL, which is made again for a
// repeated request, because no table holds its secret.
func (a *API) link(ctx context.Context, action pin.Action, clientID *string, r call) (string, error) {
	if err := mediaType(contract.Request(ctx).Header.Get(contentType)); err != nil {
		return "", err
	}
	who := pin.CallerFrom(ctx)
	if clientID != nil && *clientID != who.ClientID {
		return "", clientOther.as(&pin.Error{Code: pin.Forbidden})
	}
	if err := a.product(ctx, who, r.Product); err != nil {
		return "", err
	}
	content, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	session, _, err := idempotency.OnceWhile(ctx, a.once, idempotency.Request{
		Scope: who.ClientID, Key: r.RequestID, Endpoint: string(action) + "Pin", Content: content, TTL: a.sessions.Lifetime(),
	}, pin.Memo{}, func(m pin.Memo) (pin.Session, error) { return a.open(ctx, action, r, m) },
		func(s pin.Session) (bool, error) { return a.sessions.Serves(ctx, s.ID) })
	if err != nil {
		return "", err
	}
	secret, err := a.sessions.Secret(session.ID)
	if err != nil {
		return "", err
	}
	return a.base + "/hosted/pin/" + session.ID + "#" + secret, nil
}

// product refuses, in one way, what is not the client's and what does not exist.
func (a *API) product(ctx context.Context, who pin.Caller, id string) error {
	if !who.Reaches(id) {
		return &pin.Error{Code: pin.Forbidden}
	}
	_, err := a.vault.Program(ctx, id)
	if pin.CodeOf(err) == pin.NotFound {
		err = &pin.Error{Code: pin.Forbidden}
	}
	return err
}

// open makes a session for the card, if it is the cardholder's and in the wallet.
func (a *API) open(ctx context.Context, action pin.Action, r call, m pin.Memo) (pin.Session, error) {
	q := pin.Query{ProgramID: r.Product, References: []pin.Reference{{Kind: pin.KindHashdtCardID, Value: r.Card}}, Check: func(rec pin.Record) error {
		if rec.Card.CardholderID != r.Cardholder || rec.Card.WalletID != r.Wallet {
			return &pin.Error{Code: pin.NotFound}
		}
		return nil
	}}
	session, err := a.sessions.Open(ctx, q, action, r.RequestID, m)
	return session, opened(err)
}

// opened is the error of a session that was to be made. A conflict over the PIN has a row of its own.
func opened(err error) error {
	if pin.CodeOf(err) == pin.Conflict && pin.FieldOf(err) == "pin" {
		return chosenAlready.as(err)
	}
	return err
}

// mediaType refuses a Content-Type other than application/json. The partner's document asks for one on
// a GET without a body; a call without is accepted.
func mediaType(sent string) error {
	if sent == "" {
		return nil
	}
	if plain, _, err := mime.ParseMediaType(sent); err != nil || plain != "application/json" {
		return header(contentType, contract.RuleEnum, "application/json")
	}
	return nil
}
