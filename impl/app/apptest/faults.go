package apptest

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// Faults is a store of which a test can make every call fail.
type Faults struct {
	pin.Store
	code atomic.Pointer[pin.Code]
	// written tells whether anything was, since the sandbox was last put back.
	written atomic.Bool

	forget func() // has the vault forget what it has read

	part atomic.Pointer[string]
	late atomic.Bool // the calls that find out who is calling do not fail
}

// Fail makes calls fail as the word says, until restore is called. The word "" makes none fail; one that
// ends in -later spares the calls that find out who is calling.
func (f *Faults) Fail(t testing.TB, word string) (restore func()) {
	t.Helper()
	word, late := strings.CutSuffix(word, "-later")
	code, ok := map[string]pin.Code{"": "", "database": pin.Unavailable, "internal": pin.Internal}[word]
	if slices.Contains([]string{PartDevice, PartDevicePlan, PartAccessPoint}, word) {
		f.forget()
		before := f.part.Swap(&word)
		return func() { f.part.Store(before) }
	}
	require.True(t, ok, "fault %q means nothing", word)
	f.written.Store(true) // a reset that fails leaves half of the sandbox
	f.forget()            // what was read a moment ago would be taken as it was
	before, wasLate := f.code.Swap(&code), f.late.Swap(late)
	return func() { f.code.Store(before); f.late.Store(wasLate) }
}

// Parts of the store that fail alone, in Credit+'s words: cards, programs, and all that is written.
const (
	PartDevice      = "device"
	PartDevicePlan  = "device-plan"
	PartAccessPoint = "access-point"
)

// unless is what a call returns when neither all calls fail nor one of the parts that it belongs to.
func unless[T any](f *Faults, call func() (T, error), parts ...string) (result T, err error) {
	if part := f.part.Load(); part != nil && slices.Contains(parts, *part) {
		return result, &pin.Error{Code: pin.Internal}
	}
	if code := f.code.Load(); code != nil && *code != "" {
		return result, &pin.Error{Code: *code}
	}
	return call()
}

// identify is unless for the calls that find out who is calling.
func identify[T any](f *Faults, call func() (T, error), parts ...string) (T, error) {
	if f.late.Load() {
		return call()
	}
	return unless(f, call, parts...)
}

// Find is pin.Store's.
func (f *Faults) Find(ctx context.Context, s pin.Search) ([]pin.CardRow, error) {
	return unless(f, func() ([]pin.CardRow, error) { return f.Store.Find(ctx, s) }, PartDevice)
}

// Swap is pin.Store's.
func (f *Faults) Swap(ctx context.Context, c pin.Change) error {
	f.written.Store(true)
	_, err := unless(f, func() (struct{}, error) { return struct{}{}, f.Store.Swap(ctx, c) }, PartAccessPoint)
	return err
}

// Locked is pin.Store's.
func (f *Faults) Locked(ctx context.Context, cardID string, decide func(pin.CardRow) (pin.Change, error)) error {
	f.written.Store(true)
	_, err := unless(f, func() (struct{}, error) { return struct{}{}, f.Store.Locked(ctx, cardID, decide) }, PartAccessPoint)
	return err
}

// Row is pin.Store's.
func (f *Faults) Row(ctx context.Context, t pin.Table, programID, id string) (pin.Row, error) {
	call := func() (pin.Row, error) { return f.Store.Row(ctx, t, programID, id) }
	switch t {
	case pin.TablePrograms:
		return identify(f, call, PartDevicePlan)
	case pin.TableClients, pin.TableZoneKeys:
		return identify(f, call)
	}
	return unless(f, call)
}

// List is pin.Store's.
func (f *Faults) List(ctx context.Context, t pin.Table, programID string, p pin.Page) ([]pin.Row, error) {
	return unless(f, func() ([]pin.Row, error) { return f.Store.List(ctx, t, programID, p) })
}

// Events is pin.Store's.
func (f *Faults) Events(ctx context.Context, q pin.AuditQuery) ([]pin.EventRow, error) {
	return unless(f, func() ([]pin.EventRow, error) { return f.Store.Events(ctx, q) })
}

// Numbers is pin.Store's.
func (f *Faults) Numbers(ctx context.Context, sequence, programID string, n int64) (int64, error) {
	return unless(f, func() (int64, error) { return f.Store.Numbers(ctx, sequence, programID, n) })
}

// Ping is pin.Store's.
func (f *Faults) Ping(ctx context.Context) error {
	_, err := unless(f, func() (struct{}, error) { return struct{}{}, f.Store.Ping(ctx) })
	return err
}
