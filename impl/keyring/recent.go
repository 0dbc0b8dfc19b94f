package keyring

import (
	"context"
	"sync"
	"time"

	"pinvault/impl/pin"
)

// messageKeyLife is how long the row of a message key that was just read is taken as it was, so that a burst of messages asks for
// it once: a key that another process has retired is dead after it, one that this process has at once (see [Ring.Recheck]).
const messageKeyLife = 400 * time.Millisecond

// recentRows are rows that were read a moment ago. They are as they rest: nothing in them is opened.
type recentRows struct {
	zone ZoneKeys
	now  func() time.Time
	mu   sync.Mutex
	kept map[string]recentRow
	era  int // counts what was forgotten, so that a row that was on its way meanwhile is not kept
}

type recentRow struct {
	row  pin.ZoneKey
	read time.Time
}

func (r *recentRows) ZoneKey(ctx context.Context, id string) (pin.ZoneKey, error) {
	now := r.now()
	r.mu.Lock()
	known, ok := r.kept[id]
	era := r.era
	r.mu.Unlock()
	if age := now.Sub(known.read); ok && age >= 0 && age < messageKeyLife {
		return known.row, nil
	}
	row, err := r.zone.ZoneKey(ctx, id)
	if err != nil {
		return row, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if era == r.era {
		if len(r.kept) >= maxZoneKeys {
			clear(r.kept)
		}
		r.kept[id] = recentRow{row, now}
	}
	return row, nil
}

func (r *recentRows) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.era++
	clear(r.kept)
}

// Recheck has the row of every key read again before the key is used: one of them was changed.
func (r *Ring) Recheck() {
	r.opened.Purge()
	r.recent.forget()
}
