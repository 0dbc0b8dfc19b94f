// Package networkintl answers Network International's Card Change PIN over the vault.
//
// It fills the interface generated from openapi/networkintl.yaml, which holds every rule about a field.
// What a reply says and when is in the contract; [API.Render] renders every error.
package networkintl

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"time"

	"github.com/gin-gonic/gin"

	"pinvault/generated/networkintl"
	"pinvault/impl/contract"
	"pinvault/impl/idempotency"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// Name is the contract's name: that of its document and of its clients.
const Name = "networkintl"

const (
	replayTTL = 24 * time.Hour // of a msg_id, from its first use
	maxNewPIN = 6              // digits
)

// Vault is what this contract needs of [pin.Vault].
type Vault interface {
	ChangePIN(ctx context.Context, q pin.Query, old, chosen pin.Offer, m pin.Memo) (pin.Verification, error)
	Remember(ctx context.Context, result any, m pin.Memo) error
	Client(ctx context.Context, id string) (pin.Client, error)
	Program(ctx context.Context, id string) (pin.Program, error)
}

// Keys describes zone PIN keys. [keyring.Ring] is one.
type Keys interface {
	PINKey(ctx context.Context, programID, keyID string) (keyring.PINKey, error)
	PINCertificate(ctx context.Context, programID, keyID string) ([]byte, error)
}

// API answers the contract.
type API struct {
	vault Vault
	keys  Keys
	guard *idempotency.Guard
	now   func() time.Time
}

// New makes the API. now defaults to the clock.
func New(vault Vault, keys Keys, once *idempotency.Guard, now func() time.Time) *API {
	if now == nil {
		now = time.Now
	}
	return &API{vault: vault, keys: keys, guard: once, now: now}
}

// clock is the time in UTC, as exact as replies tell it.
func (a *API) clock() time.Time { return a.now().UTC().Truncate(time.Millisecond) }

// Mount registers the operations. Errors go to fail.
func (a *API) Mount(r gin.IRouter, fail func(*gin.Context, error)) { networkintl.Mount(r, a, fail) }

// ChangeCardPinV1 changes the PIN of the card with a PAN.
func (a *API) ChangeCardPinV1(ctx context.Context, r networkintl.ChangeCardPinV1RequestObject) (networkintl.ChangeCardPinV1ResponseObject, error) {
	m := r.Body.NISrvRequest.RequestCardPinChange
	reply, err := a.change(ctx, change{
		operation: "changeCardPinV1", header: m.Header, card: pin.Reference{Kind: pin.KindPAN, Value: m.Body.CardNumber},
		sequence: m.Body.CardSequenceNumber, expiry: m.Body.CardExpiryDate, old: m.Body.EncryptedOldPin, chosen: m.Body.EncryptedNewPin,
	})
	return networkintl.ChangeCardPinV1200JSONResponse(reply), err
}

// kinds are the card_identifier_types of version 2.
var kinds = map[networkintl.BodyV2CardIdentifierType]pin.Kind{
	networkintl.BodyV2CardIdentifierTypeCONTRACTNUMBER: pin.KindContractNumber,
	networkintl.BodyV2CardIdentifierTypeEXID:           pin.KindEXID,
}

// ChangeCardPinV2 changes the PIN of the card with a contract number or external id.
func (a *API) ChangeCardPinV2(ctx context.Context, r networkintl.ChangeCardPinV2RequestObject) (networkintl.ChangeCardPinV2ResponseObject, error) {
	m := r.Body.NISrvRequest.RequestCardPinChange
	reply, err := a.change(ctx, change{
		operation: "changeCardPinV2", header: m.Header, card: pin.Reference{Kind: kinds[m.Body.CardIdentifierType], Value: m.Body.CardIdentifierID},
		sequence: m.Body.CardSequenceNumber, expiry: m.Body.CardExpiryDate, old: m.Body.EncryptedOldPin, chosen: m.Body.EncryptedNewPin,
	})
	return networkintl.ChangeCardPinV2200JSONResponse(reply), err
}

// change is a request of either version.
type change struct {
	operation   string
	header      networkintl.RequestHeader
	card        pin.Reference
	sequence    *string
	expiry      string // YYMM
	old, chosen string // PIN blocks in hex
}

// answer is how a change ended, as it is kept for a repetition of the request.
type answer struct {
	Code pin.Code  `json:"code,omitempty"` // "": the PIN was changed
	At   time.Time `json:"at"`
}

func (a *API) change(ctx context.Context, r change) (networkintl.CardPinChangeResponse, error) {
	known := checkedFrom(ctx)
	kept, err := a.once(ctx, known, r)
	switch {
	case err != nil:
		return networkintl.CardPinChangeResponse{}, err
	case kept.Code != "":
		return networkintl.CardPinChangeResponse{}, refusal{&pin.Error{Code: kept.Code}, kept.At}
	}
	return a.reply(contract.Request(ctx), known.tenant, nil, success, kept.At), nil
}

// once has the effect of a request, unless its msg_id is that of an earlier one of the same source: then that
// one's answer comes back.
func (a *API) once(ctx context.Context, known checked, r change) (answer, error) {
	old, chosen, err := r.offers(known.key)
	if err != nil {
		return answer{}, err
	}
	content, _ := contract.Sent(contract.Request(ctx))
	kept, _, err := idempotency.Once(ctx, a.guard, idempotency.Request{
		Scope: pin.CallerFrom(ctx).ClientID, Key: r.messageID(), Endpoint: r.operation, Content: content, TTL: replayTTL, OnCard: true,
	}, pin.Memo{}, func(m pin.Memo) (answer, error) {
		return a.effect(ctx, r.query(known.tenant), old, chosen, m)
	})
	return kept, err
}

// effect changes the PIN, and keeps how that ended whatever it was. Where there is nothing to try, the
// card being unknown or of no use, that is kept too: a msg_id must not tell.
func (a *API) effect(ctx context.Context, q pin.Query, old, chosen pin.Offer, m pin.Memo) (answer, error) {
	out := answer{At: a.clock()}
	keep := m.Keep
	m.Keep = func(result any) (pin.Replay, error) {
		if v, ok := result.(pin.Verification); ok {
			out.Code = outcome(v)
		}
		return keep(out)
	}
	_, err := a.vault.ChangePIN(ctx, q, old, chosen, m)
	if code := pin.CodeOf(err); code != "" && rows.Row(code) == cardIssue {
		out.Code = code
		err = a.vault.Remember(ctx, nil, m)
	}
	return out, err
}

// outcome is the code of an attempt, "" for a PIN that was changed.
func outcome(v pin.Verification) pin.Code {
	if v.Result == pin.Rejected {
		return v.Reason
	}
	return map[pin.Result]pin.Code{pin.Mismatch: pin.WrongPIN, pin.Exhausted: pin.Blocked, pin.Opaque: pin.Unopenable}[v.Result]
}

// messageID is unique: each source counts its own messages. No field has the character between the two.
func (r change) messageID() string { return r.header.SrcApplication + "\n" + r.header.MsgID }

// query finds the card, if its expiry date is that of the request and, in a C+ program, its sequence number.
// Elsewhere that only chooses among cards of one number: where none was sent, the one that has none.
func (r change) query(t tenant) pin.Query {
	sequence := ""
	if r.sequence != nil {
		sequence = *r.sequence
	}
	return pin.Query{References: []pin.Reference{r.card}, Sequence: &sequence, Check: func(rec pin.Record) error {
		if rec.Card.Expiry != r.expiry || t.cPlus && rec.Card.Sequence != sequence {
			return &pin.Error{Code: pin.NotFound}
		}
		return nil
	}}
}

// offers are the old PIN and the new one, which must be no longer than the contract allows.
func (r change) offers(key chosenKey) (old, chosen pin.Offer, err error) {
	oldBlock, err := hex.DecodeString(r.old)
	if err != nil {
		return nil, nil, contract.Unbound
	}
	newBlock, err := hex.DecodeString(r.chosen)
	if err != nil {
		return nil, nil, contract.Unbound
	}
	fresh := pin.Encrypted(key.id, key.Format, newBlock)
	chosen = func(ctx context.Context, v *pin.Vault, rec pin.Record) (pin.PIN, error) {
		p, err := fresh(ctx, v, rec)
		if err == nil && p.Len() > maxNewPIN {
			p.Clear()
			return pin.PIN{}, &pin.Error{Code: pin.PINLength}
		}
		return p, err
	}
	return pin.Encrypted(key.id, key.Format, oldBlock), chosen, nil
}

// GetPinCertificate shows the public key that PIN blocks are encrypted to.
func (a *API) GetPinCertificate(ctx context.Context, r networkintl.GetPinCertificateRequestObject) (networkintl.GetPinCertificateResponseObject, error) {
	der, err := a.certificate(ctx, checkedFrom(ctx).tenant, r.Params.EncryptionKeyID)
	if err != nil {
		return nil, err
	}
	return networkintl.GetPinCertificate200JSONResponse{Certificate: base64.StdEncoding.EncodeToString(der)}, nil
}

// certificate is the certificate of a key (DER), or of the first of the client's keys that has one.
func (a *API) certificate(ctx context.Context, t tenant, named *string) ([]byte, error) {
	if named != nil {
		return a.keys.PINCertificate(ctx, t.program.ID, *named)
	}
	key, err := a.defaultKey(ctx, t, asymmetric)
	if err != nil {
		return nil, err
	}
	if key.id == "" {
		return nil, contract.NoRoute
	}
	return a.keys.PINCertificate(ctx, t.program.ID, key.id)
}
