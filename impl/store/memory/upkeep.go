package memory

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"pinvault/impl/pin"
)

// What a server needs of its database besides pin.Store: see the methods of the same names in impl/store.

// Setting reads a fact about the installation: NotFound.
func (s *Store) Setting(ctx context.Context, key string) (string, error) {
	return reading(ctx, s, func() (string, error) {
		value, there := s.settings[key]
		if !there {
			return "", notFound()
		}
		return value, nil
	})
}

// PutSetting writes a fact about the installation, once: Duplicate.
func (s *Store) PutSetting(ctx context.Context, key, value string) error {
	return s.write(ctx, func() error {
		if _, there := s.settings[key]; there {
			return duplicate("setting")
		}
		s.settings[key] = value
		return nil
	})
}

func (s *Store) write(ctx context.Context, do func() error) error {
	_, err := reading(ctx, s, func() (struct{}, error) { return struct{}{}, do() })
	return err
}

// Empty tells whether there is no program, client or key.
func (s *Store) Empty(ctx context.Context) (bool, error) {
	return reading(ctx, s, func() (bool, error) {
		all := func(pin.Row) bool { return true }
		return len(s.all(pin.TablePrograms, all))+len(s.all(pin.TableClients, all))+len(s.all(pin.TableZoneKeys, all)) == 0, nil
	})
}

// Wipe deletes everything but settings.
func (s *Store) Wipe(ctx context.Context) error {
	return s.write(ctx, func() error {
		s.contents = empty()
		return nil
	})
}

// purge deletes the rows of a table that expired before a time.
func (s *Store) purge(t pin.Table, before time.Time) (gone []pin.Row) {
	for _, r := range s.all(t, func(r pin.Row) bool { return r.ExpiresAt < before.UnixMicro() }) {
		if delete(s.rows[t][r.ID], r.CardID); len(s.rows[t][r.ID]) == 0 {
			delete(s.rows[t], r.ID)
		}
		gone = append(gone, r)
	}
	return gone
}

// PurgeReplays deletes the records that expired before a time, and returns how many.
func (s *Store) PurgeReplays(ctx context.Context, before time.Time) (int64, error) {
	return reading(ctx, s, func() (int64, error) { return int64(len(s.purge(pin.TableReplays, before))), nil })
}

// PurgeSessions deletes the sessions that expired before a time, and their look-ups, and returns how many.
func (s *Store) PurgeSessions(ctx context.Context, before time.Time) (int64, error) {
	return s.purgeOfCards(ctx, pin.TableSessions, pin.KindSession, before)
}

// PurgeApprovals is PurgeSessions for approvals.
func (s *Store) PurgeApprovals(ctx context.Context, before time.Time) (int64, error) {
	return s.purgeOfCards(ctx, pin.TableApprovals, pin.KindApproval, before)
}

func (s *Store) purgeOfCards(ctx context.Context, t pin.Table, kind pin.Kind, before time.Time) (int64, error) {
	return reading(ctx, s, func() (int64, error) {
		gone := s.purge(t, before)
		for _, r := range gone {
			key := lookupKey{kind, r.ID}
			s.lookups[key] = slices.DeleteFunc(slices.Clone(s.lookups[key]), func(l pin.Lookup) bool { return l.ProgramID == r.ProgramID && l.CardID == r.CardID })
		}
		return int64(len(gone)), nil
	})
}

// Expired are rows of a table whose time ended in (after, until], in that order.
func (s *Store) Expired(ctx context.Context, t pin.Table, after, until time.Time, limit int) ([]pin.Row, error) {
	return reading(ctx, s, func() ([]pin.Row, error) {
		all := s.all(t, func(r pin.Row) bool { return r.ExpiresAt > after.UnixMicro() && r.ExpiresAt <= until.UnixMicro() })
		slices.SortFunc(all, func(a, b pin.Row) int {
			return cmp.Or(cmp.Compare(a.ExpiresAt, b.ExpiresAt), strings.Compare(a.ID, b.ID))
		})
		return all[:min(limit, len(all))], nil
	})
}

// living are the states of sessions that go on.
var living = []pin.SessionState{pin.SessionOpen, pin.SessionExchanged, pin.SessionVerified}

// LiveSessions counts the PIN sessions whose time has not ended, by state.
func (s *Store) LiveSessions(ctx context.Context, now time.Time) (map[pin.SessionState]int64, error) {
	return reading(ctx, s, func() (map[pin.SessionState]int64, error) {
		live := map[pin.SessionState]int64{}
		for _, r := range s.all(pin.TableSessions, func(r pin.Row) bool { return r.ExpiresAt > now.UnixMicro() }) {
			var is struct {
				State pin.SessionState `json:"state"`
			}
			if err := json.Unmarshal(r.Body, &is); err == nil && slices.Contains(living, is.State) {
				live[is.State]++
			}
		}
		return live, nil
	})
}

// marks are the settings that say when something was last done.
const marks = "last "

// Mark notes when something was last done that is done now and then.
func (s *Store) Mark(ctx context.Context, what string, at time.Time) error {
	return s.write(ctx, func() error {
		s.settings[marks+what] = at.UTC().Format(time.RFC3339)
		return nil
	})
}

// Marked is when something was last done: zero for never.
func (s *Store) Marked(ctx context.Context, what string) (time.Time, error) {
	return reading(ctx, s, func() (time.Time, error) {
		at, err := time.Parse(time.RFC3339, s.settings[marks+what])
		if err != nil { // never, or somebody has written something else there
			return time.Time{}, nil //nolint:nilerr // which is as good as never
		}
		return at, nil
	})
}

// those are the deliveries that fit.
func (s *Store) those(fits func(pin.Delivery) bool) (found []pin.Delivery) {
	for _, d := range s.deliveries {
		if fits(d) {
			found = append(found, d)
		}
	}
	return found
}

func (s *Store) keep(d pin.Delivery) { s.deliveries[deliveryKey{d.Chain, d.WebhookID, d.Seq}] = d }

// QueueDeliveries adds deliveries. One that was made already, or parked, is made again; one that is pending stays as it is.
func (s *Store) QueueDeliveries(ctx context.Context, all []pin.Delivery) error {
	return s.write(ctx, func() error {
		for _, d := range all {
			old, there := s.deliveries[deliveryKey{d.Chain, d.WebhookID, d.Seq}]
			switch {
			case !there:
				old = pin.Delivery{Chain: d.Chain, WebhookID: d.WebhookID, Seq: d.Seq, EventID: d.EventID, CreatedAt: d.CreatedAt}
			case old.State == pin.DeliveryPending:
				continue
			}
			old.State, old.DueAt, old.Attempts, old.FirstAt, old.DoneAt, old.Status, old.Failure = pin.DeliveryPending, d.DueAt, 0, 0, 0, 0, ""
			s.keep(old)
		}
		return nil
	})
}

// ClaimDeliveries takes at most limit deliveries of a webhook that are due, for lease; of one chain the first that is pending.
func (s *Store) ClaimDeliveries(ctx context.Context, webhookID string, now time.Time, lease time.Duration, limit int) ([]pin.Delivery, error) {
	return reading(ctx, s, func() ([]pin.Delivery, error) {
		first := map[string]pin.Delivery{}
		for _, d := range s.those(func(d pin.Delivery) bool { return d.WebhookID == webhookID && d.State == pin.DeliveryPending }) {
			if other, there := first[d.Chain]; !there || d.Seq < other.Seq {
				first[d.Chain] = d
			}
		}
		due := s.those(func(d pin.Delivery) bool { return d == first[d.Chain] && d.DueAt <= now.UnixMicro() })
		slices.SortFunc(due, func(a, b pin.Delivery) int {
			return cmp.Or(cmp.Compare(a.DueAt, b.DueAt), strings.Compare(a.Chain, b.Chain))
		})
		due = due[:min(limit, len(due))]
		for i, d := range due {
			d.Attempts++
			d.DueAt, d.FirstAt = now.Add(lease).UnixMicro(), cmp.Or(d.FirstAt, now.UnixMicro())
			s.keep(d)
			due[i] = d
		}
		return due, nil
	})
}

// SettleDelivery writes what has become of an attempt, unless its lease has ended and another one was begun.
func (s *Store) SettleDelivery(ctx context.Context, d pin.Delivery) error {
	return s.write(ctx, func() error {
		old := s.deliveries[deliveryKey{d.Chain, d.WebhookID, d.Seq}]
		if old.State == pin.DeliveryPending && old.Attempts == d.Attempts {
			old.State, old.DueAt, old.DoneAt, old.Status, old.Failure = d.State, d.DueAt, d.DoneAt, d.Status, d.Failure
			s.keep(old)
		}
		return nil
	})
}

// Deliveries lists those of a webhook, the newest events first: those before an event, "" for all; of a state, "" for any.
func (s *Store) Deliveries(ctx context.Context, webhookID string, state pin.DeliveryState, before string, limit int) ([]pin.Delivery, error) {
	return reading(ctx, s, func() ([]pin.Delivery, error) {
		all := s.those(func(d pin.Delivery) bool {
			return d.WebhookID == webhookID && (state == "" || d.State == state) && (before == "" || d.EventID < before)
		})
		slices.SortFunc(all, func(a, b pin.Delivery) int { return strings.Compare(b.EventID, a.EventID) })
		return all[:min(limit, len(all))], nil
	})
}

// DueWebhooks are the webhooks that have a delivery which is due.
func (s *Store) DueWebhooks(ctx context.Context, now time.Time) ([]string, error) {
	return reading(ctx, s, func() (ids []string, _ error) {
		for _, d := range s.those(func(d pin.Delivery) bool { return d.State == pin.DeliveryPending && d.DueAt <= now.UnixMicro() }) {
			if _, there := s.rows[pin.TableWebhooks][d.WebhookID]; there {
				ids = append(ids, d.WebhookID)
			}
		}
		slices.Sort(ids)
		return slices.Compact(ids), nil
	})
}

// DeliveredSince tells whether a webhook has taken anything since a time.
func (s *Store) DeliveredSince(ctx context.Context, webhookID string, since time.Time) (bool, error) {
	return reading(ctx, s, func() (bool, error) {
		return len(s.those(func(d pin.Delivery) bool {
			return d.WebhookID == webhookID && d.State == pin.DeliveryDelivered && d.DoneAt > 0 && d.DoneAt >= since.UnixMicro()
		})) > 0, nil
	})
}

// WaitingDeliveries are the webhooks, except for those that are paused, that something waits for.
func (s *Store) WaitingDeliveries(ctx context.Context) ([]pin.Waiting, error) {
	return reading(ctx, s, func() (all []pin.Waiting, _ error) {
		for _, hook := range s.all(pin.TableWebhooks, func(r pin.Row) bool { return strings.Contains(string(r.Body), `"state":"active"`) }) {
			w := pin.Waiting{WebhookID: hook.ID}
			for _, d := range s.those(func(d pin.Delivery) bool { return d.WebhookID == hook.ID && d.State == pin.DeliveryPending }) {
				if w.Count++; w.Oldest == 0 || d.CreatedAt < w.Oldest {
					w.Oldest = d.CreatedAt
				}
			}
			if w.Count > 0 {
				all = append(all, w)
			}
		}
		return all, nil
	})
}

// PurgeDeliveries deletes those that were delivered or parked before a time, and those that wait since before another one.
func (s *Store) PurgeDeliveries(ctx context.Context, done, made time.Time) (int64, error) {
	return reading(ctx, s, func() (int64, error) {
		return s.dropped(func(d pin.Delivery) bool {
			return d.DoneAt > 0 && d.DoneAt < done.UnixMicro() || d.DoneAt == 0 && d.CreatedAt < made.UnixMicro()
		}), nil
	})
}

// DropDeliveries deletes all that is of a webhook.
func (s *Store) DropDeliveries(ctx context.Context, webhookID string) error {
	return s.write(ctx, func() error {
		s.dropped(func(d pin.Delivery) bool { return d.WebhookID == webhookID })
		return nil
	})
}

func (s *Store) dropped(fits func(pin.Delivery) bool) int64 {
	gone := s.those(fits)
	for _, d := range gone {
		delete(s.deliveries, deliveryKey{d.Chain, d.WebhookID, d.Seq})
	}
	return int64(len(gone))
}
