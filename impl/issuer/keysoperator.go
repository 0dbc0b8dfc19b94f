package issuer

import (
	"context"
	"iter"
	"time"

	api "pinvault/generated/issuer"
	"pinvault/impl/custody"
	"pinvault/impl/pin"
)

// CreateKey makes a pending key of a KeyRequest.
func (o *Operator) CreateKey(ctx context.Context, request any) (api.Key, error) {
	var n api.KeyRequest
	if err := o.read("KeyRequest", request, &n); err != nil {
		return api.Key{}, err
	}
	return o.shownKey(o.api.keys.Make(ctx, wantedKey(n), pin.Memo{}))
}

// RotateKey makes a pending key of a KeyRotation in another's place.
func (o *Operator) RotateKey(ctx context.Context, id string, request any) (api.Key, error) {
	var n api.KeyRotation
	if err := o.read("KeyRotation", request, &n); err != nil {
		return api.Key{}, err
	}
	return o.shownKey(o.api.keys.Rotate(ctx, id, successor(n), pin.Memo{}))
}

// ImportKey makes a pending key of a KeyBlockRequest.
func (o *Operator) ImportKey(ctx context.Context, request any) (api.Key, error) {
	var n api.KeyBlockRequest
	if err := o.read("KeyBlockRequest", request, &n); err != nil {
		return api.Key{}, err
	}
	return o.shownKey(o.api.importKey(ctx, n, pin.Memo{}))
}

// ExportKey is the key block of a key under a zone master key.
func (o *Operator) ExportKey(ctx context.Context, id, masterID string) (api.ExportedKey, error) {
	block, checkValue, err := o.api.keys.Export(ctx, id, masterID, pin.Memo{})
	return api.ExportedKey{KeyBlock: block, CheckValue: checkValue}, err
}

// ActivateKey puts a key to use.
func (o *Operator) ActivateKey(ctx context.Context, id string) (api.Key, error) {
	return o.shownKey(o.api.keys.Activate(ctx, id, pin.Memo{}))
}

// RetireKey ends a key's use at a time.
func (o *Operator) RetireKey(ctx context.Context, id string, at time.Time) (api.Key, error) {
	return o.shownKey(o.api.keys.Retire(ctx, id, at, pin.Memo{}))
}

// DestroyKey removes a key's material.
func (o *Operator) DestroyKey(ctx context.Context, id string) (api.Key, error) {
	return o.shownKey(o.api.keys.Destroy(ctx, id, pin.Memo{}))
}

// Key shows a key.
func (o *Operator) Key(ctx context.Context, id string) (api.Key, error) {
	return o.shownKey(o.api.keys.Key(ctx, id))
}

// KeyRecord is a key's record in lines of text, see [custody.Record].
func (o *Operator) KeyRecord(ctx context.Context, id string) (string, error) {
	k, err := o.api.keys.Key(ctx, id)
	if err != nil {
		return "", err
	}
	return custody.Record(k, o.api.keys.StateOf(k)), nil
}

// Keys shows the keys in the operator's reach, in the order of their ids.
func (o *Operator) Keys(ctx context.Context) iter.Seq2[api.Key, error] {
	return every(func(page pin.Page) ([]pin.ZoneKey, error) { return o.api.keys.Keys(ctx, page) },
		func(k pin.ZoneKey) string { return k.ID },
		func(k pin.ZoneKey) (api.Key, error) { return o.api.key(k), nil })
}

func (o *Operator) shownKey(k pin.ZoneKey, err error) (api.Key, error) {
	if err != nil {
		return api.Key{}, err
	}
	return o.api.key(k), nil
}
