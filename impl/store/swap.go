package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"pinvault/impl/pin"
	"pinvault/models"
)

// Swap is pin.Store's. On PostgreSQL the change of one card is one statement, which may be a call of swap_card; everything else is
// a transaction of the same statements.
func (s *Store) Swap(ctx context.Context, c pin.Change) error {
	if s.calls(c) {
		return s.late(ctx, s.retry(ctx, func() error { return s.callHot(ctx, c) }))
	}
	return s.late(ctx, s.inTx(ctx, func(t *tx) error { return t.swap(c) }))
}

// Locked is pin.Store's. Who waits for a card's lock does so on a connection: half of them are left to
// everybody else, so that callers who crowd at one card keep neither the others waiting nor each other, when
// they have something to read before they can decide.
func (s *Store) Locked(ctx context.Context, cardID string, decide func(pin.CardRow) (pin.Change, error)) error {
	select {
	case s.locking <- struct{}{}:
		defer func() { <-s.locking }()
	case <-ctx.Done():
		return s.fail(ctx, ctx.Err(), "")
	}
	return s.late(ctx, s.inTx(ctx, func(t *tx) error {
		row, err := t.lock(cardID)
		if err != nil {
			return err
		}
		c, err := decide(row)
		if err != nil || c.Card == nil && len(c.Rows) == 0 {
			return err
		}
		if s.calls(c) {
			return t.fail(call(ctx, t.db.Statement.ConnPool, c), "")
		}
		return t.swap(c)
	}))
}

// lock reads a card that nobody else can change before the transaction ends. SQLite has one writer, who
// is this transaction.
func (t *tx) lock(cardID string) (pin.CardRow, error) {
	statement := findByID
	if !t.engine.oneWriter {
		statement += forUpdate
	}
	found, err := cardRows(t.db, statement, cardID)
	if err := t.fail(err, ""); err != nil {
		return pin.CardRow{}, err
	}
	if len(found) == 0 {
		return pin.CardRow{}, &pin.Error{Code: pin.NotFound}
	}
	return found[0], nil
}

// calls tells whether a change is one that swap_card makes: of a card that is there, its PIN and what
// comes with it, or of replays alone. Where the tables are spread over machines, replays and look-ups do not
// stand with the card.
func (s *Store) calls(c pin.Change) bool {
	if c.Card == nil {
		return s.engine.function && !s.engine.sharded && replaysAlone(c)
	}
	if !s.engine.function || c.Card.Revision == 1 || len(c.Drop) > 0 || len(c.Add) > 0 && (c.DetailsToo || s.engine.sharded) {
		return false
	}
	for i, e := range c.Events { // swap_card appends to the card's chain, in a row
		if e.Chain != c.Card.ID || e.ProgramID != c.Card.ProgramID || e.Seq != c.Events[0].Seq+int64(i) {
			return false
		}
	}
	for _, r := range c.Rows { // and leaves out what it does not know
		switch {
		case len(r.Was) > 0:
			return false
		case r.Table == pin.TableSessions:
		case r.Table == pin.TableRecords && r.Version == 1:
		case r.Table == pin.TableReplays && r.Version == 1 && !s.engine.sharded:
		default:
			return false
		}
	}
	return true
}

func replaysAlone(c pin.Change) bool {
	others := slices.ContainsFunc(c.Rows, func(r pin.Row) bool {
		return r.Table != pin.TableReplays || r.Version > 1 || len(r.Was) > 0
	})
	return len(c.Rows) > 0 && !others && len(c.Events)+len(c.Add)+len(c.Drop) == 0
}

// restingRow is a row as jsonb_populate_recordset reads it.
type restingRow struct {
	ID        string `json:"id"`
	ProgramID string `json:"program_id"`
	CardID    string `json:"card_id"`
	Version   int64  `json:"version"`
	ExpiresAt int64  `json:"expires_at"`
	Body      string `json:"body"`
	Seal      string `json:"seal"`
}

type restingLookup struct {
	Kind      pin.Kind `json:"kind"`
	Value     string   `json:"value"`
	ProgramID string   `json:"program_id"`
	Slot      string   `json:"slot"`
	CardID    string   `json:"card_id"`
}

// accompanying is what comes with a card's next value, as JSON, or nil. JSON would put something else in the
// place of what is no UTF-8, and the seal would not fit: that is refused, as PostgreSQL does elsewhere.
func accompanying(c pin.Change) (any, error) {
	topics := topicsOf(c.Events)
	if len(c.Rows) == 0 && len(c.Add) == 0 && topics == nil {
		return nil, nil
	}
	more := map[string]any{}
	if topics != nil {
		more["topics"] = topics
	}
	rows := map[pin.Table][]restingRow{}
	valid := true
	for _, r := range c.Rows {
		valid = valid && utf8.ValidString(r.ID) && utf8.ValidString(r.ProgramID) && utf8.ValidString(r.CardID) && utf8.Valid(r.Body)
		rows[r.Table] = append(rows[r.Table], restingRow{r.ID, r.ProgramID, r.CardID, r.Version, r.ExpiresAt, string(r.Body), `\x` + hex.EncodeToString(r.Seal)})
	}
	for t, all := range rows {
		more[string(t)] = all
	}
	for _, l := range c.Add {
		valid = valid && utf8.ValidString(string(l.Kind)) && utf8.ValidString(l.Value) && utf8.ValidString(l.ProgramID) && utf8.ValidString(l.Slot) && utf8.ValidString(l.CardID)
		all, _ := more["card_lookup"].([]restingLookup)
		more["card_lookup"] = append(all, restingLookup(l))
	}
	if !valid {
		return nil, &pin.Error{Code: pin.Internal, Err: errors.New("a text that is no UTF-8")}
	}
	text, err := json.Marshal(more)
	return string(text), err
}

// overtaken is the Conflict of what somebody else has changed: a card, or a table's row.
func overtaken(what string) error { return &pin.Error{Code: pin.Conflict, Field: what} }

// swap is swap_card for every database and every change.
func (t *tx) swap(c pin.Change) error {
	if err := t.admit(c); err != nil {
		return err
	}
	return t.admitted(c)
}

// admitted is swap for a change whose events were let in.
func (t *tx) admitted(c pin.Change) error {
	if c.Card != nil {
		if err := t.swapCard(c); err != nil {
			return err
		}
	}
	for _, r := range c.Rows {
		if err := t.put(r, c); err != nil {
			return err
		}
	}
	for _, l := range c.Drop {
		row := models.CardLookup{Kind: string(l.Kind), Value: l.Value, ProgramID: l.ProgramID, Slot: l.Slot}
		if err := t.fail(t.db.Where("card_id = ?", l.CardID).Delete(&row).Error, ""); err != nil {
			return err
		}
	}
	for _, l := range c.Add {
		row := models.CardLookup{Kind: string(l.Kind), Value: l.Value, ProgramID: l.ProgramID, Slot: l.Slot, CardID: l.CardID}
		if err := t.insert(&row, &pin.Error{Code: pin.Duplicate, Field: string(l.Kind)}); err != nil {
			return err
		}
	}
	for _, e := range c.Events {
		row := models.AuditEvent{Chain: e.Chain, Seq: e.Seq, ID: e.ID, ProgramID: e.ProgramID, Body: string(e.Body), MAC: e.MAC}
		if err := t.fail(t.db.Create(&row).Error, "audit_events"); err != nil {
			return err
		}
		if err := t.announce(e, c.Now); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) swapCard(c pin.Change) error {
	row := models.Card{ID: c.Card.ID, ProgramID: c.Card.ProgramID, Revision: c.Card.Revision, Details: string(c.Card.Details), Value: string(c.Card.Value), Seal: c.Card.Seal}
	if row.Revision == 1 {
		return t.fail(t.db.Create(&row).Error, "card")
	}
	columns := []string{"revision", "value", "seal"}
	if c.DetailsToo {
		columns = append(columns, "details")
	}
	return t.replace(&row, columns, "card", "revision = ?", row.Revision-1)
}

// insert adds a row unless it is there: then taken is the error, and the transaction is undone.
func (t *tx) insert(row any, taken error) error {
	result := t.db.Clauses(clause.OnConflict{DoNothing: true}).Create(row)
	if result.Error == nil && result.RowsAffected == 0 {
		t.failed = taken
		return taken
	}
	return t.fail(result.Error, "")
}

// replace writes columns of a row where a condition holds, or the row was overtaken.
func (t *tx) replace(row any, columns []string, what, where string, args ...any) error {
	result := t.db.Model(row).Where(where, args...).Select(columns).Updates(row)
	if result.Error == nil && result.RowsAffected == 0 {
		t.failed = overtaken(what)
		return t.failed
	}
	return t.fail(result.Error, "")
}

// put writes a row of any table but cards.
func (t *tx) put(r pin.Row, c pin.Change) error {
	row, err := resting(r)
	if err != nil {
		return err
	}
	duplicate := &pin.Error{Code: pin.Duplicate, Field: string(r.Table)}
	switch {
	case len(r.Was) > 0:
		return t.replace(row, []string{"body", "seal"}, string(r.Table), "version = ? AND seal = ?", r.Version, r.Was)
	case r.Table == pin.TableReplays:
		return t.takeOver(row, r.Version, c.Now)
	case r.Table == pin.TableChains && c.From == 0, r.Table == pin.TableSessions && r.Version == 1:
		return t.insert(row, overtaken(string(r.Table)))
	case r.Table == pin.TableChains:
		return t.replace(row, []string{"version", "body", "seal"}, string(r.Table), "version = ?", c.From)
	case r.Version == 1:
		return t.insert(row, duplicate)
	}
	columns := []string{"version", "body", "seal"}
	if r.Table == pin.TableSessions {
		columns = append(columns, "expires_at")
	}
	return t.replace(row, columns, string(r.Table), "version = ?", r.Version-1)
}

// takeOver adds a replay record, or puts it in the place of one that has expired; one of a later version in that of
// the version before it alone.
func (t *tx) takeOver(row any, version, now int64) error {
	columns := []string{"version", "expires_at", "body", "seal"}
	var result *gorm.DB
	if version > 1 {
		result = t.db.Model(row).Where("version = ?", version-1).Select(columns).Updates(row)
	} else {
		result = t.db.Clauses(clause.OnConflict{
			Columns:   []clause.Column{{Name: "id"}},
			DoUpdates: clause.AssignmentColumns(columns),
			Where:     clause.Where{Exprs: []clause.Expression{gorm.Expr("replays.expires_at <= ?", now)}},
		}).Create(row)
	}
	if result.Error == nil && result.RowsAffected == 0 {
		t.failed = repeated()
		return t.failed
	}
	return t.fail(result.Error, "")
}

// resting is a row as its table has it.
func resting(r pin.Row) (any, error) {
	sealed := models.Sealed{Version: r.Version, Body: string(r.Body), Seal: r.Seal}
	switch r.Table {
	case pin.TablePrograms:
		return &models.Program{ID: r.ID, Sealed: sealed}, nil
	case pin.TableClients:
		return &models.Client{ID: r.ID, ProgramID: r.ProgramID, Sealed: sealed}, nil
	case pin.TableZoneKeys:
		return &models.ZoneKey{ID: r.ID, ProgramID: r.ProgramID, Sealed: sealed}, nil
	case pin.TableWebhooks:
		return &models.WebhookEndpoint{ID: r.ID, ProgramID: r.ProgramID, Sealed: sealed}, nil
	case pin.TableChains:
		return &models.Chain{ID: r.ID, Sealed: sealed}, nil
	case pin.TableReplays:
		return &models.Replay{ID: r.ID, ExpiresAt: r.ExpiresAt, Sealed: sealed}, nil
	case pin.TableSessions:
		return &models.PINSession{CardID: r.CardID, ID: r.ID, ProgramID: r.ProgramID, ExpiresAt: r.ExpiresAt, Sealed: sealed}, nil
	case pin.TableApprovals:
		return &models.Approval{CardID: r.CardID, ID: r.ID, ProgramID: r.ProgramID, ExpiresAt: r.ExpiresAt, Sealed: sealed}, nil
	case pin.TableRecords:
		return &models.ContractRecord{CardID: r.CardID, ID: r.ID, ProgramID: r.ProgramID, Sealed: sealed}, nil
	}
	return nil, &pin.Error{Code: pin.Internal, Err: fmt.Errorf("no such table: %s", r.Table)}
}

// tx is a transaction under way.
type tx struct {
	db        *gorm.DB
	engine    engine
	translate func(err error, field string) error
	failed    error // the first failure of a statement
}

// fail is [Store.fail]; it keeps the first failure, which ends the transaction.
func (t *tx) fail(err error, field string) error {
	failure := t.translate(err, field)
	if t.failed == nil && failure != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
		t.failed = failure
	}
	return failure
}
