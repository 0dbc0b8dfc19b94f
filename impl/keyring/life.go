package keyring

import (
	"fmt"
	"slices"
	"time"

	"pinvault/impl/pin"
)

// State is where a key of the vault's own stands in its life.
type State string

// The states.
const (
	Pending   State = "pending"   // opens what it makes elsewhere, and makes nothing here yet
	Active    State = "active"    // makes outputs: one key of each use does
	Retiring  State = "retiring"  // was replaced, and opens what it made
	Retired   State = "retired"   // opens nothing; its material is kept, for a database that comes back from a backup
	Destroyed State = "destroyed" // its material is gone
)

// Step is what an operator may do to a key.
type Step string

// The steps.
const (
	Activate Step = "activate" // have it make outputs, from a time on
	Retire   Step = "retire"
	Restore  Step = "restore" // undo Retire
	Destroy  Step = "destroy"
)

// lives says which steps a key may take, and where to. A key becomes active and retiring by the clock, so these two are
// no step that is taken here. One that was replaced makes no outputs again: a fresh key does. One that is restored
// without ever having been active is pending again.
var lives = map[State]map[Step]State{
	Pending:   {Activate: Active, Retire: Retired},
	Active:    {},
	Retiring:  {Retire: Retired},
	Retired:   {Restore: Retiring, Destroy: Destroyed},
	Destroyed: {},
}

// refusals are the words for the steps that are not in lives.
var refusals = map[Step]map[State]string{
	Activate: {
		Active:    "it is active already",
		Retiring:  "it was replaced, and makes no outputs again: rotate instead",
		Retired:   "it is retired: rotate instead",
		Destroyed: "its material is gone: rotate instead",
	},
	Retire: {
		Active:    "the vault works with it: rotate first",
		Retired:   "it is retired already",
		Destroyed: "it is destroyed already",
	},
	Restore: {
		Pending:   "it is not retired",
		Active:    "it is not retired",
		Retiring:  "it is not retired",
		Destroyed: "its material is gone: restore the keyset file from a backup",
	},
	Destroy: {
		Pending:   "only a retired key can be destroyed: retire it first",
		Active:    "the vault works with it: rotate first",
		Retiring:  "only a retired key can be destroyed: retire it first",
		Destroyed: "it is destroyed already",
	},
}

// Settle is how long a key must be known before it makes outputs, so that no process meets an output of a key that it
// has not read yet: each looks at the file every few seconds, and their clocks may differ by as much.
const Settle = 30 * time.Second

// Key is what may be known of a key of the vault's own: all but its material. Its state follows from its dates, those of
// the other keys of its use and the time, so that there is no moment at which somebody has to change it.
type Key struct {
	Use         pin.Use   `json:"use"`
	Version     int       `json:"version"`    // 1, 2, …; 0 of a key in a token or OpenBao
	ID          string    `json:"id"`         // by which outputs name it: eight hex digits, of a signing key its JWK thumbprint
	Algorithm   string    `json:"algorithm"`  // HMAC-SHA256, AES-256-GCM, ES256 or Ed25519
	CheckValue  string    `json:"checkValue"` // ten upper-case hex digits, which are no secret
	CreatedAt   time.Time `json:"createdAt"`
	ActiveFrom  time.Time `json:"activeFrom,omitzero"` // zero: nobody has said
	RetiredAt   time.Time `json:"retiredAt,omitzero"`
	DestroyedAt time.Time `json:"destroyedAt,omitzero"`
}

// Name is the use and the version, as the audit trail and the command line have them: pan/2. Of a key in a token or OpenBao, which
// count their own, it is the use alone.
func (k Key) Name() string {
	if k.Version == 0 {
		return string(k.Use)
	}
	return fmt.Sprintf("%s/%d", k.Use, k.Version)
}

// Standing is a key as it stands at a time.
type Standing struct {
	Key
	State         State     `json:"state"`
	RetiringSince time.Time `json:"retiringSince,omitzero"` // when another key of the use became active
}

// opens tells whether the key is for work: pending, active or retiring.
func (k Key) opens() bool { return k.RetiredAt.IsZero() && k.DestroyedAt.IsZero() }

// after tells whether k takes over from other, where both times have come.
func (k Key) after(other Key) bool {
	if k.ActiveFrom.Equal(other.ActiveFrom) {
		return k.Version > other.Version
	}
	return k.ActiveFrom.After(other.ActiveFrom)
}

// due tells whether the time has come for the key to make outputs.
func (k Key) due(now time.Time) bool { return !k.ActiveFrom.IsZero() && !k.ActiveFrom.After(now) }

// activeAt is the version of the key that makes outputs, of the keys of one use: the newest of those whose time has
// come. Where that is none, because a clock is behind, it is the first to come. 0: there is none at all.
func activeAt(keys []Key, now time.Time) int {
	var newest, first Key
	for _, k := range keys {
		switch {
		case !k.opens() || k.ActiveFrom.IsZero():
		case k.due(now):
			if newest.Version == 0 || k.after(newest) {
				newest = k
			}
		case first.Version == 0 || first.after(k):
			first = k
		}
	}
	if newest.Version == 0 {
		newest = first
	}
	return newest.Version
}

// standings are the keys of one use as they stand at a time.
func standings(keys []Key, now time.Time) []Standing {
	active := activeAt(keys, now)
	out := make([]Standing, len(keys))
	for i, k := range keys {
		s := Standing{Key: k}
		for _, other := range keys { // the first that took over
			if other.due(now) && !k.ActiveFrom.IsZero() && other.after(k) && (s.RetiringSince.IsZero() || other.ActiveFrom.Before(s.RetiringSince)) {
				s.RetiringSince = other.ActiveFrom
			}
		}
		switch {
		case !k.DestroyedAt.IsZero():
			s.State = Destroyed
		case !k.RetiredAt.IsZero():
			s.State = Retired
		case k.Version == active:
			s.State = Active
		case k.due(now):
			s.State = Retiring
		default:
			s.State = Pending
		}
		out[i] = s
	}
	return out
}

// Refusal says why a key may not take a step. Its text is for the operator, and begins with the key's name.
type Refusal struct {
	Key  string // Key.Name
	Step Step
	Says string
}

func (r *Refusal) Error() string { return r.Key + ": " + r.Says }

// Wish is a step that somebody wants a key to take.
type Wish struct {
	Use     pin.Use
	Version int
	Step    Step
	At      time.Time // of Activate: when; not before now
	Hasty   bool      // before every process has had the time to read of the key, or to change over from it, because none runs
}

// stepped is the keys of one use after a step: a [Refusal], or [ErrNoKey].
func stepped(keys []Key, w Wish, now time.Time) ([]Key, error) {
	all := standings(keys, now)
	i := slices.IndexFunc(all, func(s Standing) bool { return s.Version == w.Version })
	if i < 0 {
		return nil, ErrNoKey
	}
	k := all[i]
	refuse := func(says string) ([]Key, error) { return nil, &Refusal{k.Name(), w.Step, says} }
	if _, may := lives[k.State][w.Step]; !may {
		return refuse(refusals[w.Step][k.State])
	}
	switch w.Step {
	case Activate:
		if other, ok := scheduled(all, now); ok && other.Version != k.Version {
			return refuse(fmt.Sprintf("version %d becomes active at %s: wait, or retire it", other.Version, other.ActiveFrom.Format(time.RFC3339)))
		}
		if known := k.CreatedAt.Add(Settle); w.At.Before(known) && !w.Hasty {
			return refuse(fmt.Sprintf("not every server knows it yet: it can be active from %s on", ceil(known).Format(time.RFC3339)))
		}
		k.ActiveFrom = exact(w.At)
	case Retire:
		if over := k.RetiringSince.Add(Settle); k.State == Retiring && now.Before(over) && !w.Hasty {
			return refuse(fmt.Sprintf("another server may be at work with it still: it can be retired from %s on", ceil(over).Format(time.RFC3339)))
		}
		if k.State == Pending {
			if !k.ActiveFrom.IsZero() && now.Add(Settle).After(k.ActiveFrom) && !w.Hasty {
				return refuse("it is about to become active: by another server's clock it may be already")
			}
			k.ActiveFrom = time.Time{}
		}
		k.RetiredAt = exact(now)
	case Restore:
		k.RetiredAt = time.Time{}
	case Destroy:
		k.DestroyedAt = exact(now)
	}
	out := slices.Clone(keys)
	out[i] = k.Key
	return out, nil
}

// scheduled is the key whose time is still to come.
func scheduled(all []Standing, now time.Time) (Standing, bool) {
	i := slices.IndexFunc(all, func(s Standing) bool { return s.State == Pending && s.ActiveFrom.After(now) })
	if i < 0 {
		return Standing{}, false
	}
	return all[i], true
}

// exact is a time as it is kept.
func exact(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// ceil is a time in whole seconds, not before t.
func ceil(t time.Time) time.Time {
	return t.Add(time.Second - time.Nanosecond).UTC().Truncate(time.Second)
}
