package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

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
	hotSession   = `SELECT ` + foundColumns + `, s.id, s.program_id, s.card_id, s.version, s.expires_at, s.body, s.seal FROM card_lookup l ` +
		`JOIN pin_sessions s ON s.card_id = l.card_id AND s.id = l.value JOIN cards c ON c.id = l.card_id JOIN programs p ON p.id = c.program_id ` +
		`WHERE l.kind = $1 AND l.value = $2` // a session is one card's: nothing to sort
	hotEither = foundByLookup + ` WHERE (l.kind = $1 AND l.value = $2 OR l.kind = $3 AND l.value = $4) AND l.program_id = $5 ORDER BY l.card_id LIMIT $6`
)

// hot is the search as one of these statements, "" where it is none.
func (s *Store) hot(q pin.Search) (statement string, args []any) {
	statement, args = s.hotFind(q)
	if statement == "" || len(q.Unless) == 0 {
		return statement, args
	}
	if s.engine.sharded || q.Session != "" { // where replays do not stand with the cards
		return "", nil
	}
	// One id at a time: of any of a list PostgreSQL expects ten, and where it finds few records when it plans, it reads all that
	// have not expired instead, by each call and for as long as it keeps the plan.
	args = append(args, q.Now)
	at := len(args)
	kept := make([]string, len(q.Unless))
	for i, id := range q.Unless {
		args = append(args, id)
		kept[i] = fmt.Sprintf(`EXISTS (SELECT FROM replays WHERE id = $%d AND expires_at > $%d)`, len(args), at)
	}
	return `SELECT ` + strings.Join(kept, ` OR `) + ` AS kept, found.* FROM (SELECT) one LEFT JOIN (` + statement + `) found ON true`, args
}

func (s *Store) hotFind(q pin.Search) (statement string, args []any) {
	switch {
	case !s.engine.function:
	case q.CardID != "":
		return hotByID, []any{q.CardID}
	case s.engine.sharded:
	case q.Session != "":
		return hotSession, []any{string(pin.KindSession), q.Session}
	case len(q.Values) != 1:
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

// queryHot reads what a hot statement returns, again where that may help.
func (s *Store) queryHot(ctx context.Context, statement string, args []any, again func(), read func(pgx.Rows) error) (err error) {
	ctx, end := s.span(ctx, statement)
	defer func() { end(err) }()
	return s.retry(ctx, func() error {
		again()
		err := s.onConn(ctx, func(conn *pgx.Conn) error {
			rows, err := conn.Query(ctx, statement, args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				if err := read(rows); err != nil {
					return err
				}
			}
			return rows.Err()
		})
		return s.fail(ctx, err, "")
	})
}

// findHot finds cards by one of the hot statements.
func (s *Store) findHot(ctx context.Context, statement string, args []any) (found []pin.CardRow, err error) {
	err = s.queryHot(ctx, statement, args, func() { found = nil }, func(rows pgx.Rows) error {
		var r pin.CardRow
		err := rows.Scan(&r.ID, &r.ProgramID, &r.Revision, &r.Details, &r.Value, &r.Seal, &r.ProgramVersion)
		found = append(found, r)
		return err
	})
	return found, err
}

// findSession is findHot by a statement that reads a session too.
func (s *Store) findSession(ctx context.Context, statement string, args []any) (found []pin.CardRow, err error) {
	err = s.queryHot(ctx, statement, args, func() { found = nil }, func(rows pgx.Rows) error {
		of := pin.Row{Table: pin.TableSessions}
		r := pin.CardRow{Session: &of}
		err := rows.Scan(&r.ID, &r.ProgramID, &r.Revision, &r.Details, &r.Value, &r.Seal, &r.ProgramVersion,
			&of.ID, &of.ProgramID, &of.CardID, &of.Version, &of.ExpiresAt, &of.Body, &of.Seal)
		found = append(found, r)
		return err
	})
	return found, err
}

// findUnless is findHot by a statement that tells of replays too, in each row: in one without a card where there is none.
func (s *Store) findUnless(ctx context.Context, statement string, args []any) (found []pin.CardRow, err error) {
	var kept bool
	err = s.queryHot(ctx, statement, args, func() { found, kept = nil, false }, func(rows pgx.Rows) error {
		var r pin.CardRow
		var id, programID *string
		var revision, version *int64
		err := rows.Scan(&kept, &id, &programID, &revision, &r.Details, &r.Value, &r.Seal, &version)
		if err == nil && id != nil {
			r.ID, r.ProgramID, r.Revision, r.ProgramVersion = *id, *programID, *revision, *version
			found = append(found, r)
		}
		return err
	})
	if err == nil && kept {
		return nil, repeated()
	}
	slices.SortFunc(found, func(a, b pin.CardRow) int { return strings.Compare(a.ID, b.ID) }) // which no join promises
	return found, err
}

// rowHot is Row in one round trip, that of a card's row too.
func (s *Store) rowHot(ctx context.Context, t pin.Table, programID, id string) (pin.Row, error) {
	settled := s.settled(t)
	statement, args := "SELECT "+columns[t]+settled+" FROM "+string(t)+" WHERE id = $1", []any{id}
	if kind, ofCard := lookups[t]; ofCard {
		statement, args = statement+" AND card_id = ANY (ARRAY(SELECT card_id FROM card_lookup WHERE kind = $2 AND value = $1", append(args, string(kind))
		if programID != "" {
			statement, args = statement+" AND program_id = $3", append(args, programID)
		}
		statement += " LIMIT 2))"
	}
	var all []pin.Row
	err := s.queryHot(ctx, statement, args, func() { all = nil }, func(rows pgx.Rows) error {
		r := pin.Row{Table: t}
		into := []any{&r.ID, &r.ProgramID, &r.CardID, &r.Version, &r.ExpiresAt, &r.Body, &r.Seal}
		if settled != "" {
			into = append(into, nil)
		}
		err := rows.Scan(into...)
		all = append(all, r)
		return err
	})
	if err != nil {
		return pin.Row{}, err
	}
	return only(all)
}

// callHot is call on a connection of the pool.
func (s *Store) callHot(ctx context.Context, c pin.Change) (err error) {
	statement, args, err := s.swapping(c)
	if err != nil {
		return err
	}
	ctx, end := s.span(ctx, statement)
	defer func() { end(err) }()
	var swapped bool
	asked := false
	err = s.onConn(ctx, func(conn *pgx.Conn) error {
		asked = true
		return conn.QueryRow(ctx, statement, args...).Scan(&swapped)
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

// swapping is the statement that makes a change which swap_card makes: a plain one where it stays prepared.
func (s *Store) swapping(c pin.Change) (statement string, args []any, err error) {
	if !s.engine.sharded && !s.engine.sessions.pooled.Load() {
		if statement, args = plainSwap(c); statement != "" {
			return statement, args, nil
		}
	}
	args, err = swapArgs(c)
	return callSwap, args, err
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
