// Package thredd answers Thredd's Cards API for PIN management over the vault.
//
// It fills the interface generated from openapi/thredd.yaml, which holds every rule about a field.
// What a reply says and when is in the contract; [API.Render] renders every error.
package thredd

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	openapi_types "github.com/oapi-codegen/runtime/types"

	"pinvault/generated/thredd"
	"pinvault/impl/contract"
	"pinvault/impl/idempotency"
	"pinvault/impl/pin"
)

// Name is the contract's name: that of its document and of its clients.
const Name = "thredd"

const (
	tokenTTL    = 4 * time.Hour // the token's 14,400 s
	replayTTL   = time.Hour     // of an IdempotencyKey, from its first use
	longestLife = 20            // years from the day on which a card is made
)

// Vault is what this contract needs of [pin.Vault].
type Vault interface {
	Card(ctx context.Context, q pin.Query) (pin.Record, error)
	CreateCard(ctx context.Context, n pin.NewCard, m pin.Memo) (pin.Card, error)
	SetPIN(ctx context.Context, q pin.Query, o pin.Offer, m pin.Memo) error
	RevealPIN(ctx context.Context, q pin.Query) (pin.PIN, error)
	Unblock(ctx context.Context, q pin.Query, m pin.Memo) error
	MaskedPAN(c pin.Card) (string, error)
}

// Tokens issues a bearer token for a client credentials form. It returns the token and the scopes
// granted; a refusal is a [TokenError], any other failure a [pin.Error].
type Tokens func(ctx context.Context, authorization string, form url.Values, contract string, ttl time.Duration) (token string, scopes []string, err error)

// API answers the contract.
type API struct {
	vault  Vault
	once   *idempotency.Guard
	tokens Tokens
	now    func() time.Time
}

// New makes the API. now defaults to the clock.
func New(vault Vault, once *idempotency.Guard, tokens Tokens, now func() time.Time) *API {
	if now == nil {
		now = time.Now
	}
	return &API{vault: vault, once: once, tokens: tokens, now: now}
}

// Mount registers the operations. Errors go to fail.
func (a *API) Mount(r gin.IRouter, fail func(*gin.Context, error)) { thredd.Mount(r, a, fail) }

func byToken(publicToken string) pin.Query {
	return pin.Query{References: []pin.Reference{{Kind: pin.KindPublicToken, Value: publicToken}}}
}

// do runs an effect once per IdempotencyKey. The subject is what the path names.
func (a *API) do(ctx context.Context, key *string, operation, subject string, m pin.Memo, effect func(pin.Memo) error) error {
	_, err := once(ctx, a, key, operation, subject, m, func(m pin.Memo) (struct{}, error) { return struct{}{}, effect(m) })
	return err
}

func once[T any](ctx context.Context, a *API, key *string, operation, subject string, m pin.Memo, effect func(pin.Memo) (T, error)) (T, error) {
	if key == nil {
		return effect(m)
	}
	content, _ := contract.Sent(contract.Request(ctx))
	result, _, err := idempotency.Once(ctx, a.once, idempotency.Request{
		Scope: pin.CallerFrom(ctx).ClientID, Key: strings.ToLower(*key), Endpoint: operation + " " + subject, Content: content, TTL: replayTTL, OnCard: subject != "",
	}, m, effect)
	return result, quoted(err, *key)
}

// SetCardPin gives the card a chosen PIN.
func (a *API) SetCardPin(ctx context.Context, r thredd.SetCardPinRequestObject) (thredd.SetCardPinResponseObject, error) {
	p, err := pin.New([]byte(r.Body.Pin))
	if err != nil {
		return nil, err
	}
	defer p.Clear()
	err = a.do(ctx, r.Params.IdempotencyKey, "setCardPin", r.PublicToken, memo(r.Body.Description, r.Body.UpdatedBy), func(m pin.Memo) error {
		return a.vault.SetPIN(ctx, byToken(r.PublicToken), pin.Plain(p), m)
	})
	return thredd.SetCardPin204Response{}, err
}

// GetCardPin reads the PIN back.
func (a *API) GetCardPin(ctx context.Context, r thredd.GetCardPinRequestObject) (thredd.GetCardPinResponseObject, error) {
	p, err := a.vault.RevealPIN(ctx, byToken(r.PublicToken))
	if err != nil {
		return nil, err
	}
	defer p.Clear()
	return thredd.GetCardPin200JSONResponse{
		Body:    thredd.Pin{Pin: string(p.Digits())},
		Headers: thredd.GetCardPin200ResponseHeaders{CacheControl: "no-store"},
	}, nil
}

// GetCardPinStatus tells whether the PIN is blocked and how many tries remain.
func (a *API) GetCardPinStatus(ctx context.Context, r thredd.GetCardPinStatusRequestObject) (thredd.GetCardPinStatusResponseObject, error) {
	rec, err := a.vault.Card(ctx, byToken(r.PublicToken))
	if err != nil {
		return nil, err
	}
	if !rec.Card.Operable() {
		return nil, &pin.Error{Code: pin.CardStatus}
	}
	status := thredd.PinStatusStatusUnblocked
	if rec.Blocked() {
		status = thredd.PinStatusStatusBlocked
	}
	return thredd.GetCardPinStatus200JSONResponse{Status: status, RemainingTries: strconv.Itoa(rec.RemainingTries())}, nil
}

// UnblockCardPin puts the try counter back to its maximum.
func (a *API) UnblockCardPin(ctx context.Context, r thredd.UnblockCardPinRequestObject) (thredd.UnblockCardPinResponseObject, error) {
	body := r.Body
	if body == nil {
		body = &thredd.UnblockPinRequest{}
	}
	err := a.do(ctx, r.Params.IdempotencyKey, "unblockCardPin", r.PublicToken, memo(body.Description, body.UpdatedBy), func(m pin.Memo) error {
		return a.vault.Unblock(ctx, byToken(r.PublicToken), m)
	})
	return thredd.UnblockCardPin204Response{}, err
}

// CreateCard makes a card with a random PIN and a public token.
func (a *API) CreateCard(ctx context.Context, r thredd.CreateCardRequestObject) (thredd.CreateCardResponseObject, error) {
	card, err := once(ctx, a, r.Params.IdempotencyKey, "createCard", "", pin.Memo{}, func(m pin.Memo) (pin.Card, error) {
		expiry, err := expiryMonth(r.Body.ExpiryDate.Time, a.now())
		if err != nil {
			return pin.Card{}, err
		}
		return a.vault.CreateCard(ctx, pin.NewCard{
			PublicToken: true, PAN: text(r.Body.Pan), Expiry: expiry,
			Attributes: pin.Attributes{CustomerReference: text(r.Body.CustomerReference), EmbossName: text(r.Body.EmbossName)},
		}, m)
	})
	if err != nil {
		return nil, err
	}
	masked, err := a.vault.MaskedPAN(card)
	if err != nil {
		return nil, err
	}
	expires, err := lastDay(card.Expiry, card.CreatedAt)
	return thredd.CreateCard201JSONResponse{
		PublicToken: card.Reference(pin.KindPublicToken), CustomerReference: sent(card.CustomerReference),
		EmbossName: sent(card.EmbossName), MaskedPan: sent(masked),
		StartDate: openapi_types.Date{Time: card.CreatedAt}, ExpiryDate: openapi_types.Date{Time: expires},
	}, err
}

// IssueToken exchanges client credentials, from the form or HTTP Basic, for a bearer token.
func (a *API) IssueToken(ctx context.Context, r thredd.IssueTokenRequestObject) (thredd.IssueTokenResponseObject, error) {
	request := contract.Request(ctx)
	token, scopes, err := a.tokens(ctx, request.Header.Get("Authorization"), request.PostForm, Name, tokenTTL)
	if err != nil {
		return nil, err
	}
	return thredd.IssueToken200JSONResponse{
		Body: thredd.TokenResponse{AccessToken: token, TokenType: thredd.TokenResponseTokenTypeBearer,
			ExpiresIn: int32(tokenTTL.Seconds()), Scope: sent(strings.Join(scopes, " "))},
		Headers: thredd.IssueToken200ResponseHeaders{CacheControl: "no-store"},
	}, nil
}

func memo(description, updatedBy *string) pin.Memo {
	return pin.Memo{Description: text(description), UpdatedBy: text(updatedBy)}
}

// expiryMonth is the month, YYMM, of the last day on which a card is good: a row for one that is not from today,
// in UTC, to longestLife years ahead. Within these, two digits tell the century.
func expiryMonth(day, now time.Time) (string, error) {
	today := now.UTC().Truncate(24 * time.Hour)
	if day.Before(today) || day.After(today.AddDate(longestLife, 0, 0)) {
		return "", expiryOutside
	}
	return day.Format("0601"), nil
}

// lastDay is the last day of an expiry month, YYMM, of a card made at a time: the first such month since then.
func lastDay(expiry string, made time.Time) (time.Time, error) {
	month, err := time.Parse("0601", expiry)
	centuries := (made.UTC().Year() - month.Year() + 99) / 100
	return month.AddDate(100*centuries, 1, -1), err
}

// text is "" for a member that was not sent.
func text(member *string) string {
	if member == nil {
		return ""
	}
	return *member
}

// sent leaves an empty text out of the reply.
func sent(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
