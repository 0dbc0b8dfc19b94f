package issuer

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	api "pinvault/generated/issuer"
	"pinvault/impl/contract"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
	"pinvault/impl/pinverification"
)

// PINServices is what the handlers ask of [pinservices.Services].
type PINServices interface {
	PVV(ctx context.Context, cardID, keyID string, index int, o pin.Offer) (pvv string, v pin.Verification, err error)
	Offset(ctx context.Context, cardID, keyID string, m pinverification.IBM3624, o pin.Offer) (offset string, v pin.Verification, err error)
	NaturalPIN(ctx context.Context, cardID, keyID string, m pinverification.IBM3624, length int, to keyring.Carrier) ([]byte, error)
	Mailer(ctx context.Context, cardID string, to keyring.Carrier) ([]byte, error)
	Translate(ctx context.Context, programID string, from, to keyring.Carrier, block []byte, pan string) ([]byte, error)
}

// MakeVerificationValue makes a PVV, an offset or a natural PIN, by the method that is asked for.
func (a *API) MakeVerificationValue(ctx context.Context, r api.MakeVerificationValueRequestObject) (api.MakeVerificationValueResponseObject, error) {
	made, err := valueMethods[r.Body.Method](a, ctx, r.CardID, *r.Body)
	if err != nil {
		return nil, err
	}
	made.Method = string(r.Body.Method)
	return api.MakeVerificationValue200JSONResponse{Body: made, Headers: api.MakeVerificationValue200ResponseHeaders{CacheControl: noStore}}, nil
}

// valueMethods make values, each by its method.
var valueMethods = map[api.VerificationValueRequestMethod]func(a *API, ctx context.Context, cardID string, n api.VerificationValueRequest) (api.VerificationValue, error){
	api.VerificationValueRequestMethodVisaPvv:           (*API).pvv,
	api.VerificationValueRequestMethodIbm3624Offset:     (*API).offset,
	api.VerificationValueRequestMethodIbm3624NaturalPin: (*API).naturalPIN,
}

func (a *API) pvv(ctx context.Context, cardID string, n api.VerificationValueRequest) (made api.VerificationValue, err error) {
	if n.KeyIndex == nil {
		return made, &pin.Error{Code: pin.InvalidField, Field: "keyIndex"}
	}
	o, err := optionalOffer(n.Entered)
	if err != nil {
		return made, err
	}
	pvv, v, err := a.services.PVV(ctx, cardID, n.KeyID, int(*n.KeyIndex), o)
	return api.VerificationValue{Pvv: &pvv}, unmatched(v, err)
}

func (a *API) offset(ctx context.Context, cardID string, n api.VerificationValueRequest) (made api.VerificationValue, err error) {
	method, err := ibm3624(n)
	if err != nil {
		return made, err
	}
	o, err := optionalOffer(n.Entered)
	if err != nil {
		return made, err
	}
	offset, v, err := a.services.Offset(ctx, cardID, n.KeyID, method, o)
	return api.VerificationValue{Offset: &offset}, unmatched(v, err)
}

func (a *API) naturalPIN(ctx context.Context, cardID string, n api.VerificationValueRequest) (made api.VerificationValue, err error) {
	method, err := ibm3624(n)
	if err != nil {
		return made, err
	}
	if n.To == nil {
		return made, &pin.Error{Code: pin.InvalidField, Field: "to"}
	}
	to, err := carrier(n.To.KeyID, string(n.To.Format))
	if err != nil {
		return made, err
	}
	digits := pin.MinLength
	setNumber(&digits, n.Digits)
	block, err := a.services.NaturalPIN(ctx, cardID, n.KeyID, method, digits, to)
	sealed := sealedPIN(block, to)
	return api.VerificationValue{PinBlock: &sealed}, err
}

// MailPin gives a card's PIN to a printer.
func (a *API) MailPin(ctx context.Context, r api.MailPinRequestObject) (api.MailPinResponseObject, error) {
	to, err := carrier(r.Body.KeyID, string(r.Body.Format))
	if err != nil {
		return nil, err
	}
	block, err := a.services.Mailer(ctx, r.CardID, to)
	if err != nil {
		return nil, err
	}
	return api.MailPin200JSONResponse{Body: sealedPIN(block, to), Headers: api.MailPin200ResponseHeaders{CacheControl: noStore}}, nil
}

// TranslatePinBlock makes a PIN block of one zone one of another.
func (a *API) TranslatePinBlock(ctx context.Context, r api.TranslatePinBlockRequestObject) (api.TranslatePinBlockResponseObject, error) {
	from, err := carrier(r.Body.KeyID, string(r.Body.Format))
	if err != nil {
		return nil, err
	}
	to, err := carrier(r.Body.To.KeyID, string(r.Body.To.Format))
	if err != nil {
		return nil, err
	}
	block, err := hex.DecodeString(r.Body.PinBlock)
	if err != nil { // whose text would quote the block
		return nil, contract.Unbound
	}
	out, err := a.services.Translate(ctx, r.Body.ProgramID, from, to, block, r.Body.Pan)
	if err != nil {
		return nil, err
	}
	return api.TranslatePinBlock200JSONResponse{Body: sealedPIN(out, to), Headers: api.TranslatePinBlock200ResponseHeaders{CacheControl: noStore}}, nil
}

// carrier is a key and a format as a request names them.
func carrier(keyID, format string) (keyring.Carrier, error) {
	f, err := pinblock.ParseFormat(format)
	if err != nil {
		return keyring.Carrier{}, contract.Unbound
	}
	return keyring.Carrier{KeyID: keyID, Format: f}, nil
}

func sealedPIN(block []byte, under keyring.Carrier) api.SealedPin {
	return api.SealedPin{PinBlock: strings.ToUpper(hex.EncodeToString(block)), Format: under.Format.String(), KeyID: under.KeyID}
}

// optionalOffer is the offer of a request that may leave it out: nil.
func optionalOffer(b *api.PinBlock) (pin.Offer, error) {
	if b == nil {
		return nil, nil
	}
	return offer(*b)
}

// ibm3624 is the method that a request describes: InvalidField for one that it does not describe.
func ibm3624(n api.VerificationValueRequest) (pinverification.IBM3624, error) {
	if n.DecimalizationTable == nil {
		return pinverification.IBM3624{}, &pin.Error{Code: pin.InvalidField, Field: "decimalizationTable"}
	}
	if n.ValidationData == nil {
		return pinverification.IBM3624{}, &pin.Error{Code: pin.InvalidField, Field: "validationData"}
	}
	pad := "F"
	set(&pad, n.ValidationData.Pad)
	return pinverification.IBM3624{Table: *n.DecimalizationTable, Start: int(n.ValidationData.Start), Digits: int(n.ValidationData.Digits), Pad: pad[0]}, nil
}

// unmatched is err, or the error of a PIN that is not the card's: WrongPIN and Unopenable with the tries that are left, 0..limit,
// and Blocked.
func unmatched(v pin.Verification, err error) error {
	if err != nil {
		return err
	}
	switch v.Result {
	case pin.Match:
		return nil
	case pin.Opaque:
		return unopenable(v.RemainingTries)
	case pin.Exhausted:
		return &pin.Error{Code: pin.Blocked}
	}
	row, tries := problems.Row(pin.WrongPIN), int32(v.RemainingTries)
	row.RemainingTries = &tries
	return fmt.Errorf("%w: %w", row, &pin.Error{Code: pin.WrongPIN})
}
