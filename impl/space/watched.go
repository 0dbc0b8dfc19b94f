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

// watched is a store before which a space's rules stand: it fails as they say, and sees which cards a call finds and
// changes.
type watched struct {
	pin.Store
}

func unless[T any](ctx context.Context, call func() (T, error), parts ...string) (none T, err error) {
	if err := callOf(ctx).failure(false, parts...); err != nil {
		return none, err
	}
	return call()
}

// Find is pin.Store's.
func (w watched) Find(ctx context.Context, s pin.Search) ([]pin.CardRow, error) {
	rows, err := unless(ctx, func() ([]pin.CardRow, error) { return w.Store.Find(ctx, s) }, FaultDevice)
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
	_, err := unless(ctx, func() (struct{}, error) { return struct{}{}, w.Store.Swap(ctx, c) }, FaultAccessPoint)
	if err == nil && c.Card != nil {
		callOf(ctx).changed(ctx, *c.Card)
	}
	return err
}

// Locked is pin.Store's.
func (w watched) Locked(ctx context.Context, cardID string, decide func(pin.CardRow) (pin.Change, error)) error {
	var next *pin.CardRow
	_, err := unless(ctx, func() (struct{}, error) {
		return struct{}{}, w.Store.Locked(ctx, cardID, func(row pin.CardRow) (pin.Change, error) {
			next = nil
			if err := callOf(ctx).found(ctx, row); err != nil {
				return pin.Change{}, err
			}
			c, err := decide(row)
			next = c.Card
			return c, err
		})
	}, FaultAccessPoint)
	if err == nil && next != nil {
		callOf(ctx).changed(ctx, *next)
	}
	return err
}

// Row is pin.Store's.
func (w watched) Row(ctx context.Context, t pin.Table, programID, id string) (pin.Row, error) {
	var parts []string
	if t == pin.TablePrograms {
		parts = []string{FaultDevicePlan}
	}
	if err := callOf(ctx).failure(t == pin.TablePrograms || t == pin.TableClients || t == pin.TableZoneKeys, parts...); err != nil {
		return pin.Row{}, err
	}
	return w.Store.Row(ctx, t, programID, id)
}

// List is pin.Store's.
func (w watched) List(ctx context.Context, t pin.Table, programID string, p pin.Page) ([]pin.Row, error) {
	return unless(ctx, func() ([]pin.Row, error) { return w.Store.List(ctx, t, programID, p) })
}

// Cards is pin.Store's.
func (w watched) Cards(ctx context.Context, programID string, p pin.Page) ([]pin.CardRow, error) {
	return unless(ctx, func() ([]pin.CardRow, error) { return w.Store.Cards(ctx, programID, p) })
}

// Events is pin.Store's.
func (w watched) Events(ctx context.Context, q pin.AuditQuery) ([]pin.EventRow, error) {
	return unless(ctx, func() ([]pin.EventRow, error) { return w.Store.Events(ctx, q) })
}

// Numbers is pin.Store's.
func (w watched) Numbers(ctx context.Context, sequence, programID string, n int64) (int64, error) {
	return unless(ctx, func() (int64, error) { return w.Store.Numbers(ctx, sequence, programID, n) })
}

// Ping is pin.Store's.
func (w watched) Ping(ctx context.Context) error {
	_, err := unless(ctx, func() (struct{}, error) { return struct{}{}, w.Store.Ping(ctx) })
	return err
}
