package keyring

import (
	"fmt"
	"slices"
	"time"

	"github.com/tink-crypto/tink-go/v2/keyset"

	"pinvault/impl/pin"
)

// view is a keyset at work from a time on, until the next one's comes.
type view struct {
	from       time.Time
	next       *view // nil for the last
	primitives map[pin.Use]any
	ids        map[pin.Use][]string     // by which outputs name keys, that of the active one first
	signing    map[pin.Use][]SigningKey // the one to sign with first
}

// views are all that a keyset becomes by itself, the first of them: one begins whenever a key becomes active. They are
// made at once, so that nothing can fail while the vault serves.
func views(keys []heldKey) (*view, error) {
	times := []time.Time{{}}
	for _, k := range keys {
		if k.opens() && !k.ActiveFrom.IsZero() {
			times = append(times, k.ActiveFrom)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	times = slices.CompactFunc(times, time.Time.Equal)
	signers, err := signersOf(keys)
	if err != nil {
		return nil, err
	}
	var next *view
	for _, from := range slices.Backward(times) {
		v, err := viewAt(keys, signers, from)
		if err != nil {
			return nil, err
		}
		v.next, next = next, v
	}
	return next, nil
}

func viewAt(keys []heldKey, signers map[string]SigningKey, now time.Time) (*view, error) {
	v := &view{from: now, primitives: map[pin.Use]any{}, ids: map[pin.Use][]string{}, signing: map[pin.Use][]SigningKey{}}
	for _, u := range uses {
		own := held(keys, u.use)
		active := activeAt(known(own), now)
		own = slices.DeleteFunc(own, func(k heldKey) bool { return !k.opens() })
		if active == 0 && u.use == UseAuditLog {
			continue // of a keyset from before there was this use: With makes the first key
		}
		if active == 0 {
			return nil, errMissing(string(u.use))
		}
		if u.kind.key == nil {
			v.signing[u.use] = signing(own, signers, active)
			continue
		}
		var err error
		if v.primitives[u.use], err = u.kind.work(own, active); err != nil {
			return nil, fmt.Errorf("keyring: keys for %s: %w", u.use, err)
		}
		v.ids[u.use] = idsOf(own, active)
	}
	return v, nil
}

// work makes the keys of a use, one of which is active, a primitive.
func (k kind) work(keys []heldKey, active int) (any, error) {
	m := keyset.NewManager()
	for _, one := range keys {
		key, err := k.parse(one)
		if err != nil {
			return nil, err
		}
		id, err := m.AddKey(key)
		if err != nil {
			return nil, err
		}
		if one.Version == active {
			if err := m.SetPrimary(id); err != nil {
				return nil, err
			}
		}
	}
	h, err := m.Handle()
	if err != nil {
		return nil, err
	}
	return k.primitive(h, idsOf(keys, 0))
}

// idsOf are the ids of keys, that of the active one first and the others in the order of their making.
func idsOf(keys []heldKey, active int) (ids []string) {
	for _, k := range keys {
		at := len(ids)
		if k.Version == active {
			at = 0
		}
		ids = slices.Insert(ids, at, k.ID)
	}
	return ids
}

// signersOf are the keys that sign and verify, by name. They cost more than all others to make ready, so the views share them.
func signersOf(keys []heldKey) (map[string]SigningKey, error) {
	out := map[string]SigningKey{}
	for _, k := range keys {
		of, _ := kindOf(k.Use)
		if of.sign == nil || !k.opens() {
			continue
		}
		s, err := of.sign(k.material)
		if err != nil {
			return nil, fmt.Errorf("keyring: keys for %s: %w", k.Use, err)
		}
		out[k.Name()] = s
	}
	return out, nil
}

// signing are the signers of a use, the active one first and the newest of the others next.
func signing(keys []heldKey, signers map[string]SigningKey, active int) []SigningKey {
	var out []SigningKey
	for _, k := range slices.Backward(keys) {
		if k.Version == active {
			out = slices.Insert(out, 0, signers[k.Name()])
		} else {
			out = append(out, signers[k.Name()])
		}
	}
	return out
}

// view is the one whose time has come. It never goes back to one before, whatever the clock does.
func (ks *Keyset) view() *view {
	v := ks.current.Load()
	if v.next == nil {
		return v
	}
	now := ks.now()
	for v.next != nil && !now.Before(v.next.from) {
		ks.current.CompareAndSwap(v, v.next)
		v = ks.current.Load()
	}
	return v
}
