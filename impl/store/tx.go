package store

import (
	"errors"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"pinvault/impl/pin"
	"pinvault/models"
)

// tx is pin.Tx.
type tx struct {
	db        *gorm.DB
	numbers   numbers
	translate func(err error, field string) error
	failed    error // the first failure of a statement
}

// fail is [Store.fail]; it keeps the first failure, which ends the transaction.
func (t *tx) fail(err error, field string) error {
	failure := t.translate(err, field)
	if t.failed == nil && !errors.Is(err, gorm.ErrRecordNotFound) {
		t.failed = failure
	}
	return failure
}

// create inserts one row; field goes with Duplicate.
func (t *tx) create(row any, field string) error { return t.fail(t.db.Create(row).Error, field) }

// changed tells whether an UPDATE of one row found it.
func (t *tx) changed(result *gorm.DB) error {
	if result.Error == nil && result.RowsAffected == 0 {
		return &pin.Error{Code: pin.NotFound}
	}
	return t.fail(result.Error, "")
}

// update writes all columns of row but the fixed ones, if the version before its own is stored.
func (t *tx) update(row any, version int64, fixed ...string) error {
	result := t.db.Model(row).Where("version = ?", version-1).Select("*").Omit(fixed...).Updates(row)
	if result.Error != nil || result.RowsAffected == 1 {
		return t.fail(result.Error, "")
	}
	if err := t.fail(t.db.Select("version").Take(row).Error, ""); err != nil {
		return err
	}
	return &pin.Error{Code: pin.Conflict}
}

func (t *tx) InsertProgram(p pin.Program) error { return t.create(programRow(p), "program") }

func (t *tx) UpdateProgram(p pin.Program) error {
	return t.update(programRow(p), p.Version, "id", "created_at")
}

func (t *tx) InsertClient(c pin.Client) error { return t.create(clientRow(c), "client") }

func (t *tx) UpdateClient(c pin.Client) error {
	return t.update(clientRow(c), c.Version, "id", "created_at")
}

func (t *tx) InsertZoneKey(k pin.ZoneKey) error { return t.create(zoneKeyRow(k), "zoneKey") }

func (t *tx) InsertCard(c pin.Card, panIndex string, p pin.PINRecord) error {
	if err := refuseClearPAN(c); err != nil {
		return err
	}
	if err := t.create(cardRow(c), "card"); err != nil {
		return err
	}
	if err := t.insertReferences(c, panIndex); err != nil {
		return err
	}
	return t.create(pinRow(c.ID, p), "card")
}

func (t *tx) UpdateCard(c pin.Card) error {
	if err := refuseClearPAN(c); err != nil {
		return err
	}
	if err := t.update(cardRow(c), c.Version, "id", "program_id", "pan_ciphertext", "created_at"); err != nil {
		return err
	}
	err := t.db.Where("card_id = ? AND kind <> ?", c.ID, pin.KindPAN).Delete(&models.CardReference{}).Error
	if err := t.fail(err, ""); err != nil {
		return err
	}
	return t.insertReferences(c, "")
}

// refuseClearPAN keeps a caller's mistake from the tables: PANs come as an index, apart from the other
// references.
func refuseClearPAN(c pin.Card) error {
	if c.Reference(pin.KindPAN) == "" {
		return nil
	}
	return &pin.Error{Code: pin.Internal, Err: &fault{text: "PAN among the references of a card"}}
}

// insertReferences adds references in one statement that passes over those which another card has, so
// that Duplicate can name the kind.
func (t *tx) insertReferences(c pin.Card, panIndex string) error {
	references := slices.Clone(c.References)
	if panIndex != "" {
		references = append(references, pin.Reference{Kind: pin.KindPAN, Value: panIndex})
	}
	if len(references) == 0 {
		return nil
	}
	values := make([]any, 0, 4*len(references))
	for _, r := range references {
		values = append(values, c.ID, r.Kind, r.Value, c.ID)
	}
	var added []models.CardReference
	const row = "(?, ?, ?, (SELECT program_id FROM cards WHERE id = ?))" // the card's, which no update changes
	err := t.db.Raw("INSERT INTO card_references (card_id, kind, value, program_id) VALUES "+row+
		strings.Repeat(", "+row, len(references)-1)+" ON CONFLICT DO NOTHING RETURNING kind, value", values...).Find(&added).Error
	if err := t.fail(err, ""); err != nil {
		return err
	}
	isAdded := make(map[pin.Reference]bool, len(added))
	for _, r := range added {
		isAdded[pin.Reference{Kind: pin.Kind(r.Kind), Value: r.Value}] = true
	}
	for _, r := range references {
		if !isAdded[r] {
			return t.fail(gorm.ErrDuplicatedKey, string(r.Kind))
		}
	}
	return nil
}

// takeTry is one statement: the database evaluates its condition anew, with the row locked, for each
// of the callers that come at once.
func takeTry(db *gorm.DB, cardID string, limit int) (taken pin.Taken, admitted bool, err error) {
	var rows []models.PIN
	err = db.Raw(`UPDATE pins SET tries_left = (CASE WHEN tries_left > ? THEN ? ELSE tries_left END) - 1, takes = takes + 1
		WHERE card_id = ? AND tries_left > 0
		RETURNING state, verifier, version, tries_left, takes`, limit, limit, cardID).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return pin.Taken{}, false, err
	}
	p := rows[0]
	return pin.Taken{State: pin.PINState(p.State), Verifier: p.Verifier, Version: p.Version, TriesLeft: p.TriesLeft, TakeNumber: p.Takes}, true, nil
}

func (t *tx) TakeTry(cardID string, limit int) (pin.Taken, bool, error) {
	taken, admitted, err := takeTry(t.db, cardID, limit)
	return taken, admitted, t.fail(err, "")
}

func (t *tx) GiveBack(cardID string, takeNumber int64, limit int) (int, error) {
	var rows []models.PIN
	err := t.db.Raw(`UPDATE pins SET tries_left = CASE WHEN tries_left < ? - (takes - ?) THEN ? - (takes - ?) ELSE tries_left END
		WHERE card_id = ?
		RETURNING tries_left`, limit, takeNumber, limit, takeNumber, cardID).Find(&rows).Error
	switch {
	case err != nil:
		return 0, t.fail(err, "")
	case len(rows) == 0:
		return 0, &pin.Error{Code: pin.NotFound}
	}
	return min(rows[0].TriesLeft, limit), nil
}

func (t *tx) ResetTries(cardID string, limit int) error {
	return t.changed(t.db.Model(&models.PIN{CardID: cardID}).Update("tries_left", limit))
}

// ReplacePIN locks the row before it copies the verifier: the one that it remembers is the one that it
// replaces.
func (t *tx) ReplacePIN(cardID string, fromVersion int64, p pin.PINRecord) error {
	before := models.PIN{CardID: cardID}
	if err := t.fail(t.db.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Take(&before).Error, ""); err != nil {
		return err
	}
	if fromVersion != 0 && before.Version != fromVersion {
		return &pin.Error{Code: pin.Conflict}
	}
	after := pinRow(cardID, p)
	after.Version = before.Version + 1
	err := t.db.Select("state", "verifier", "ciphertext", "version", "changed_at").Updates(after).Error
	if err := t.fail(err, ""); err != nil || len(before.Verifier) == 0 {
		return err
	}
	if err := t.create(&models.PINHistory{CardID: cardID, Version: before.Version, Verifier: before.Verifier}, "card"); err != nil {
		return err
	}
	return t.fail(t.db.Exec(`DELETE FROM pin_history WHERE card_id = ? AND version <=
		(SELECT version FROM pin_history WHERE card_id = ? ORDER BY version DESC LIMIT 1 OFFSET ?)`,
		cardID, cardID, historyKept).Error, "")
}

// historyKept is how many replaced verifiers of a card are kept: more than any policy of today looks
// at, so that one may grow.
const historyKept = 12

func (t *tx) PINHistory(cardID string, n int) ([][]byte, error) {
	var rows []models.PINHistory
	if err := t.db.Where("card_id = ?", cardID).Order("version DESC").Limit(n).Find(&rows).Error; err != nil {
		return nil, t.fail(err, "")
	}
	out := make([][]byte, len(rows))
	for i, row := range rows {
		out[i] = row.Verifier
	}
	return out, nil
}

func (t *tx) DropCiphertexts(programID string) error {
	return t.fail(t.db.Exec(`UPDATE pins SET ciphertext = NULL
		WHERE ciphertext IS NOT NULL AND card_id IN (SELECT id FROM cards WHERE program_id = ?)`, programID).Error, "")
}

func (t *tx) LastAudit(chain string) (int64, []byte, error) {
	var rows []models.AuditEvent
	err := t.db.Select("seq", "mac").Where("chain = ?", chain).Order("seq DESC").Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return 0, nil, t.fail(err, "")
	}
	return rows[0].Seq, rows[0].MAC, nil
}

// InsertAudit meets a duplicate when another transaction has appended since [tx.LastAudit]: read
// committed sees that late, the unique index always.
func (t *tx) InsertAudit(e pin.AuditEvent) error {
	err := t.create(auditRow(e), "audit")
	if pin.CodeOf(err) == pin.Duplicate {
		err = &pin.Error{Code: pin.Unavailable, Err: &fault{text: "audit chain has grown meanwhile", again: true}}
		t.failed = err
	}
	return err
}

func (t *tx) InsertReplay(r pin.Replay) error {
	columns := []string{"endpoint", "fingerprint", "done", "result", "created_at", "expires_at"}
	result := t.db.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "scope"}, {Name: "key"}},
		DoUpdates: clause.AssignmentColumns(columns),
		Where:     clause.Where{Exprs: []clause.Expression{gorm.Expr("replays.expires_at <= excluded.created_at")}},
	}).Create(replayRow(r))
	if result.Error == nil && result.RowsAffected == 0 {
		return &pin.Error{Code: pin.Duplicate, Field: "replay"}
	}
	return t.fail(result.Error, "replay")
}

func (t *tx) CompleteReplay(r pin.Replay) error {
	return t.changed(t.db.Model(&models.Replay{Scope: r.Scope, Key: r.Key}).Select("result", "done", "expires_at").
		Updates(&models.Replay{Result: r.Result, Done: r.Done, ExpiresAt: utc(r.ExpiresAt)}))
}
