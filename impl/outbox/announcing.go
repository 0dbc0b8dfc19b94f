package outbox

import (
	"context"
	"slices"
	"sync/atomic"

	"pinvault/impl/pin"
)

// Announcing is a store that wakes whoever sends events when one was written that webhooks may want, or a webhook was changed.
type Announcing struct {
	pin.Store
	wake atomic.Pointer[func()]
}

// Announce makes one of a store.
func Announce(s pin.Store) *Announcing { return &Announcing{Store: s} }

// Wakes says what is called.
func (a *Announcing) Wakes(wake func()) { a.wake.Store(&wake) }

// Swap is pin.Store's.
func (a *Announcing) Swap(ctx context.Context, c pin.Change) error {
	err := a.Store.Swap(ctx, c)
	a.told(err, c)
	return err
}

// Locked is pin.Store's.
func (a *Announcing) Locked(ctx context.Context, cardID string, decide func(pin.CardRow) (pin.Change, error)) error {
	var made pin.Change
	err := a.Store.Locked(ctx, cardID, func(row pin.CardRow) (c pin.Change, err error) {
		made, err = decide(row)
		return made, err
	})
	a.told(err, made)
	return err
}

func (a *Announcing) told(err error, c pin.Change) {
	if err != nil {
		return
	}
	wake := a.wake.Load()
	if wake != nil && (slices.ContainsFunc(c.Events, func(e pin.EventRow) bool { return e.Topic != "" }) ||
		slices.ContainsFunc(c.Rows, func(r pin.Row) bool { return r.Table == pin.TableWebhooks })) {
		(*wake)()
	}
}
