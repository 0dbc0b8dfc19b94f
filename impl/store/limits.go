package store

import (
	"context"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"pinvault/impl/pin"
	"pinvault/models"
)

// Counters of what clients do, see package limits. Their windows begin at multiples of their length since 1970, by the clock
// of the database, which is the one clock that all processes share; SQLite's is this machine's. at, unless zero, is the time instead.

// lease takes some of what is left of a window, in one statement: a sixteenth, but no more than block and no less than one, while
// there is any. A row that is in another window begins anew, unless the database's clock was put back by less than a window: then the
// window that was begun goes on, so that no more is given for it.
const lease = `INSERT INTO limit_leases AS l (id, starts_at, taken, granted)
	VALUES (@id, {now} / @window * @window, {first}, {first})
	ON CONFLICT (id) DO UPDATE SET
		granted = CASE WHEN {same} THEN {some} ELSE excluded.granted END,
		taken = CASE WHEN {same} THEN l.taken + {some} ELSE excluded.taken END,
		starts_at = CASE WHEN {same} THEN l.starts_at ELSE excluded.starts_at END
	RETURNING granted, starts_at + @window - {now} AS remains`

// inWords is a statement in the words of the database, with at, or its own clock, for now.
func (s *Store) inWords(statement string, at time.Time) string {
	now, least, greatest := `CAST(@at AS bigint)`, "least", "greatest"
	if s.engine.oneWriter {
		least, greatest = "min", "max"
	} else if at.IsZero() {
		now = `CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)`
	}
	some := func(rest string) string {
		return greatest + `(0, ` + least + `(` + rest + `, ` + greatest + `(1, ` + least + `(CAST(@block AS bigint), (` + rest + `) / 16))))`
	}
	return strings.NewReplacer(
		"{now}", now,
		"{first}", some("CAST(@limit AS bigint)"),
		"{some}", some("CAST(@limit AS bigint) - l.taken"),
		"{same}", "(l.starts_at >= excluded.starts_at AND l.starts_at <= excluded.starts_at + @window)",
	).Replace(statement)
}

// Lease takes some of what is left of a limit in the window under way: at most block at a time, 0 where nothing is left. The
// window remains for so long.
func (s *Store) Lease(ctx context.Context, id string, limit, block int64, window time.Duration, at time.Time) (granted int64, remains time.Duration, err error) {
	given := map[string]any{"id": id, "limit": limit, "block": block, "window": window.Microseconds(), "at": moment(at)}
	var got struct{ Granted, Remains int64 }
	err = s.write(ctx, func(db *gorm.DB) error { return s.fail(ctx, db.Raw(s.inWords(lease, at), given).Scan(&got).Error, "") })
	return got.Granted, time.Duration(got.Remains) * time.Microsecond, err
}

// moment is a time in microseconds since 1970: now for the zero time, with which only SQLite is asked for it.
func moment(at time.Time) int64 {
	if at.IsZero() {
		at = time.Now()
	}
	return at.UnixMicro()
}

const countVerifications = `INSERT INTO limit_verifications AS l (client_id, bin, starts_at, verifications, mismatches)
	VALUES (@client, @bin, {now} / @window * @window, @verifications, @mismatches)
	ON CONFLICT (client_id, bin, starts_at) DO UPDATE SET
		verifications = l.verifications + excluded.verifications, mismatches = l.mismatches + excluded.mismatches
	RETURNING *`

// CountVerifications adds what a process has counted of a client's verifications of a BIN to the window under way, and the cards that
// had a mismatch, and tells what all have counted in it by now.
func (s *Store) CountVerifications(ctx context.Context, n pin.MismatchCount, clientID string, cardIDs []string, window time.Duration, at time.Time) (total pin.MismatchCount, err error) {
	given := map[string]any{"client": clientID, "bin": n.BIN, "verifications": n.Verifications, "mismatches": n.Mismatches, "window": window.Microseconds(), "at": moment(at)}
	err = s.inTx(ctx, func(t *tx) error {
		var sum models.LimitVerification
		if err := t.fail(t.db.Raw(s.inWords(countVerifications, at), given).Scan(&sum).Error, ""); err != nil {
			return err
		}
		rows := make([]models.LimitMismatch, len(cardIDs))
		for i, id := range cardIDs {
			rows[i] = models.LimitMismatch{ClientID: clientID, BIN: n.BIN, StartsAt: sum.StartsAt, CardID: id}
		}
		if len(rows) > 0 {
			if err := t.fail(t.db.Clauses(clause.OnConflict{DoNothing: true}).Create(&rows).Error, ""); err != nil {
				return err
			}
		}
		total = pin.MismatchCount{BIN: n.BIN, Verifications: sum.Verifications, Mismatches: sum.Mismatches}
		return t.fail(t.db.Model(&models.LimitMismatch{}).Where("client_id = ? AND bin = ? AND starts_at = ?", clientID, n.BIN, sum.StartsAt).Count(&total.Cards).Error, "")
	})
	return total, err
}

// PurgeVerifications deletes what was counted of verifications before a time.
func (s *Store) PurgeVerifications(ctx context.Context, before time.Time) (total int64, err error) {
	for _, table := range []string{"limit_verifications", "limit_mismatches"} {
		err = s.inTx(ctx, func(t *tx) error {
			result := t.db.Exec("DELETE FROM "+table+" WHERE starts_at < ?", before.UnixMicro())
			total += result.RowsAffected
			return t.fail(result.Error, "")
		})
		if err != nil {
			break
		}
	}
	return total, err
}
