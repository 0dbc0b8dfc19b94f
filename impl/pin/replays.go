package pin

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Replay is the record by which a repeated request gets its first answer and has no second effect.
type Replay struct {
	Scope       string    `json:"scope"`       // whose keys these are: the client's id
	Key         string    `json:"-"`           // the idempotency key; kept as a keyed hash only
	Endpoint    string    `json:"endpoint"`    // operation and its subject
	Fingerprint []byte    `json:"fingerprint"` // keyed MAC of the request's content
	Result      []byte    `json:"result"`      // JSON; what the first call returned, without secrets
	CreatedAt   time.Time `json:"createdAt"`
	ExpiresAt   time.Time `json:"expiresAt"`

	// Version counts the records of a key, of which each but the first takes the place of one that has not
	// expired and yet is worth nothing any more. 0 is as 1.
	Version int64 `json:"-"`
}

// ReplayKey is an idempotency key, and whose it is.
type ReplayKey struct{ Scope, Key string }

// Repeated tells whether an operation had no effect because the answer of an earlier one is kept under its key.
func Repeated(err error) bool {
	return CodeOf(err) == Duplicate && FieldOf(err) == string(TableReplays)
}

// replayIDs are the ids that a record may have: keyed hashes, the current one first.
func (v *Vault) replayIDs(scope, key string) ([]string, error) {
	return v.keys.Index(UseReplayKey, frame(scope, key))
}

func (v *Vault) sealReplay(r Replay) (Row, error) {
	ids, err := v.replayIDs(r.Scope, r.Key)
	if err != nil {
		return Row{}, err
	}
	return Sealed(v.keys, Row{Table: TableReplays, ID: ids[0], Version: max(r.Version, 1), ExpiresAt: micros(r.ExpiresAt)}, r)
}

// Replay finds the record of a key, expired or not: NotFound.
func (v *Vault) Replay(ctx context.Context, scope, key string) (Replay, error) {
	ids, err := v.replayIDs(scope, key)
	if err != nil {
		return Replay{}, err
	}
	for i, id := range ids {
		row, err := v.store.Row(ctx, TableReplays, "", id)
		if CodeOf(err) == NotFound {
			continue
		}
		if err != nil {
			return Replay{}, err
		}
		r := Replay{Key: key}
		if i == 0 { // under a former hash nothing takes its place
			r.Version = row.Version
		}
		return r, v.unseal(ctx, row, &r)
	}
	return Replay{}, &Error{Code: NotFound}
}

// Remember keeps an answer that no operation stands behind, so that it is kept like any other. Otherwise
// a reused idempotency key would tell a refusal that took a try from one that found no card to take it
// from. So would the time that it takes: decoys are written where the other one writes card and event.
func (v *Vault) Remember(ctx context.Context, result any, m Memo) error {
	var c Change
	if err := v.accompany(&c, m, result); err != nil || len(c.Rows) == 0 {
		return err
	}
	if err := v.decoys(&c, 2); err != nil {
		return err
	}
	own, cancel := ownTime(ctx)
	defer cancel()
	return v.commit(own, c, false)
}

// decoys adds rows that mean nothing to a change that writes fewer than the one that it must not be told
// from by its time: replay records that have expired, which the next purge removes.
func (v *Vault) decoys(c *Change, n int) error {
	for range n {
		key, err := uuid.NewRandomFromReader(v.rand)
		if err != nil {
			return &Error{Code: Internal, Err: err}
		}
		now := v.clock()
		row, err := v.sealReplay(Replay{Key: key.String(), Endpoint: "decoy", CreatedAt: now, ExpiresAt: now})
		if err != nil {
			return err
		}
		c.Rows = append(slices.Clip(c.Rows), row)
	}
	return nil
}
