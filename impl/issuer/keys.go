package issuer

import (
	"context"
	"encoding/hex"
	"time"

	api "pinvault/generated/issuer"
	"pinvault/impl/contract"
	"pinvault/impl/custody"
	"pinvault/impl/pin"
)

// Keys is what the handlers ask of [custody.Custody].
type Keys interface {
	Make(ctx context.Context, w custody.Wanted, m pin.Memo) (pin.ZoneKey, error)
	Import(ctx context.Context, w custody.Wanted, masterID, block, checkValue string, m pin.Memo) (pin.ZoneKey, error)
	Rotate(ctx context.Context, id string, w custody.Wanted, m pin.Memo) (pin.ZoneKey, error)
	Activate(ctx context.Context, id string, m pin.Memo) (pin.ZoneKey, error)
	Retire(ctx context.Context, id string, until time.Time, m pin.Memo) (pin.ZoneKey, error)
	Destroy(ctx context.Context, id string, m pin.Memo) (pin.ZoneKey, error)
	Export(ctx context.Context, id, masterID string, m pin.Memo) (block, checkValue string, err error)
	Enter(ctx context.Context, id string, number int, component []byte, m pin.Memo) (pin.ZoneKey, error)
	Confirm(ctx context.Context, id, checkValue string, m pin.Memo) (pin.ZoneKey, error)
	Key(ctx context.Context, id string) (pin.ZoneKey, error)
	Keys(ctx context.Context, page pin.Page) ([]pin.ZoneKey, error)
	StateOf(k pin.ZoneKey) pin.KeyState
}

// CreateKey makes a pending key, drawn here or to be made of components.
func (a *API) CreateKey(ctx context.Context, r api.CreateKeyRequestObject) (api.CreateKeyResponseObject, error) {
	shown, err := a.onceKey(ctx, call{key: r.Params.IdempotencyKey, endpoint: "createKey", body: r.Body},
		func(m pin.Memo) (pin.ZoneKey, error) { return a.keys.Make(ctx, wantedKey(*r.Body), m) })
	return api.CreateKey201JSONResponse{Body: shown}, err
}

// ImportKey makes a pending key of a key block.
func (a *API) ImportKey(ctx context.Context, r api.ImportKeyRequestObject) (api.ImportKeyResponseObject, error) {
	shown, err := a.onceKey(ctx, call{key: r.Params.IdempotencyKey, endpoint: "importKey", body: r.Body},
		func(m pin.Memo) (pin.ZoneKey, error) { return a.importKey(ctx, *r.Body, m) })
	return api.ImportKey201JSONResponse{Body: shown}, err
}

// importKey makes the key of a request's key block.
func (a *API) importKey(ctx context.Context, n api.KeyBlockRequest, m pin.Memo) (pin.ZoneKey, error) {
	w := custody.Wanted{ID: n.KeyID, Usage: pin.KeyUsage(n.Usage), Overlap: seconds(n.OverlapSeconds, 0)}
	set(&w.ProgramID, n.ProgramID)
	set(&w.Succeeds, n.Succeeds)
	var checkValue string
	set(&checkValue, n.CheckValue)
	return a.keys.Import(ctx, w, n.MasterKeyID, n.KeyBlock, checkValue, m)
}

// RotateKey makes a pending key that is to come in another's place.
func (a *API) RotateKey(ctx context.Context, r api.RotateKeyRequestObject) (api.RotateKeyResponseObject, error) {
	shown, err := a.onceKey(ctx, call{key: r.Params.IdempotencyKey, endpoint: "rotateKey " + r.KeyID, body: r.Body},
		func(m pin.Memo) (pin.ZoneKey, error) { return a.keys.Rotate(ctx, r.KeyID, successor(*r.Body), m) })
	return api.RotateKey201JSONResponse{Body: shown}, err
}

// ActivateKey puts a key to use.
func (a *API) ActivateKey(ctx context.Context, r api.ActivateKeyRequestObject) (api.ActivateKeyResponseObject, error) {
	shown, err := a.onceKey(ctx, call{key: r.Params.IdempotencyKey, endpoint: "activateKey " + r.KeyID},
		func(m pin.Memo) (pin.ZoneKey, error) { return a.keys.Activate(ctx, r.KeyID, m) })
	return api.ActivateKey200JSONResponse{Body: shown}, err
}

// RetireKey ends a key's use, at once or at a time.
func (a *API) RetireKey(ctx context.Context, r api.RetireKeyRequestObject) (api.RetireKeyResponseObject, error) {
	var until time.Time
	set(&until, r.Body.At)
	shown, err := a.onceKey(ctx, call{key: r.Params.IdempotencyKey, endpoint: "retireKey " + r.KeyID, body: r.Body},
		func(m pin.Memo) (pin.ZoneKey, error) { return a.keys.Retire(ctx, r.KeyID, until, m) })
	return api.RetireKey200JSONResponse{Body: shown}, err
}

// DestroyKey removes a key's material.
func (a *API) DestroyKey(ctx context.Context, r api.DestroyKeyRequestObject) (api.DestroyKeyResponseObject, error) {
	shown, err := a.onceKey(ctx, call{key: r.Params.IdempotencyKey, endpoint: "destroyKey " + r.KeyID},
		func(m pin.Memo) (pin.ZoneKey, error) { return a.keys.Destroy(ctx, r.KeyID, m) })
	return api.DestroyKey200JSONResponse{Body: shown}, err
}

// EnterComponent takes a component from its custodian.
func (a *API) EnterComponent(ctx context.Context, r api.EnterComponentRequestObject) (api.EnterComponentResponseObject, error) {
	component, err := hex.DecodeString(r.Body.Component)
	if err != nil { // whose text would quote a digit
		return nil, contract.Unbound
	}
	defer clear(component)
	shown, err := a.onceKey(ctx, call{key: r.Params.IdempotencyKey, endpoint: "enterComponent " + r.KeyID, body: r.Body},
		func(m pin.Memo) (pin.ZoneKey, error) {
			return a.keys.Enter(ctx, r.KeyID, int(r.Body.Number), component, m)
		})
	return api.EnterComponent200JSONResponse{Body: shown}, err
}

// ConfirmKey takes a custodian's word for a key's check value.
func (a *API) ConfirmKey(ctx context.Context, r api.ConfirmKeyRequestObject) (api.ConfirmKeyResponseObject, error) {
	shown, err := a.onceKey(ctx, call{key: r.Params.IdempotencyKey, endpoint: "confirmKey " + r.KeyID, body: r.Body},
		func(m pin.Memo) (pin.ZoneKey, error) { return a.keys.Confirm(ctx, r.KeyID, r.Body.CheckValue, m) })
	return api.ConfirmKey200JSONResponse{Body: shown}, err
}

// ExportKey wraps a key for a partner.
func (a *API) ExportKey(ctx context.Context, r api.ExportKeyRequestObject) (api.ExportKeyResponseObject, error) {
	block, checkValue, err := a.keys.Export(ctx, r.KeyID, r.Body.MasterKeyID, pin.Memo{})
	if err != nil {
		return nil, err
	}
	return api.ExportKey200JSONResponse{Body: api.ExportedKey{KeyBlock: block, CheckValue: checkValue},
		Headers: api.ExportKey200ResponseHeaders{CacheControl: noStore}}, nil
}

// ListKeys pages through the keys in the caller's reach.
func (a *API) ListKeys(ctx context.Context, r api.ListKeysRequestObject) (api.ListKeysResponseObject, error) {
	p := page(r.Params.Limit, r.Params.Cursor)
	found, err := a.keys.Keys(ctx, p)
	if err != nil {
		return nil, err
	}
	found, next := cut(p, found, func(k pin.ZoneKey) string { return k.ID })
	return api.ListKeys200JSONResponse{Items: each(found, a.key), NextCursor: next}, nil
}

// GetKey shows a key.
func (a *API) GetKey(ctx context.Context, r api.GetKeyRequestObject) (api.GetKeyResponseObject, error) {
	found, err := a.keys.Key(ctx, r.KeyID)
	return api.GetKey200JSONResponse(a.key(found)), err
}

// onceKey is once for what ends with a key, which it shows.
func (a *API) onceKey(ctx context.Context, of call, effect func(pin.Memo) (pin.ZoneKey, error)) (api.Key, error) {
	k, err := once(ctx, a, of, pin.Memo{}, effect)
	if err != nil {
		return api.Key{}, err
	}
	return a.key(k), nil
}

// ceremonyLasts is how long a ceremony may take whose request does not say.
const ceremonyLasts = 24 * time.Hour

// seconds is a duration that a request may leave open.
func seconds(named *int32, unlessGiven time.Duration) time.Duration {
	if named == nil {
		return unlessGiven
	}
	return time.Duration(*named) * time.Second
}

// wantedKey is the key that a request describes.
func wantedKey(n api.KeyRequest) custody.Wanted {
	w := custody.Wanted{ID: n.KeyID, Usage: pin.KeyUsage(n.Usage), Algorithm: string(n.Algorithm),
		Exportable: n.Components == nil, Lasts: seconds(n.ExpiresInSeconds, ceremonyLasts), Overlap: seconds(n.OverlapSeconds, 0)}
	set(&w.ProgramID, n.ProgramID)
	set(&w.Exportable, n.Exportable)
	set(&w.Succeeds, n.Succeeds)
	setNumber(&w.Components, n.Components)
	setNumber(&w.Bits, n.Bits)
	return w
}

// successor is the key that a request describes, as far as it is not like the one in whose place it comes.
func successor(n api.KeyRotation) custody.Wanted {
	w := custody.Wanted{ID: n.KeyID, Overlap: seconds(n.OverlapSeconds, 0), Lasts: seconds(n.ExpiresInSeconds, ceremonyLasts)}
	setNumber(&w.Components, n.Components)
	return w
}

// key is a key as the document shows it.
func (a *API) key(k pin.ZoneKey) api.Key {
	shown := api.Key{
		KeyID:       k.ID,
		ProgramID:   text(k.ProgramID),
		Usage:       string(k.Usage),
		Algorithm:   k.Algorithm,
		Bits:        number(k.Size),
		CheckValue:  text(k.CheckValue),
		State:       api.KeyState(a.keys.StateOf(k)),
		Exportable:  k.Exportable(),
		Successor:   text(k.Successor),
		Version:     int64(k.Version),
		CreatedAt:   k.CreatedAt,
		ActivatedAt: when(k.ActivatedAt),
		RetiresAt:   when(k.RetiresAt),
		RetiredAt:   when(k.RetiredAt),
		DestroyedAt: when(k.DestroyedAt),
	}
	if k.Block.Usage != "" {
		shown.Block = &api.KeyBlockHeader{Usage: k.Block.Usage, Mode: k.Block.Mode, Exportability: k.Block.Exportability}
	}
	if len(k.Succeeds) > 0 {
		succeeds, overlap := list(k.Succeeds), int32(k.Overlap)
		shown.Succeeds, shown.OverlapSeconds = &succeeds, &overlap
	}
	if c := k.Ceremony; c != nil {
		shown.Ceremony = &api.KeyCeremony{Components: int32(c.Components), Initiator: text(c.Initiator), ExpiresAt: c.ExpiresAt,
			Parts: each(c.Parts, func(p pin.Part) api.KeyPart {
				return api.KeyPart{Number: int32(p.Number), Custodian: p.Custodian, CheckValue: p.CheckValue, EnteredAt: p.At}
			}),
			Confirmations: each(c.Confirmations, func(w pin.Confirmation) api.KeyWitness {
				return api.KeyWitness{Custodian: w.Custodian, ConfirmedAt: w.At}
			})}
	}
	return shown
}

// number leaves a zero out of a reply.
func number(n int) *int32 {
	if n == 0 {
		return nil
	}
	shown := int32(n)
	return &shown
}
