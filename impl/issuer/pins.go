package issuer

import (
	"context"
	"encoding/hex"

	api "pinvault/generated/issuer"
	"pinvault/impl/contract"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
)

// GetPinStatus tells where a card's PIN comes from and how many tries remain.
func (a *API) GetPinStatus(ctx context.Context, r api.GetPinStatusRequestObject) (api.GetPinStatusResponseObject, error) {
	found, err := a.vault.Card(ctx, pin.Query{CardID: r.CardID})
	if err != nil {
		return nil, err
	}
	status := api.GetPinStatus200JSONResponse{
		State:          api.PinStatusState(found.PIN.State),
		Blocked:        found.Blocked(),
		RemainingTries: int32(found.RemainingTries()),
		TryLimit:       int32(found.Program.TryLimit),
	}
	if at := found.PIN.ChangedAt; !at.IsZero() {
		status.ChangedAt = &at
	}
	return status, nil
}

// SetPin sets the PIN in a PIN block.
func (a *API) SetPin(ctx context.Context, r api.SetPinRequestObject) (api.SetPinResponseObject, error) {
	offered, err := offer(*r.Body)
	if err != nil {
		return nil, err
	}
	if err := a.vault.SetPIN(ctx, pin.Query{CardID: r.CardID}, offered, pin.Memo{}); err != nil {
		return nil, err
	}
	return api.SetPin204Response{}, nil
}

// VerifyPin compares the PIN in a PIN block with the card's. A block that does not open is an error,
// but one that has taken effect: it is replayed like the other results.
func (a *API) VerifyPin(ctx context.Context, r api.VerifyPinRequestObject) (api.VerifyPinResponseObject, error) {
	offered, err := offer(*r.Body)
	if err != nil {
		return nil, err
	}
	done, err := once(ctx, a, call{key: r.Params.IdempotencyKey, endpoint: "verifyPin " + r.CardID, body: r.Body, ttl: verificationsKeptFor}, pin.Memo{},
		func(m pin.Memo) (pin.Verification, error) {
			return a.vault.Verify(ctx, pin.Query{CardID: r.CardID}, offered, m)
		})
	if err != nil {
		return nil, err
	}
	if done.Result == pin.Opaque {
		return nil, unopenable(done.RemainingTries)
	}
	return api.VerifyPin200JSONResponse{Body: api.Verification{
		Result:         api.VerificationResult(done.Result),
		RemainingTries: int32(done.RemainingTries),
	}}, nil
}

// UnblockPin puts the try counter back to its limit.
func (a *API) UnblockPin(ctx context.Context, r api.UnblockPinRequestObject) (api.UnblockPinResponseObject, error) {
	_, err := once(ctx, a, call{key: r.Params.IdempotencyKey, endpoint: "unblockPin " + r.CardID, body: r.Body}, pin.Memo{Description: r.Body.Reason},
		func(m pin.Memo) (struct{}, error) {
			return struct{}{}, a.vault.Unblock(ctx, pin.Query{CardID: r.CardID}, m)
		})
	if err != nil {
		return nil, err
	}
	return api.UnblockPin204Response{}, nil
}

// offer is the PIN block of a request, for the vault to open.
func offer(b api.PinBlock) (pin.Offer, error) {
	format, err := pinblock.ParseFormat(string(b.Format))
	if err != nil {
		return nil, contract.Unbound
	}
	block, err := hex.DecodeString(b.PinBlock)
	if err != nil { // whose text would quote the block
		return nil, contract.Unbound
	}
	return pin.Encrypted(b.KeyID, format, block), nil
}
