package store

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"

	"pinvault/impl/pin"
)

// Many changes at once, for portfolios that move in and out. It is the one place where a transaction touches more than one card:
// where the tables are spread over machines each change has a transaction of its own.

// SwapAll is pin.Store's. All changes are tried in one transaction, on PostgreSQL by COPY; where one of them stands in its way, each
// is made by itself, which finds out which one.
func (s *Store) SwapAll(ctx context.Context, changes []pin.Change) ([]error, error) {
	errs := make([]error, len(changes))
	if !s.engine.sharded {
		err := s.late(ctx, s.swapTogether(ctx, changes))
		if code := pin.CodeOf(err); code != pin.Conflict && code != pin.Duplicate {
			return errs, err
		}
	}
	for i, c := range changes {
		errs[i] = s.Swap(ctx, c)
		if code := pin.CodeOf(errs[i]); code != "" && code != pin.Conflict && code != pin.Duplicate {
			return nil, errs[i]
		}
	}
	return errs, nil
}

func (s *Store) swapTogether(ctx context.Context, changes []pin.Change) error {
	if !s.engine.function {
		return s.inTx(ctx, func(t *tx) error {
			if err := t.admit(changes...); err != nil {
				return err
			}
			for _, c := range changes {
				if err := t.admitted(c); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return s.retry(ctx, func() error {
		committing := false
		err := s.onConn(ctx, func(conn *pgx.Conn) error {
			return pgx.BeginFunc(ctx, conn, func(t pgx.Tx) error {
				err := copyAll(ctx, t, changes)
				committing = err == nil
				return err
			})
		})
		if committing {
			return s.ended(ctx, err)
		}
		return s.fail(ctx, err, "")
	})
}

// nextValues puts the next values of cards in the place of those that were read.
const nextValues = `UPDATE cards c SET revision = w.revision, value = w.value, seal = w.seal
	FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bytea[]) AS w(id, revision, value, seal) WHERE c.id = w.id AND c.revision = w.revision - 1`

// announceAll is swap_card's part for the topics of many events.
const announceAll = `INSERT INTO webhook_deliveries (chain, endpoint_id, due_at, seq, event_id, state, attempts, created_at, first_at, done_at, status, failure)
	SELECT w.chain, e.id, w.at, w.seq, w.id, 'pending', 0, w.at, 0, 0, 0, ''
	FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[]) AS w(chain, seq, id, program, topic, at)
	JOIN webhook_endpoints e ON e.program_id IN ('', w.program) AND (e.body LIKE '%"' || w.topic || '"%' OR e.body LIKE '%"on *"%')
	ON CONFLICT DO NOTHING`

// announce queues what webhooks are told of the events of changes.
func announce(ctx context.Context, t pgx.Tx, changes []pin.Change) error {
	var chains, ids, programs, topics []string
	var seqs, ats []int64
	for _, c := range changes {
		for _, e := range c.Events {
			if e.Topic != "" {
				chains, ids, programs, topics = append(chains, e.Chain), append(ids, e.ID), append(programs, e.ProgramID), append(topics, e.Topic)
				seqs, ats = append(seqs, e.Seq), append(ats, c.Now)
			}
		}
	}
	if len(topics) == 0 {
		return nil
	}
	_, err := t.Exec(ctx, announceAll, chains, seqs, ids, programs, topics, ats)
	return err
}

// copyAll is [tx.swap] for many changes.
func copyAll(ctx context.Context, t pgx.Tx, changes []pin.Change) error {
	var cards, lookups, events [][]any
	var ids, values []string
	var revisions []int64
	var seals [][]byte
	for _, c := range changes {
		switch {
		case c.Card == nil || len(c.Rows)+len(c.Drop) > 0 || c.DetailsToo && c.Card.Revision > 1:
			return &pin.Error{Code: pin.Internal, Err: errors.New("a change that is not made together with others")}
		case c.Card.Revision == 1:
			cards = append(cards, []any{c.Card.ID, c.Card.ProgramID, c.Card.Revision, string(c.Card.Details), string(c.Card.Value), c.Card.Seal})
		default:
			ids, revisions = append(ids, c.Card.ID), append(revisions, c.Card.Revision)
			values, seals = append(values, string(c.Card.Value)), append(seals, c.Card.Seal)
		}
		for _, l := range c.Add {
			lookups = append(lookups, []any{string(l.Kind), l.Value, l.ProgramID, l.Slot, l.CardID})
		}
		for _, e := range c.Events {
			events = append(events, []any{e.Chain, e.Seq, e.ID, e.ProgramID, string(e.Body), e.MAC})
		}
	}
	if len(events) > 0 {
		if _, err := t.Exec(ctx, admitEvent, oldest(changes)); err != nil {
			return err
		}
	}
	if len(ids) > 0 {
		done, err := t.Exec(ctx, nextValues, ids, revisions, values, seals)
		if err == nil && done.RowsAffected() < int64(len(ids)) {
			err = overtaken("card")
		}
		if err != nil {
			return err
		}
	}
	for _, into := range []struct {
		table   string
		columns string
		rows    [][]any
	}{
		{"cards", "id program_id revision details value seal", cards},
		{"card_lookup", "kind value program_id slot card_id", lookups},
		{"audit_events", "chain seq id program_id body mac", events},
	} {
		if len(into.rows) == 0 {
			continue
		}
		if _, err := t.CopyFrom(ctx, pgx.Identifier{into.table}, strings.Fields(into.columns), pgx.CopyFromRows(into.rows)); err != nil {
			return err
		}
	}
	return announce(ctx, t, changes)
}

// heldBy finds look-ups in one statement, whatever their slots.
const heldBy = `SELECT l.kind, l.value, l.program_id, l.slot, l.card_id FROM unnest($1::text[], $2::text[], $3::text[]) AS w(kind, value, program_id)
	JOIN card_lookup l ON l.kind = w.kind AND l.value = w.value AND l.program_id = w.program_id`

// Holders is pin.Store's.
func (s *Store) Holders(ctx context.Context, wanted []pin.Lookup) (found []pin.Lookup, err error) {
	switch {
	case len(wanted) == 0:
		return nil, nil
	case !s.engine.function || s.engine.sharded:
		return s.holders(ctx, wanted)
	}
	var kinds, values, programs []string
	for _, l := range wanted {
		kinds, values, programs = append(kinds, string(l.Kind)), append(values, l.Value), append(programs, l.ProgramID)
	}
	err = s.retry(ctx, func() error {
		found = nil
		err := s.onConn(ctx, func(conn *pgx.Conn) error {
			rows, err := conn.Query(ctx, heldBy, kinds, values, programs)
			if err != nil {
				return err
			}
			found, err = pgx.CollectRows(rows, pgx.RowToStructByPos[pin.Lookup])
			return err
		})
		return s.fail(ctx, err, "")
	})
	return found, err
}

// heldAtOnce bounds how many look-ups a statement asks for.
const heldAtOnce = 200

// holders is Holders on any database.
func (s *Store) holders(ctx context.Context, wanted []pin.Lookup) (found []pin.Lookup, err error) {
	const one = "(kind = ? AND value = ? AND program_id = ?)"
	for len(wanted) > 0 && err == nil {
		some := wanted[:min(len(wanted), heldAtOnce)]
		wanted = wanted[len(some):]
		args := make([]any, 0, 3*len(some))
		for _, l := range some {
			args = append(args, l.Kind, l.Value, l.ProgramID)
		}
		var more []pin.Lookup
		more, err = s.lookups(ctx, func(db *gorm.DB) *gorm.DB {
			return db.Where(one+strings.Repeat(" OR "+one, len(some)-1), args...)
		})
		found = append(found, more...)
	}
	return found, err
}
