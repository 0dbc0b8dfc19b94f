package store

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"

	"pinvault/impl/pin"
	"pinvault/models"
)

// What is to be sent to webhooks. It is written by the swap, see [tx.announce], swap_card and announce_events, and read and moved on by whoever sends it.

// topicsOf are the topics of events, as swap_card and announce_events take them, nil where no event has one.
func topicsOf(events []pin.EventRow) []*string {
	var topics []*string
	for i, e := range events {
		if e.Topic != "" {
			if topics == nil {
				topics = make([]*string, len(events))
			}
			topics[i] = &e.Topic
		}
	}
	return topics
}

// announce is swap_card's part for an event.
func (t *tx) announce(e pin.EventRow, now int64) error {
	if e.Topic == "" {
		return nil
	}
	var wanting []string
	err := t.db.Raw(`SELECT id FROM webhook_endpoints WHERE program_id IN ('', ?) AND (body LIKE '%"' || ? || '"%' OR body LIKE '%"on *"%')`,
		e.ProgramID, e.Topic).Find(&wanting).Error
	if err := t.fail(err, ""); err != nil {
		return err
	}
	for _, id := range wanting {
		if err := t.queue(pin.Delivery{Chain: e.Chain, WebhookID: id, Seq: e.Seq, EventID: e.ID, DueAt: now, CreatedAt: now}, "NOTHING"); err != nil {
			return err
		}
	}
	return nil
}

// queue adds a delivery, and does as told with one that is there.
func (t *tx) queue(d pin.Delivery, conflict string, args ...any) error {
	return t.fail(t.db.Exec(`INSERT INTO webhook_deliveries AS old (chain, endpoint_id, seq, event_id, state, attempts, due_at, created_at, first_at, done_at, status, failure)
		VALUES (?, ?, ?, ?, 'pending', 0, ?, ?, 0, 0, 0, '') ON CONFLICT (chain, endpoint_id, seq) DO `+conflict,
		append([]any{d.Chain, d.WebhookID, d.Seq, d.EventID, d.DueAt, d.CreatedAt}, args...)...).Error, "")
}

// QueueDeliveries adds deliveries. One that was made already, or parked, is made again; one that is pending stays as it is.
func (s *Store) QueueDeliveries(ctx context.Context, all []pin.Delivery) error {
	const again = `UPDATE SET state = 'pending', attempts = 0, due_at = excluded.due_at, first_at = 0, done_at = 0, status = 0, failure = '' WHERE old.state <> 'pending'`
	if s.engine.sharded { // one card a transaction
		for _, d := range all {
			if err := s.inTx(ctx, func(t *tx) error { return t.queue(d, again) }); err != nil {
				return err
			}
		}
		return nil
	}
	return s.inTx(ctx, func(t *tx) error {
		for _, d := range all {
			if err := t.queue(d, again); err != nil {
				return err
			}
		}
		return nil
	})
}

// first holds for the deliveries that no other of the same chain and webhook goes before.
const first = ` AND NOT EXISTS (SELECT 1 FROM webhook_deliveries b WHERE b.chain = d.chain AND b.endpoint_id = d.endpoint_id AND b.seq < d.seq AND b.state = 'pending')`

// claimable are deliveries that may be tried now.
const claimable = `SELECT d.chain, d.endpoint_id, d.seq, d.attempts FROM webhook_deliveries d
	WHERE d.endpoint_id = ? AND d.state = 'pending' AND d.due_at <= ?` + first + ` ORDER BY d.due_at LIMIT ?`

// take counts an attempt of a delivery, and puts it off for as long as it may take.
const take = `UPDATE webhook_deliveries AS d SET attempts = d.attempts + 1, due_at = ?, first_at = CASE d.first_at WHEN 0 THEN ? ELSE d.first_at END`

// ClaimDeliveries takes at most limit deliveries of a webhook that are due, for lease: until then nobody else takes them. Of those of
// one chain it is the first that is pending. However many processes ask at once, each gets others.
func (s *Store) ClaimDeliveries(ctx context.Context, webhookID string, now time.Time, lease time.Duration, limit int) ([]pin.Delivery, error) {
	due, until := now.UnixMicro(), now.Add(lease).UnixMicro()
	var taken []models.WebhookDelivery
	if s.engine.function && !s.engine.sharded {
		err := s.inTx(ctx, func(t *tx) error {
			return t.fail(t.db.Raw(take+` FROM (`+claimable+` FOR UPDATE OF d SKIP LOCKED) c
				WHERE d.chain = c.chain AND d.endpoint_id = c.endpoint_id AND d.seq = c.seq RETURNING d.*`,
				until, due, webhookID, due, limit).Find(&taken).Error, "")
		})
		return deliveries(taken), err
	}
	// No engine locks rows of many machines so, and SQLite has one writer: each is taken if nobody else has.
	var candidates []models.WebhookDelivery
	err := s.read(ctx, func(db *gorm.DB) error { return db.Raw(claimable, webhookID, due, limit).Find(&candidates).Error })
	together := max(len(candidates), 1)
	if s.engine.sharded { // one card a transaction
		together = 1
	}
	for some := range slices.Chunk(candidates, together) {
		var now []models.WebhookDelivery
		err = s.inTx(ctx, func(t *tx) error {
			now = nil
			for _, c := range some {
				var one []models.WebhookDelivery
				err := t.db.Raw(take+` WHERE d.chain = ? AND d.endpoint_id = ? AND d.seq = ? AND d.attempts = ? AND d.state = 'pending' AND d.due_at <= ? RETURNING *`,
					until, due, c.Chain, c.EndpointID, c.Seq, c.Attempts, due).Find(&one).Error
				if now = append(now, one...); t.fail(err, "") != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			break
		}
		taken = append(taken, now...)
	}
	return deliveries(taken), err
}

// SettleDelivery writes what has become of an attempt, unless its lease has ended and another one was begun.
func (s *Store) SettleDelivery(ctx context.Context, d pin.Delivery) error {
	return s.inTx(ctx, func(t *tx) error {
		return t.fail(t.db.Exec(`UPDATE webhook_deliveries SET state = ?, due_at = ?, done_at = ?, status = ?, failure = ?
			WHERE chain = ? AND endpoint_id = ? AND seq = ? AND attempts = ? AND state = 'pending'`,
			string(d.State), d.DueAt, d.DoneAt, d.Status, d.Failure, d.Chain, d.WebhookID, d.Seq, d.Attempts).Error, "")
	})
}

// Deliveries lists those of a webhook, the newest events first: those before an event, "" for all; of a state, "" for any.
func (s *Store) Deliveries(ctx context.Context, webhookID string, state pin.DeliveryState, before string, limit int) ([]pin.Delivery, error) {
	var rows []models.WebhookDelivery
	err := s.read(ctx, func(db *gorm.DB) error {
		db = db.Where("endpoint_id = ?", webhookID)
		if state != "" {
			db = db.Where("state = ?", string(state))
		}
		if before != "" {
			db = db.Where("event_id < ?", before)
		}
		return db.Order("event_id DESC").Limit(limit).Find(&rows).Error
	})
	return deliveries(rows), err
}

// DueWebhooks are the webhooks that have a delivery which is due.
func (s *Store) DueWebhooks(ctx context.Context, now time.Time) (ids []string, err error) {
	statement := `SELECT e.id FROM webhook_endpoints e WHERE EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.endpoint_id = e.id AND d.state = 'pending' AND d.due_at <= ?)`
	if s.engine.sharded { // a table that is everywhere does not lead a join of one that is spread
		statement = `SELECT DISTINCT endpoint_id AS id FROM webhook_deliveries WHERE state = 'pending' AND due_at <= ?`
	}
	err = s.read(ctx, func(db *gorm.DB) error { return db.Raw(statement, now.UnixMicro()).Find(&ids).Error })
	return ids, err
}

// DeliveredSince tells whether a webhook has taken anything since a time.
func (s *Store) DeliveredSince(ctx context.Context, webhookID string, since time.Time) (bool, error) {
	var n int64
	err := s.read(ctx, func(db *gorm.DB) error {
		return db.Raw(`SELECT count(*) FROM webhook_deliveries WHERE done_at > 0 AND done_at >= ? AND endpoint_id = ? AND state = 'delivered'`, since.UnixMicro(), webhookID).Scan(&n).Error
	})
	return n > 0, err
}

// MostWaiting is how many deliveries of a webhook are counted, so that it stays cheap to ask when most of them wait.
const MostWaiting = 10000

// WaitingDeliveries are the webhooks, except for those that are paused, that something waits for. Of each the [MostWaiting] that are
// due first are looked at.
func (s *Store) WaitingDeliveries(ctx context.Context) (all []pin.Waiting, err error) {
	const these = ` FROM (SELECT d.created_at FROM webhook_deliveries d WHERE d.endpoint_id = e.id AND d.state = 'pending' ORDER BY d.due_at LIMIT ?) w`
	statement, args := `SELECT * FROM (SELECT e.id AS webhook_id, (SELECT count(*)`+these+`) AS count, (SELECT coalesce(min(w.created_at), 0)`+these+`) AS oldest
		FROM webhook_endpoints e WHERE e.body LIKE '%"state":"active"%') a WHERE count > 0`, []any{MostWaiting, MostWaiting}
	if s.engine.sharded { // each machine counts its own
		statement, args = `SELECT endpoint_id AS webhook_id, count(*) AS count, min(created_at) AS oldest FROM webhook_deliveries
			WHERE state = 'pending' AND endpoint_id IN (SELECT id FROM webhook_endpoints WHERE body LIKE '%"state":"active"%') GROUP BY endpoint_id`, nil
	}
	err = s.read(ctx, func(db *gorm.DB) error { return db.Raw(statement, args...).Find(&all).Error })
	return all, err
}

// PurgeDeliveries deletes those that were delivered or parked before a time, and those that wait since before another one.
func (s *Store) PurgeDeliveries(ctx context.Context, done, made time.Time) (int64, error) {
	if s.engine.sharded {
		var n int64
		err := s.inTx(ctx, func(t *tx) error {
			result := t.db.Exec(`DELETE FROM webhook_deliveries WHERE done_at > 0 AND done_at < ? OR done_at = 0 AND created_at < ?`, done.UnixMicro(), made.UnixMicro())
			n = result.RowsAffected
			return t.fail(result.Error, "")
		})
		return n, err
	}
	return s.purge(ctx, func(t *tx) (int64, error) {
		result := t.db.Exec(`DELETE FROM webhook_deliveries WHERE (chain, endpoint_id, seq) IN (SELECT chain, endpoint_id, seq FROM webhook_deliveries
			WHERE done_at > 0 AND done_at < ? OR done_at = 0 AND created_at < ? LIMIT ?)`, done.UnixMicro(), made.UnixMicro(), purgeBatch)
		return result.RowsAffected, result.Error
	})
}

// DropDeliveries deletes all that is of a webhook.
func (s *Store) DropDeliveries(ctx context.Context, webhookID string) error {
	return s.inTx(ctx, func(t *tx) error {
		return t.fail(t.db.Exec(`DELETE FROM webhook_deliveries WHERE endpoint_id = ?`, webhookID).Error, "")
	})
}

// Expired are rows of a table, PIN sessions or approvals, whose time ended in (after, until], in that order.
func (s *Store) Expired(ctx context.Context, t pin.Table, after, until time.Time, limit int) ([]pin.Row, error) {
	return s.rows(ctx, t, "SELECT "+columns[t]+" FROM "+string(t)+" WHERE expires_at > ? AND expires_at <= ? ORDER BY expires_at LIMIT ?",
		after.UnixMicro(), until.UnixMicro(), limit)
}

func deliveries(rows []models.WebhookDelivery) []pin.Delivery {
	out := make([]pin.Delivery, len(rows))
	for i, r := range rows {
		out[i] = pin.Delivery{Chain: r.Chain, WebhookID: r.EndpointID, Seq: r.Seq, EventID: r.EventID, State: pin.DeliveryState(r.State), Attempts: r.Attempts,
			DueAt: r.DueAt, CreatedAt: r.CreatedAt, FirstAt: r.FirstAt, DoneAt: r.DoneAt, Status: r.Status, Failure: r.Failure}
	}
	return out
}
