package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"pinvault/impl/pin"
)

// The hot path on PostgreSQL: the find and the swap that every operation on a PIN is. They go to pgx's
// connections beneath the pool: GORM's making of a statement and database/sql's handing over of rows took
// a fifth of the server's time for a set, see scripts/bench/README.md.

// What PostgreSQL is asked: prepared once a connection.
const (
	callSwap     = `SELECT swap_card($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
	hotByID      = foundCards + ` WHERE c.id = $1`
	hotByLookup  = foundByLookup + ` WHERE l.kind = $1 AND l.value = $2`
	hotAnywhere  = hotByLookup + ` ORDER BY l.card_id LIMIT $3`
	hotOne       = hotByLookup + ` AND l.program_id = $3` // of a kind whose value is one card's: nothing to sort
	hotInProgram = hotOne + ` ORDER BY l.card_id LIMIT $4`
	hotEither    = foundByLookup + ` WHERE (l.kind = $1 AND l.value = $2 OR l.kind = $3 AND l.value = $4) AND l.program_id = $5 ORDER BY l.card_id LIMIT $6`
)

// hot is the search as one of these statements, "" where it is none.
func (s *Store) hot(q pin.Search) (statement string, args []any) {
	switch {
	case !s.engine.function:
	case q.CardID != "":
		return hotByID, []any{q.CardID}
	case s.engine.sharded || len(q.Values) != 1:
	case q.OrKind != "":
		if len(q.OrValues) == 1 && q.ProgramID != "" {
			return hotEither, []any{string(q.Kind), q.Values[0], string(q.OrKind), q.OrValues[0], q.ProgramID, 2 * q.Limit}
		}
	case q.ProgramID != "" && !q.Kind.Shared():
		return hotOne, []any{string(q.Kind), q.Values[0], q.ProgramID}
	case q.ProgramID == "":
		return hotAnywhere, []any{string(q.Kind), q.Values[0], q.Limit}
	default:
		return hotInProgram, []any{string(q.Kind), q.Values[0], q.ProgramID, q.Limit}
	}
	return "", nil
}

// onConn runs a query on a connection of the pool. It is the domain's error already where the query could
// not be asked: then nothing has come of it.
func (s *Store) onConn(ctx context.Context, query func(*pgx.Conn) error) error {
	c, err := s.pool.Conn(ctx)
	if err == nil && ctx.Err() != nil {
		err = errors.Join(ctx.Err(), c.Close())
	}
	if err != nil {
		return s.fail(ctx, err, "")
	}
	defer func() { _ = c.Close() }() // hands it back
	return c.Raw(func(driver any) error { return query(driver.(*stdlib.Conn).Conn()) })
}

// findHot finds cards by one of the hot statements.
func (s *Store) findHot(ctx context.Context, statement string, args []any) (found []pin.CardRow, err error) {
	ctx, end := s.span(ctx, statement)
	defer func() { end(err) }()
	err = s.retry(ctx, func() error {
		found = nil
		err := s.onConn(ctx, func(conn *pgx.Conn) error {
			rows, err := conn.Query(ctx, statement, args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var r pin.CardRow
				if err := rows.Scan(&r.ID, &r.ProgramID, &r.Revision, &r.Details, &r.Value, &r.Seal, &r.ProgramVersion); err != nil {
					return err
				}
				found = append(found, r)
			}
			return rows.Err()
		})
		return s.fail(ctx, err, "")
	})
	return found, err
}

// callHot is call on a connection of the pool.
func (s *Store) callHot(ctx context.Context, c pin.Change) (err error) {
	ctx, end := s.span(ctx, callSwap)
	defer func() { end(err) }()
	args, err := swapArgs(c)
	if err != nil {
		return err
	}
	var swapped bool
	asked := false
	err = s.onConn(ctx, func(conn *pgx.Conn) error {
		asked = true
		return conn.QueryRow(ctx, callSwap, args...).Scan(&swapped)
	})
	switch {
	case err != nil && asked:
		return s.ended(ctx, err)
	case err == nil && !swapped:
		return overtaken("card")
	}
	return err
}

// caller is a transaction.
type caller interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// call is swap_card within a transaction.
func call(ctx context.Context, on caller, c pin.Change) error {
	args, err := swapArgs(c)
	if err != nil {
		return err
	}
	var swapped bool
	if err = on.QueryRowContext(ctx, callSwap, args...).Scan(&swapped); err == nil && !swapped {
		err = overtaken("card")
	}
	return err
}

// swapArgs are the arguments of swap_card.
func swapArgs(c pin.Change) ([]any, error) {
	more, err := accompanying(c)
	if err != nil {
		return nil, err
	}
	if c.Card == nil { // replays alone
		return []any{nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, more, c.Now}, nil
	}
	var details any
	if c.DetailsToo {
		details = string(c.Card.Details)
	}
	var seq int64
	ids, bodies, macs := make([]string, len(c.Events)), make([]string, len(c.Events)), make([][]byte, len(c.Events))
	for i, e := range c.Events {
		ids[i], bodies[i], macs[i] = e.ID, string(e.Body), e.MAC
		if i == 0 {
			seq = e.Seq
		}
	}
	return []any{c.Card.ID, c.Card.ProgramID, c.Card.Revision - 1, details, string(c.Card.Value), c.Card.Seal,
		seq, ids, bodies, macs, more, c.Now}, nil
}
