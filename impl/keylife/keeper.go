package keylife

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tink-crypto/tink-go/v2/tink"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// Store is where the keyset is: a [File], or a [Rehearsal].
type Store interface {
	Keyset() (*keyring.Keyset, error)
	Change(ctx context.Context, decide func(*keyring.Keyset) (*keyring.Keyset, error), told func() error) error
}

// Trail is told of every step before it is taken. [pin.Vault] is one.
type Trail interface {
	// TrailStands is an error where steps cannot be told of, or not by this caller.
	TrailStands(ctx context.Context) error
	TellOfKeys(ctx context.Context, steps []pin.KeyStep, result any, m pin.Memo) error
}

// Counts knows what rests under which key. [pin.Vault] does.
type Counts interface {
	// Usage is how many rows need each key; one that is not named is needed by none. It reads the whole database.
	Usage(ctx context.Context, progress func(table string, n int64)) ([]pin.KeyUse, error)
}

// Reasons to refuse the retirement of a key. --force overrides them, which loses what they speak of.
var (
	// ErrInUse: the database holds what only that key opens.
	ErrInUse = errors.New("the key is in use")
	// ErrNotCounted: nobody can tell.
	ErrNotCounted = errors.New("what depends on the key was not counted")
)

// elsewhere is the refusal of a step of keys that the store does not have.
func elsewhere(use pin.Use, step keyring.Step) error {
	return &keyring.Refusal{Key: string(use), Step: step, Says: "its keys are in the token or OpenBao that --keys names: 'pinvault keys rotate' makes a new one there, and what else becomes of them is decided there"}
}

// Elsewhere has the keys of some uses itself.
type Elsewhere interface {
	Holds(use pin.Use) bool
	// Rotate makes a new key for a use that it holds, which makes outputs from then on.
	Rotate(use pin.Use) error
}

// nowhere holds nothing.
type nowhere struct{}

func (nowhere) Holds(pin.Use) bool       { return false }
func (nowhere) Rotate(use pin.Use) error { return elsewhere(use, "") }

// tokensLive is longer than any contract's access tokens are good for.
const tokensLive = 24 * time.Hour

// Keeper takes steps in the life of the vault's own keys. It is safe for concurrent use, by several processes too.
type Keeper struct {
	store Store
	trail Trail
	opt   Options
}

// Options are what a keeper may do without.
type Options struct {
	Counts Counts // nil: nothing can be counted
	// Elsewhere has keys that are not in the store; nil: nothing has.
	Elsewhere Elsewhere
	Now       func() time.Time // nil: the clock
	Rand      io.Reader        // in production crypto/rand.Reader
	Taken     func()           // is called after every step; nil: nobody is
}

// NewKeeper makes a keeper of the keyset in store.
func NewKeeper(store Store, trail Trail, o Options) *Keeper {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Taken == nil {
		o.Taken = func() {}
	}
	if o.Elsewhere == nil {
		o.Elsewhere = nowhere{}
	}
	return &Keeper{store: store, trail: trail, opt: o}
}

// Keys are all keys of the store as they stand: what the trail refuses, Forbidden for one.
func (k *Keeper) Keys(ctx context.Context) ([]keyring.Standing, error) {
	if err := k.trail.TrailStands(ctx); err != nil {
		return nil, err
	}
	ks, err := k.store.Keyset()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(ks.Keys(k.opt.Now()), func(s keyring.Standing) bool { return k.opt.Elsewhere.Holds(s.Use) }), nil
}

// Generate makes a key that is pending, without a date: Forbidden, [keyring.ErrNoUse], and what the store refuses.
func (k *Keeper) Generate(ctx context.Context, use pin.Use, m pin.Memo) (made keyring.Standing, err error) {
	if k.opt.Elsewhere.Holds(use) {
		return made, elsewhere(use, "")
	}
	err = k.change(ctx, m, func(ks *keyring.Keyset, now time.Time) (*keyring.Keyset, []event, error) {
		next, fresh, err := ks.With(use, k.opt.Rand, now)
		made = fresh
		return next, []event{{pin.EventVaultKeyGenerated, keyring.Standing{}, fresh}}, err
	}, func() any { return made })
	return made, err
}

// Rotate makes a key for each use that becomes active after some time: Forbidden, [keyring.ErrNoUse],
// [keyring.Refusal], and what the store refuses. hasty is [keyring.Wish.Hasty]. A key that is elsewhere becomes active at once.
func (k *Keeper) Rotate(ctx context.Context, uses []pin.Use, in time.Duration, hasty bool, m pin.Memo) (made []keyring.Standing, err error) {
	away := slices.DeleteFunc(slices.Clone(uses), func(use pin.Use) bool { return !k.opt.Elsewhere.Holds(use) })
	uses = slices.DeleteFunc(slices.Clone(uses), k.opt.Elsewhere.Holds)
	if len(away) > 0 {
		if made, err = k.rotateElsewhere(ctx, away, m); err != nil || len(uses) == 0 {
			return made, err
		}
	}
	own, err := k.rotateOwn(ctx, uses, in, hasty, m)
	return append(made, own...), err
}

// rotateElsewhere makes keys that are not in the store, and tells of each before.
func (k *Keeper) rotateElsewhere(ctx context.Context, uses []pin.Use, m pin.Memo) (made []keyring.Standing, err error) {
	if err := k.trail.TrailStands(ctx); err != nil {
		return nil, err
	}
	now := k.opt.Now().UTC().Truncate(time.Second)
	var steps []pin.KeyStep
	for _, use := range uses {
		s := keyring.Standing{Key: keyring.Key{Use: use, CreatedAt: now, ActiveFrom: now}, State: keyring.Active}
		made = append(made, s)
		steps = append(steps, pin.KeyStep{Type: pin.EventVaultKeyRotated, Name: s.Name(), Before: keyring.Standing{}, After: s})
	}
	if err := k.trail.TellOfKeys(ctx, steps, made, m); err != nil {
		return nil, err
	}
	for _, use := range uses {
		if err := k.opt.Elsewhere.Rotate(use); err != nil {
			return nil, fmt.Errorf("a new key for %s: %w", use, err)
		}
	}
	k.opt.Taken()
	return made, nil
}

func (k *Keeper) rotateOwn(ctx context.Context, uses []pin.Use, in time.Duration, hasty bool, m pin.Memo) (made []keyring.Standing, err error) {
	err = k.change(ctx, m, func(ks *keyring.Keyset, now time.Time) (*keyring.Keyset, []event, error) {
		next, fresh, err := ks.Rotated(uses, now.Add(in), hasty, k.opt.Rand, now)
		made = fresh
		var events []event
		for _, one := range fresh {
			events = append(events, event{pin.EventVaultKeyRotated, keyring.Standing{}, one})
		}
		return next, events, err
	}, func() any { return made })
	return made, err
}

// told are the events of steps.
var told = map[keyring.Step]pin.EventType{
	keyring.Activate: pin.EventVaultKeyActivated,
	keyring.Retire:   pin.EventVaultKeyRetired,
	keyring.Restore:  pin.EventVaultKeyRestored,
	keyring.Destroy:  pin.EventVaultKeyDestroyed,
}

// Take takes a step: Forbidden, [keyring.ErrNoUse], [keyring.ErrNoKey], [keyring.Refusal], and what the store refuses. A
// key that was replaced is retired when nothing depends on it: ErrInUse, ErrNotCounted, unless by force.
func (k *Keeper) Take(ctx context.Context, w keyring.Wish, force bool, m pin.Memo) (after keyring.Standing, err error) {
	if k.opt.Elsewhere.Holds(w.Use) {
		return after, elsewhere(w.Use, w.Step)
	}
	if w.Step == keyring.Retire && !force {
		if err := k.unused(ctx, w); err != nil {
			return keyring.Standing{}, err
		}
	}
	err = k.change(ctx, m, func(ks *keyring.Keyset, now time.Time) (*keyring.Keyset, []event, error) {
		if w.Step == keyring.Activate && w.At.Before(now) {
			w.At = now
		}
		next, stands, err := ks.After(w, now)
		if err != nil {
			return nil, nil, err
		}
		before, err := ks.Key(w.Use, w.Version, now)
		after = stands
		return next, []event{{told[w.Step], before, stands}}, err
	}, func() any { return after })
	return after, err
}

// unused is an error unless the key may be retired and nothing depends on it. It is asked before the step, since the
// answer takes as long as the database is large; a key that was replaced makes nothing meanwhile.
func (k *Keeper) unused(ctx context.Context, w keyring.Wish) error {
	if err := k.trail.TrailStands(ctx); err != nil {
		return err
	}
	ks, err := k.store.Keyset()
	if err != nil {
		return err
	}
	now := k.opt.Now()
	if _, _, err := ks.After(w, now); err != nil {
		return err
	}
	s, err := ks.Key(w.Use, w.Version, now)
	if err != nil || s.State != keyring.Retiring {
		return err
	}
	switch s.Use {
	case keyring.UseTokens:
		if over := s.RetiringSince.Add(tokensLive); now.Before(over) {
			return fmt.Errorf("%w: tokens that it has signed may be good until %s", ErrInUse, over.UTC().Format(time.RFC3339))
		}
		return nil
	case keyring.UseCheckpoints:
		return fmt.Errorf("%w: checkpoints that it has signed are kept by others, and nobody could verify them any more", ErrNotCounted)
	case keyring.UseAuditLog:
		return fmt.Errorf("%w: outsiders who verify the audit log by it must know the next key first", ErrNotCounted)
	}
	if k.opt.Counts == nil {
		return fmt.Errorf("%w: that takes the database", ErrNotCounted)
	}
	counted, err := k.opt.Counts.Usage(ctx, nil)
	if err != nil {
		return err
	}
	for _, of := range counted {
		if of.Use == s.Use && of.KeyID == s.ID && of.Rows > 0 {
			return fmt.Errorf("%w: %d rows of the database are still under it; %s", ErrInUse, of.Rows, untilNone(s.Use))
		}
	}
	return nil
}

// untilNone says how a key comes to be needed by no row any more.
func untilNone(use pin.Use) string {
	if use == pin.UseFingerprint || use == pin.UseReplayKey {
		return "they are records of idempotency keys, which end by themselves when they expire"
	}
	return "put them under the active one first (rewrap)"
}

// event is a step as the trail is told of it.
type event struct {
	what          pin.EventType
	before, after keyring.Standing
}

// change has a step decided and taken, and told of. result is what a repetition of the request is answered.
func (k *Keeper) change(ctx context.Context, m pin.Memo, decide func(*keyring.Keyset, time.Time) (*keyring.Keyset, []event, error), result func() any) error {
	if err := k.trail.TrailStands(ctx); err != nil {
		return err
	}
	var events []event
	err := k.store.Change(ctx, func(ks *keyring.Keyset) (next *keyring.Keyset, err error) {
		next, events, err = decide(ks, k.opt.Now())
		return next, err
	}, func() error {
		steps := make([]pin.KeyStep, len(events))
		for i, e := range events {
			steps[i] = pin.KeyStep{Type: e.what, Name: e.after.Name(), Version: int64(e.after.Version), Before: e.before, After: e.after}
		}
		return k.trail.TellOfKeys(ctx, steps, result(), m)
	})
	if err == nil {
		k.opt.Taken()
	}
	return err
}

// Rewrap encrypts a keyset file under another key-encryption key, and tells the trail.
func (k *Keeper) Rewrap(ctx context.Context, f File, kek tink.AEAD, m pin.Memo) error {
	if err := k.trail.TrailStands(ctx); err != nil {
		return err
	}
	return f.Rewrap(ctx, kek, func() error {
		return k.trail.TellOfKeys(ctx, []pin.KeyStep{{Type: pin.EventVaultKeysRewrapped}}, nil, m)
	})
}
