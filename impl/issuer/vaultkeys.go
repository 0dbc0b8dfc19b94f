package issuer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	api "pinvault/generated/issuer"
	"pinvault/impl/keylife"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/problem"
)

// VaultKeys takes steps in the life of the vault's own keys. [keylife.Keeper] does.
type VaultKeys interface {
	Keys(ctx context.Context) ([]keyring.Standing, error)
	Rotate(ctx context.Context, uses []pin.Use, in time.Duration, hasty bool, m pin.Memo) ([]keyring.Standing, error)
	Take(ctx context.Context, w keyring.Wish, force bool, m pin.Memo) (keyring.Standing, error)
}

// WithVaultKeys is the API with the operations on the vault's own keys.
func (a *API) WithVaultKeys(k VaultKeys) *API {
	a.own = k
	return a
}

// unlessActive is how long a key that was rotated to waits, unless the request says.
const unlessActive = 2 * time.Minute

// ListVaultKeys shows all of the vault's own keys, or those in a state.
func (a *API) ListVaultKeys(ctx context.Context, r api.ListVaultKeysRequestObject) (api.ListVaultKeysResponseObject, error) {
	found, err := a.ownKeys(ctx, func(k keyring.Standing) bool {
		return r.Params.State == nil || string(*r.Params.State) == string(k.State)
	})
	if err != nil {
		return nil, err
	}
	return api.ListVaultKeys200JSONResponse{Items: each(found, vaultKey)}, nil
}

// ownKeys are those that fit.
func (a *API) ownKeys(ctx context.Context, fits func(keyring.Standing) bool) ([]keyring.Standing, error) {
	all, err := a.own.Keys(ctx)
	return slices.DeleteFunc(all, func(k keyring.Standing) bool { return !fits(k) }), err
}

// ListVaultKeysOfUse shows those of one use.
func (a *API) ListVaultKeysOfUse(ctx context.Context, r api.ListVaultKeysOfUseRequestObject) (api.ListVaultKeysOfUseResponseObject, error) {
	own, err := a.ownKeys(ctx, func(k keyring.Standing) bool { return string(k.Use) == r.Use })
	if err != nil {
		return nil, err
	}
	if len(own) == 0 {
		return nil, &pin.Error{Code: pin.NotFound}
	}
	return api.ListVaultKeysOfUse200JSONResponse{Items: each(own, vaultKey)}, nil
}

// RotateVaultKey makes the key that will take over from a use's active one. Of uses whose keys are not in the keyset file
// it knows none.
func (a *API) RotateVaultKey(ctx context.Context, r api.RotateVaultKeyRequestObject) (api.RotateVaultKeyResponseObject, error) {
	if own, err := a.ownKeys(ctx, func(k keyring.Standing) bool { return string(k.Use) == r.Use }); err != nil || len(own) == 0 {
		return nil, cmp.Or(err, error(&pin.Error{Code: pin.NotFound}))
	}
	in := unlessActive
	if s := r.Body.ActiveInSeconds; s != nil {
		in = time.Duration(*s) * time.Second
	}
	made, err := once(ctx, a, call{key: r.Params.IdempotencyKey, endpoint: "rotateVaultKey " + r.Use, body: r.Body}, because(r.Body.Reason),
		func(m pin.Memo) ([]keyring.Standing, error) {
			return a.own.Rotate(ctx, []pin.Use{pin.Use(r.Use)}, in, false, m)
		})
	if err != nil {
		return nil, err
	}
	return api.RotateVaultKey201JSONResponse{Body: vaultKey(made[0])}, nil
}

// TakeVaultKeyStep has a key take a step.
func (a *API) TakeVaultKeyStep(ctx context.Context, r api.TakeVaultKeyStepRequestObject) (api.TakeVaultKeyStepResponseObject, error) {
	w := keyring.Wish{Use: pin.Use(r.Use), Version: int(r.Version), Step: keyring.Step(r.Body.Step)}
	of := call{key: r.Params.IdempotencyKey, endpoint: "takeVaultKeyStep " + r.Use + "/" + strconv.Itoa(w.Version), body: r.Body}
	after, err := once(ctx, a, of, because(r.Body.Reason),
		func(m pin.Memo) (keyring.Standing, error) { return a.own.Take(ctx, w, false, m) })
	if err != nil {
		return nil, err
	}
	return api.TakeVaultKeyStep200JSONResponse{Body: vaultKey(after)}, nil
}

// because is a memo with the reason that a request gives.
func because(reason *string) (m pin.Memo) {
	set(&m.Description, reason)
	return m
}

// The rows of what is about the vault's own keys.
var (
	keyState       = problem.Row{Status: http.StatusConflict, Code: "key_state", Title: "The key's state does not allow this."}
	keyInUse       = problem.Row{Status: http.StatusConflict, Code: "key_in_use", Title: "Something is still under the key, or was not counted."}
	keysetReadOnly = problem.Row{Status: http.StatusConflict, Code: "keyset_read_only", Title: "This server cannot replace the keyset file."}
)

// keyProblem is the row for what keeps a key from taking a step, and any other error as it is.
func keyProblem(err error) error {
	_, refused := errors.AsType[*keyring.Refusal](err)
	switch {
	case refused:
		return fmt.Errorf("%w: %w", keyState, err)
	case errors.Is(err, keylife.ErrInUse), errors.Is(err, keylife.ErrNotCounted):
		return fmt.Errorf("%w: %w", keyInUse, err)
	case errors.Is(err, keylife.ErrReadOnly):
		return fmt.Errorf("%w: %w", keysetReadOnly, err)
	case errors.Is(err, keylife.ErrBusy):
		return &pin.Error{Code: pin.Conflict, Err: err}
	case errors.Is(err, keyring.ErrNoUse), errors.Is(err, keyring.ErrNoKey):
		return &pin.Error{Code: pin.NotFound}
	}
	return err
}

// vaultKey is a key as the document shows it.
func vaultKey(k keyring.Standing) api.VaultKey {
	return api.VaultKey{
		Use: string(k.Use), Version: int32(k.Version), ID: k.ID, Algorithm: k.Algorithm, CheckValue: k.CheckValue, //nolint:gosec // versions count from 1
		State: api.VaultKeyState(k.State), CreatedAt: k.CreatedAt, ActiveFrom: when(k.ActiveFrom),
		RetiringSince: when(k.RetiringSince), RetiredAt: when(k.RetiredAt), DestroyedAt: when(k.DestroyedAt),
	}
}
