package memory

import (
	"context"
	"slices"
	"time"

	"pinvault/impl/pin"
)

// Counters of what clients do: see impl/store.

type leased struct{ startsAt, taken int64 }

type counted struct {
	clientID, bin string
	startsAt      int64
}

// counts are what was counted of a client's verifications of a BIN in a window, and the cards that had a mismatch.
type counts struct {
	verifications, mismatches int64
	cards                     []string
}

// moment is a time in microseconds since 1970: now for the zero time.
func moment(at time.Time) int64 {
	if at.IsZero() {
		at = time.Now()
	}
	return at.UnixMicro()
}

// Lease takes some of what is left of a limit in the window under way: a sixteenth, at most block, and at least one while there is
// any. The window remains for so long.
func (s *Store) Lease(ctx context.Context, id string, limit, block int64, window time.Duration, at time.Time) (granted int64, remains time.Duration, err error) {
	err = s.write(ctx, func() error {
		now, length := moment(at), window.Microseconds()
		fresh := now / length * length
		l := s.leases[id]
		if l.startsAt < fresh || l.startsAt > fresh+length {
			l = leased{startsAt: fresh}
		}
		rest := limit - l.taken
		granted = max(0, min(rest, max(1, min(block, rest/16))))
		l.taken += granted
		s.leases[id] = l
		remains = time.Duration(l.startsAt+length-now) * time.Microsecond
		return nil
	})
	return granted, remains, err
}

// CountVerifications adds to what was counted of a client's verifications in the window under way, and tells the sum.
func (s *Store) CountVerifications(ctx context.Context, n pin.MismatchCount, clientID string, cardIDs []string, window time.Duration, at time.Time) (total pin.MismatchCount, err error) {
	err = s.write(ctx, func() error {
		length := window.Microseconds()
		key := counted{clientID, n.BIN, moment(at) / length * length}
		c := s.verified[key]
		c.verifications, c.mismatches = c.verifications+n.Verifications, c.mismatches+n.Mismatches
		for _, id := range cardIDs {
			if !slices.Contains(c.cards, id) {
				c.cards = append(slices.Clip(c.cards), id)
			}
		}
		s.verified[key] = c
		total = pin.MismatchCount{BIN: n.BIN, Verifications: c.verifications, Mismatches: c.mismatches, Cards: int64(len(c.cards))}
		return nil
	})
	return total, err
}

// PurgeVerifications deletes what was counted of verifications before a time, and returns how many rows a database would have had for it.
func (s *Store) PurgeVerifications(ctx context.Context, before time.Time) (total int64, err error) {
	err = s.write(ctx, func() error {
		for key, c := range s.verified {
			if key.startsAt < before.UnixMicro() {
				total += 1 + int64(len(c.cards))
				delete(s.verified, key)
			}
		}
		return nil
	})
	return total, err
}
