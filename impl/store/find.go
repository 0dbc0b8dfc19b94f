package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"gorm.io/gorm"

	"pinvault/impl/pin"
)

// foundColumns are what a card's operations read: seven columns, named, so that one added later does not
// reach this program's statements.
const foundColumns = `c.id, c.program_id, c.revision, c.details, c.value, c.seal, p.version`

const (
	foundCards     = `SELECT ` + foundColumns + ` FROM cards c JOIN programs p ON p.id = c.program_id`
	foundByLookup  = `SELECT ` + foundColumns + ` FROM card_lookup l JOIN cards c ON c.id = l.card_id JOIN programs p ON p.id = c.program_id`
	findByID       = foundCards + ` WHERE c.id = ?`
	byLookup       = ` WHERE l.kind = ? AND l.value IN ?`
	byEither       = ` WHERE (l.kind = ? AND l.value IN ? OR l.kind = ? AND l.value IN ?)`
	inProgram      = ` AND l.program_id = ?`
	inOrder        = ` ORDER BY l.card_id LIMIT ?`
	lookupOnly     = `SELECT l.card_id FROM card_lookup l`
	findByIDs      = foundCards + ` WHERE c.id IN ? ORDER BY c.id`
	forUpdate      = ` FOR UPDATE OF c`
	anyCards       = `SELECT c.id, c.program_id, c.revision, c.details, c.value, c.seal, coalesce(p.version, 0) FROM cards c LEFT JOIN programs p ON p.id = c.program_id`
	cardsAfter     = anyCards + ` WHERE c.id > ?`
	cardsByIDs     = anyCards + ` WHERE c.id IN ? ORDER BY c.id`
	cardsOfProgram = ` AND c.program_id = ?`
	cardsInOrder   = ` ORDER BY c.id LIMIT ?`
)

// Find is pin.Store's. By reference it is one statement; where the tables are spread over machines the
// look-up and the cards do not stand on one, and it is two.
func (s *Store) Find(ctx context.Context, q pin.Search) ([]pin.CardRow, error) {
	if statement, args := s.hot(q); statement != "" {
		find := s.findHot
		switch {
		case len(q.Unless) > 0:
			find = s.findUnless
		case q.Session != "":
			find = s.findSession
		}
		found, err := find(ctx, statement, args)
		return distinct(found, q.Limit), err
	}
	if len(q.Unless) > 0 {
		var kept []int64
		err := s.read(ctx, func(db *gorm.DB) error {
			return db.Raw("SELECT version FROM replays WHERE id IN ? AND expires_at > ? LIMIT 1", q.Unless, q.Now).Find(&kept).Error
		})
		if err == nil && len(kept) > 0 {
			err = repeated()
		}
		if err != nil {
			return nil, err
		}
	}
	return s.find(ctx, q)
}

// repeated is the Duplicate of a replay that is there.
func repeated() error { return &pin.Error{Code: pin.Duplicate, Field: string(pin.TableReplays)} }

// find is Find without a look at replays.
func (s *Store) find(ctx context.Context, q pin.Search) ([]pin.CardRow, error) {
	if q.CardID != "" {
		return s.cards(ctx, findByID, q.CardID)
	}
	if q.Session != "" {
		return s.withSession(ctx, q.Session)
	}
	statement := foundByLookup
	if s.engine.sharded {
		statement = lookupOnly
	}
	where, args := byLookup, []any{q.Kind, q.Values}
	if q.OrKind != "" {
		where, args = byEither, append(args, q.OrKind, q.OrValues)
	}
	if statement += where; q.ProgramID != "" {
		statement, args = statement+inProgram, append(args, q.ProgramID)
	}
	statement, args = statement+inOrder, append(args, q.Limit*max(1, len(q.Values)+len(q.OrValues))) // a card may have them all
	if !s.engine.sharded {
		found, err := s.cards(ctx, statement, args...)
		return distinct(found, q.Limit), err
	}
	var ids []string
	err := s.read(ctx, func(db *gorm.DB) error { return db.Raw(statement, args...).Find(&ids).Error })
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	ids = slices.Compact(ids)
	return s.cards(ctx, findByIDs, ids[:min(len(ids), q.Limit)])
}

// withSession is a session's card, and the session.
func (s *Store) withSession(ctx context.Context, id string) ([]pin.CardRow, error) {
	row, err := s.Row(ctx, pin.TableSessions, "", id)
	if pin.CodeOf(err) == pin.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found, err := s.cards(ctx, findByID, row.CardID)
	for i := range found {
		found[i].Session = &row
	}
	return found, err
}

// distinct are the first of cards that come in order, each once.
func distinct(found []pin.CardRow, limit int) []pin.CardRow {
	found = slices.CompactFunc(found, func(a, b pin.CardRow) bool { return a.ID == b.ID })
	return found[:min(len(found), limit)]
}

// Cards is pin.Store's.
func (s *Store) Cards(ctx context.Context, programID string, page pin.Page) ([]pin.CardRow, error) {
	statement, args := cardsAfter, []any{page.After}
	if programID != "" {
		statement, args = statement+cardsOfProgram, append(args, programID)
	}
	return s.cards(ctx, statement+cardsInOrder, append(args, page.Limit)...)
}

// CardsOf is pin.Store's.
func (s *Store) CardsOf(ctx context.Context, ids []string) ([]pin.CardRow, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return s.cards(ctx, cardsByIDs, ids)
}

func (s *Store) cards(ctx context.Context, statement string, args ...any) (found []pin.CardRow, err error) {
	err = s.read(ctx, func(db *gorm.DB) (err error) {
		found, err = cardRows(db, statement, args...)
		return err
	})
	return found, err
}

// cardRows scans column by column: on the hot path GORM's reflection costs as much as the statement.
func cardRows(db *gorm.DB, statement string, args ...any) (found []pin.CardRow, err error) {
	rows, err := db.Raw(statement, args...).Rows()
	if err != nil {
		return nil, err
	}
	return scanned(rows)
}

// scanned reads cards, and closes the rows.
func scanned(rows *sql.Rows) (found []pin.CardRow, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r pin.CardRow
		var details, value, seal sql.RawBytes
		if err := rows.Scan(&r.ID, &r.ProgramID, &r.Revision, &details, &value, &seal, &r.ProgramVersion); err != nil {
			return nil, err
		}
		r.Details, r.Value, r.Seal = append([]byte(nil), details...), append([]byte(nil), value...), append([]byte(nil), seal...)
		found = append(found, r)
	}
	return found, rows.Err()
}
