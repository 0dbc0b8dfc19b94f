package pin

import (
	"cmp"
	"context"
	"slices"
)

// KeyUse is how many rows of the database need a key.
type KeyUse struct {
	Use     Use
	KeyID   string // "" of what names no key
	Current bool   // it is the current key of its use
	Rows    int64
}

// Usage counts what each key is still needed for, in the order of uses and ids. A key that is not in it, or has no rows,
// may end: nothing would miss it. It counts what the database says and does not look at seals.
//
// Events count by their chain, whose newest one is under the key; those before an audit.rekeyed need none. Records of
// idempotency keys count, for the hash and the fingerprint, until they expire.
//
// progress, if any, hears now and then how many rows of a table have been looked at.
func (v *Vault) Usage(ctx context.Context, progress func(table string, n int64)) ([]KeyUse, error) {
	counts := map[KeyUse]int64{}
	count := func(outputs []output) {
		seen := map[KeyUse]bool{} // in this row
		for _, o := range outputs {
			if len(o.made) == 0 {
				continue
			}
			id, _ := v.keys.KeyID(o.use, o.made)
			key := KeyUse{Use: o.use, KeyID: id, Current: !v.keys.Stale(o.use, o.made)}
			if !seen[key] {
				seen[key] = true
				counts[key]++
			}
		}
	}
	now := micros(v.clock())
	w := &walk{vault: v, progress: progress}
	for _, t := range restingTables {
		if err := w.rows(ctx, t, func(page []Row) error {
			for _, row := range page {
				count(append(row.claimed(now), output{use: UseSeal, made: row.Seal}))
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	if err := w.cards(ctx, func(page []CardRow) error {
		for _, row := range page {
			var rec Record
			_, _ = decode(row.Details, &rec.Card), decode(row.Value, &rec.PIN)
			count(rec.outputs(row))
		}
		return nil
	}); err != nil {
		return nil, err
	}
	uses := make([]KeyUse, 0, len(counts))
	for use, n := range counts {
		use.Rows = n
		uses = append(uses, use)
	}
	slices.SortFunc(uses, func(a, b KeyUse) int { return cmp.Or(cmp.Compare(a.Use, b.Use), cmp.Compare(a.KeyID, b.KeyID)) })
	return uses, nil
}

// Uses is Usage as a table: for every use how many rows need which of its keys.
func (v *Vault) Uses(ctx context.Context) (map[Use]map[string]int64, error) {
	counted, err := v.Usage(ctx, nil)
	if err != nil {
		return nil, err
	}
	table := map[Use]map[string]int64{}
	for _, use := range []Use{UseVerifier, UsePIN, UsePAN, UsePANIndex, UseAudit, UseFingerprint, UseSecret, UseKeyWrap, UseSeal, UseReplayKey} {
		table[use] = map[string]int64{}
	}
	for _, u := range counted {
		table[u.Use][u.KeyID] = u.Rows
	}
	return table, nil
}

// claimed are the outputs that a row says it holds, whether or not its seal holds; of replays those that count at that time.
func (r Row) claimed(now int64) []output {
	switch r.Table {
	case TableClients:
		var c Client
		_ = decode(r.Body, &c)
		return c.outputs()
	case TableZoneKeys:
		var k ZoneKey
		_ = decode(r.Body, &k)
		return k.outputs()
	case TableWebhooks:
		var w Webhook
		_ = decode(r.Body, &w)
		return w.outputs()
	case TableSessions:
		var s restingSession
		_ = decode(r.Body, &s)
		session := s.session()
		return session.outputs()
	case TableChains:
		var h Head
		_ = decode(r.Body, &h)
		return h.outputs()
	case TableReplays:
		if r.ExpiresAt <= now {
			return nil
		}
		var kept Replay
		_ = decode(r.Body, &kept)
		return kept.outputs(r.ID)
	}
	return nil
}
