package space

import (
	"context"
	"slices"
	"strings"

	"pinvault/impl/pin"
)

// Faults that a rule may name besides those of all of the store: a part of it fails alone. They are Credit+'s words for
// cards, programs, and what is written.
const (
	FaultDatabase    = "database"
	FaultInternal    = "internal"
	FaultDevice      = "device"
	FaultDevicePlan  = "device-plan"
	FaultAccessPoint = "access-point"

	FaultLimit = "limit" // no part of the store: the caller's limit is used up

	FaultWeakPIN  = "weak-pin"  // of a PIN's fate: it is refused where it was chosen
	FaultWrongPIN = "wrong-pin" // of a PIN's fate: it is no card's

	later = "-later" // spares the calls that find out who is calling
)

// failure is how a call to the store fails under a fault, nil where it does not. The parts are those that it belongs to.
func failure(fault string, identifies bool, parts ...string) error {
	whole, late := strings.CutSuffix(fault, later)
	switch {
	case slices.Contains(parts, fault), whole == FaultInternal && !(late && identifies):
		return &pin.Error{Code: pin.Internal}
	case whole == FaultDatabase && !(late && identifies):
		return &pin.Error{Code: pin.Unavailable}
	}
	return nil
}

// Failing is a store of which calls fail as a fault says, that of the call's context: "" for none.
type Failing struct {
	pin.Store
	Fault func(ctx context.Context) string
}

// unless makes a call to the store unless that fails.
func unless[T any](ctx context.Context, f Failing, call func() (T, error), parts ...string) (none T, err error) {
	if err := failure(f.Fault(ctx), false, parts...); err != nil {
		return none, err
	}
	return call()
}

// Find is pin.Store's.
func (f Failing) Find(ctx context.Context, s pin.Search) ([]pin.CardRow, error) {
	return unless(ctx, f, func() ([]pin.CardRow, error) { return f.Store.Find(ctx, s) }, FaultDevice)
}

// Swap is pin.Store's.
func (f Failing) Swap(ctx context.Context, c pin.Change) error {
	_, err := unless(ctx, f, func() (struct{}, error) { return struct{}{}, f.Store.Swap(ctx, c) }, FaultAccessPoint)
	return err
}

// Locked is pin.Store's.
func (f Failing) Locked(ctx context.Context, cardID string, decide func(pin.CardRow) (pin.Change, error)) error {
	_, err := unless(ctx, f, func() (struct{}, error) { return struct{}{}, f.Store.Locked(ctx, cardID, decide) }, FaultAccessPoint)
	return err
}

// Row is pin.Store's.
func (f Failing) Row(ctx context.Context, t pin.Table, programID, id string) (pin.Row, error) {
	var parts []string
	if t == pin.TablePrograms {
		parts = []string{FaultDevicePlan}
	}
	if err := failure(f.Fault(ctx), t == pin.TablePrograms || t == pin.TableClients || t == pin.TableZoneKeys, parts...); err != nil {
		return pin.Row{}, err
	}
	return f.Store.Row(ctx, t, programID, id)
}

// List is pin.Store's.
func (f Failing) List(ctx context.Context, t pin.Table, programID string, p pin.Page) ([]pin.Row, error) {
	return unless(ctx, f, func() ([]pin.Row, error) { return f.Store.List(ctx, t, programID, p) })
}

// Cards is pin.Store's.
func (f Failing) Cards(ctx context.Context, programID string, p pin.Page) ([]pin.CardRow, error) {
	return unless(ctx, f, func() ([]pin.CardRow, error) { return f.Store.Cards(ctx, programID, p) })
}

// Events is pin.Store's.
func (f Failing) Events(ctx context.Context, q pin.AuditQuery) ([]pin.EventRow, error) {
	return unless(ctx, f, func() ([]pin.EventRow, error) { return f.Store.Events(ctx, q) })
}

// Numbers is pin.Store's.
func (f Failing) Numbers(ctx context.Context, sequence, programID string, n int64) (int64, error) {
	return unless(ctx, f, func() (int64, error) { return f.Store.Numbers(ctx, sequence, programID, n) })
}

// Ping is pin.Store's.
func (f Failing) Ping(ctx context.Context) error {
	_, err := unless(ctx, f, func() (struct{}, error) { return struct{}{}, f.Store.Ping(ctx) })
	return err
}

// watched is a store before which a space's rules stand: it fails as they say, and sees which cards a call finds and
// changes.
type watched struct{ Failing }

func watch(store pin.Store) watched {
	return watched{Failing{store, func(ctx context.Context) string { return callOf(ctx).failing() }}}
}

// Find is pin.Store's.
func (w watched) Find(ctx context.Context, s pin.Search) ([]pin.CardRow, error) {
	rows, err := w.Failing.Find(ctx, s)
	for _, row := range rows {
		if err == nil {
			err = callOf(ctx).found(ctx, row)
		}
	}
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// Swap is pin.Store's.
func (w watched) Swap(ctx context.Context, c pin.Change) error {
	err := w.Failing.Swap(ctx, c)
	if err == nil && c.Card != nil {
		callOf(ctx).changed(ctx, *c.Card)
	}
	return err
}

// Locked is pin.Store's.
func (w watched) Locked(ctx context.Context, cardID string, decide func(pin.CardRow) (pin.Change, error)) error {
	var next *pin.CardRow
	err := w.Failing.Locked(ctx, cardID, func(row pin.CardRow) (pin.Change, error) {
		next = nil
		if err := callOf(ctx).found(ctx, row); err != nil {
			return pin.Change{}, err
		}
		c, err := decide(row)
		next = c.Card
		return c, err
	})
	if err == nil && next != nil {
		callOf(ctx).changed(ctx, *next)
	}
	return err
}
