// Package custody is the life of partners' keys: they are drawn here, or come by components that custodians enter one by
// one, or in key blocks; they are put to use, replaced, retired and destroyed, and leave in key blocks only.
//
// It knows the vault, which keeps their rows and the trail, and the keyring, which alone sees what they are made of. What
// may be done with a key in each state is said by [pin.ZoneKey]; who may do it is said by scopes and by the caller's program.
package custody

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"time"

	"pinvault/impl/pin"
)

// Vault is what is asked of [pin.Vault].
type Vault interface {
	Key(ctx context.Context, id string) (pin.ZoneKey, error)
	Keys(ctx context.Context, page pin.Page) ([]pin.ZoneKey, error)
	WriteKeys(ctx context.Context, all []pin.KeyChange, m pin.Memo) error
	Tell(ctx context.Context, t pin.EventType, programID, id string, outcome pin.Code, m pin.Memo) error
}

// Ring is what is asked of [keyring.Ring].
type Ring interface {
	Draw(row pin.ZoneKey, random io.Reader) (pin.ZoneKey, error)
	WrapComponent(row pin.ZoneKey, custodian string, number int, component []byte) (pin.Part, error)
	Combine(row pin.ZoneKey) (pin.ZoneKey, error)
	OpenBlock(ctx context.Context, masterID, block string, row pin.ZoneKey) (pin.ZoneKey, error)
	SealBlock(ctx context.Context, masterID string, row pin.ZoneKey, random io.Reader) (string, error)
}

// Custody is safe for concurrent use.
type Custody struct {
	vault  Vault
	ring   Ring
	now    func() time.Time
	random io.Reader
}

// New makes a custody of a vault's keys. now and random default to the clock and to the system's random source.
func New(v Vault, r Ring, now func() time.Time, random io.Reader) *Custody {
	if now == nil {
		now = time.Now
	}
	if random == nil {
		random = rand.Reader
	}
	return &Custody{vault: v, ring: r, now: now, random: random}
}

// clock is the time as exact as every row keeps it.
func (c *Custody) clock() time.Time { return c.now().UTC().Truncate(time.Microsecond) }

// Wanted describes a key that is to be.
type Wanted struct {
	ID         string
	ProgramID  string // "" for a key that serves every program
	Usage      pin.KeyUsage
	Algorithm  string
	Bits       int  // 0: of the longest that the usage takes where it is drawn, and what the components have otherwise
	Exportable bool // whether it may leave in a key block

	Components int           // 0: it is drawn here
	Lasts      time.Duration // how long the ceremony may take

	Succeeds string        // the key in whose place it is to come, "" for none
	Overlap  time.Duration // for how long that one opens once this one is active
}

// Make makes a pending key: one that is drawn here, or one that waits for its components. InvalidField (keyId, algorithm, bits,
// succeeds), NotFound for program or predecessor, Forbidden, Duplicate (keyId).
func (c *Custody) Make(ctx context.Context, w Wanted, m pin.Memo) (pin.ZoneKey, error) {
	k, err := c.row(ctx, w)
	if err != nil {
		return k, err
	}
	t := pin.EventKeyRequested
	if w.Components > 0 {
		k.Ceremony = &pin.Ceremony{Components: w.Components, Initiator: pin.CallerFrom(ctx).ClientID, ExpiresAt: k.CreatedAt.Add(w.Lasts)}
	} else {
		t = pin.EventKeyGenerated
		if k, err = c.ring.Draw(k, c.random); err != nil {
			return k, err
		}
	}
	return c.made(ctx, t, k, m)
}

// Import makes a pending key of a key block under a zone master key. checkValue, unless it is "", is the one that the key
// must have. Errors as [Custody.Make], and UnknownKey for the zone master key, InvalidField for the block (keyBlock, with
// pin.KeyBlockUnopened for one that does not open; usage; checkValue).
func (c *Custody) Import(ctx context.Context, w Wanted, masterID, block, checkValue string, m pin.Memo) (pin.ZoneKey, error) {
	k, err := c.row(ctx, w)
	if err == nil {
		k, err = c.ring.OpenBlock(ctx, masterID, block, k)
	}
	if err == nil && checkValue != "" && checkValue != k.CheckValue {
		err = &pin.Error{Code: pin.InvalidField, Field: "checkValue"}
	}
	if err != nil {
		return k, c.refused(ctx, w.ProgramID, w.ID, err)
	}
	return c.made(ctx, pin.EventKeyImported, k, m)
}

// row is the pending key that is wanted, without material.
func (c *Custody) row(ctx context.Context, w Wanted) (pin.ZoneKey, error) {
	k := pin.ZoneKey{ID: w.ID, ProgramID: w.ProgramID, Usage: w.Usage, Algorithm: w.Algorithm, Size: w.Bits, State: pin.KeyPending, CreatedAt: c.clock()}
	if w.Components == 0 && w.Bits == 0 {
		k.Size = w.Usage.Usual(w.Algorithm)
	}
	if w.Exportable {
		k.Block.Exportability = "E"
	}
	switch {
	case !pin.CallerFrom(ctx).Reaches(w.ProgramID):
		return k, &pin.Error{Code: pin.Forbidden}
	case w.Algorithm != "" && !w.Usage.Takes(w.Algorithm, 0), w.Algorithm == "RSA" && w.Components > 0:
		return k, &pin.Error{Code: pin.InvalidField, Field: "algorithm"}
	case w.Algorithm != "" && !w.Usage.Takes(w.Algorithm, w.Bits):
		return k, &pin.Error{Code: pin.InvalidField, Field: "bits"}
	case w.Succeeds == "":
		return k, nil
	}
	before, err := c.vault.Key(ctx, w.Succeeds)
	if err != nil {
		return k, err
	}
	return k.Follow(before, w.Overlap, c.clock())
}

func (c *Custody) made(ctx context.Context, t pin.EventType, k pin.ZoneKey, m pin.Memo) (pin.ZoneKey, error) {
	k.Version = 1
	err := c.vault.WriteKeys(ctx, []pin.KeyChange{{Type: t, After: k}}, m)
	if pin.CodeOf(err) == pin.Duplicate && pin.FieldOf(err) == string(pin.TableZoneKeys) {
		err = &pin.Error{Code: pin.Duplicate, Field: "keyId"}
	}
	return k.WithoutMaterial(), err
}

// Rotate makes a pending key that is to come in another's place and is like it, except for what is wanted: errors as
// [Custody.Make].
func (c *Custody) Rotate(ctx context.Context, id string, w Wanted, m pin.Memo) (pin.ZoneKey, error) {
	before, err := c.vault.Key(ctx, id)
	if err != nil {
		return before, err
	}
	w.ProgramID, w.Usage, w.Algorithm, w.Bits = before.ProgramID, before.Usage, before.Algorithm, before.Size
	w.Exportable, w.Succeeds = before.Exportable(), id
	return c.Make(ctx, w, m)
}

// tries bounds how often a change is decided anew because somebody else was faster.
const tries = 20

// change decides what becomes of a key, and writes it, until nobody else came between.
func (c *Custody) change(ctx context.Context, id string, m pin.Memo, decide func(k pin.ZoneKey, now time.Time) ([]pin.KeyChange, error)) (pin.ZoneKey, error) {
	for try := 1; ; try++ {
		k, err := c.vault.Key(ctx, id)
		if err != nil {
			return k, err
		}
		all, err := decide(k, c.clock())
		if err != nil {
			return k.WithoutMaterial(), err
		}
		err = c.vault.WriteKeys(ctx, all, m)
		if pin.CodeOf(err) != pin.Conflict || pin.FieldOf(err) != string(pin.TableZoneKeys) || try == tries {
			after := all[0].After
			after.Version = all[0].Before.Version + 1
			return after.WithoutMaterial(), err
		}
	}
}

// one is a change of one key by a step.
func one(t pin.EventType, before, after pin.ZoneKey, err error) ([]pin.KeyChange, error) {
	return []pin.KeyChange{{Type: t, Before: before, After: after}}, err
}

// Activate puts a pending key to use. The one in whose place it comes is retired when their overlap is over: NotFound,
// Conflict with pin.KeyStateForbids.
func (c *Custody) Activate(ctx context.Context, id string, m pin.Memo) (pin.ZoneKey, error) {
	return c.change(ctx, id, m, func(k pin.ZoneKey, now time.Time) ([]pin.KeyChange, error) {
		return c.activation(ctx, pin.EventKeyActivated, k, k, now)
	})
}

// activation is the change by which a key that was one thing and is to be another is put to use as well.
func (c *Custody) activation(ctx context.Context, t pin.EventType, was, k pin.ZoneKey, now time.Time) ([]pin.KeyChange, error) {
	active, err := k.Activated(now)
	all := []pin.KeyChange{{Type: t, Before: was, After: active}}
	if err != nil || len(active.Succeeds) == 0 {
		return all, err
	}
	before, err := c.vault.Key(ctx, active.Succeeds[0])
	if err != nil {
		return nil, err
	}
	after, err := before.SucceededBy(active, now)
	return append(all, pin.KeyChange{Type: pin.EventKeyRetired, Before: before, After: after}), err
}

// Retire has a key open until a time and not any longer; at once, where that is not in the future: errors as
// [Custody.Activate].
func (c *Custody) Retire(ctx context.Context, id string, until time.Time, m pin.Memo) (pin.ZoneKey, error) {
	return c.change(ctx, id, m, func(k pin.ZoneKey, now time.Time) ([]pin.KeyChange, error) {
		after, err := k.Retired(until.UTC().Truncate(time.Microsecond), now)
		return one(pin.EventKeyRetired, k, after, err)
	})
}

// Destroy removes the material of a key that was retired, or ends one that is pending, with its ceremony: errors as
// [Custody.Activate].
func (c *Custody) Destroy(ctx context.Context, id string, m pin.Memo) (pin.ZoneKey, error) {
	return c.change(ctx, id, m, func(k pin.ZoneKey, now time.Time) ([]pin.KeyChange, error) {
		after, err := k.Destroyed(now)
		return one(pin.EventKeyDestroyed, k, after, err)
	})
}

// Export is the key block of a key under a zone master key, told in the trail before it leaves: NotFound, UnknownKey,
// InvalidField (masterKeyId), Conflict with pin.NotExportable or pin.KeyStateForbids.
func (c *Custody) Export(ctx context.Context, id, masterID string, m pin.Memo) (block, checkValue string, err error) {
	k, err := c.vault.Key(ctx, id)
	if err != nil {
		return "", "", err
	}
	block, err = c.ring.SealBlock(ctx, masterID, k, c.random)
	if err != nil {
		return "", "", c.refused(ctx, k.ProgramID, k.ID, err)
	}
	return block, k.CheckValue, c.vault.Tell(ctx, pin.EventKeyExported, k.ProgramID, k.ID, "", m)
}

// refused is err, told in the trail where it is about what was tried with a key.
func (c *Custody) refused(ctx context.Context, programID, id string, err error) error {
	outcome := pin.CodeOf(err)
	if reason, ok := errors.AsType[pin.KeyReason](err); ok {
		outcome = pin.Code(reason)
	}
	switch pin.CodeOf(err) {
	case pin.InvalidField, pin.Conflict, pin.Forbidden, pin.UnknownKey:
	default:
		return err
	}
	if !pin.CallerFrom(ctx).Reaches(programID) {
		return err
	}
	if told := c.vault.Tell(ctx, pin.EventKeyRefused, programID, id, outcome, pin.Memo{}); told != nil {
		return told
	}
	return err
}

// Key finds a key: NotFound.
func (c *Custody) Key(ctx context.Context, id string) (pin.ZoneKey, error) {
	k, err := c.vault.Key(ctx, id)
	return k.WithoutMaterial(), err
}

// Keys lists keys.
func (c *Custody) Keys(ctx context.Context, page pin.Page) ([]pin.ZoneKey, error) {
	return c.vault.Keys(ctx, page)
}

// StateOf is where a key stands now.
func (c *Custody) StateOf(k pin.ZoneKey) pin.KeyState { return k.StateAt(c.clock()) }
