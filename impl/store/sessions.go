package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"pinvault/impl/pin"
	"pinvault/models"
)

func sessionRow(s pin.Session) *models.PINSession {
	return &models.PINSession{
		ID: s.ID, ProgramID: s.ProgramID, CardID: s.CardID, ClientID: s.ClientID, Action: string(s.Action), RequestID: s.RequestID,
		State: string(s.State), SecretHash: s.SecretHash, ExchangesLeft: s.ExchangesLeft, TokenHash: s.TokenHash, PrivateKey: s.PrivateKey,
		PINVersion: s.PINVersion, CreatedAt: utc(s.CreatedAt), ExpiresAt: utc(s.ExpiresAt),
	}
}

func session(r models.PINSession) pin.Session {
	return pin.Session{
		ID: r.ID, ProgramID: r.ProgramID, CardID: r.CardID, ClientID: r.ClientID, Action: pin.Action(r.Action), RequestID: r.RequestID,
		State: pin.SessionState(r.State), SecretHash: r.SecretHash, ExchangesLeft: r.ExchangesLeft, TokenHash: r.TokenHash, PrivateKey: r.PrivateKey,
		PINVersion: r.PINVersion, CreatedAt: r.CreatedAt.UTC(), ExpiresAt: r.ExpiresAt.UTC(),
	}
}

// Session is pin.Store's: the session as it is stored, expired or not.
func (s *Store) Session(ctx context.Context, id string) (pin.Session, error) {
	return one(ctx, s, session, "id = ?", id)
}

func (t *tx) InsertSession(s pin.Session) error { return t.create(sessionRow(s), "session") }

func (t *tx) TakeExchange(id string) (bool, error) {
	result := t.db.Model(&models.PINSession{ID: id}).Where("state = ? AND exchanges_left > 0", pin.SessionOpen).
		Update("exchanges_left", gorm.Expr("exchanges_left - 1"))
	return result.RowsAffected == 1, t.fail(result.Error, "")
}

func (t *tx) MoveSession(s pin.Session, from pin.SessionState) error {
	result := t.db.Where("state = ?", from).Select("state", "token_hash", "private_key").Updates(sessionRow(s))
	if result.Error == nil && result.RowsAffected == 0 {
		return &pin.Error{Code: pin.Conflict, Field: "session"}
	}
	return t.fail(result.Error, "")
}

// PurgeSessions deletes the sessions that expired before a time, in batches, and returns how many.
func (s *Store) PurgeSessions(ctx context.Context, before time.Time) (int64, error) {
	for total := int64(0); ; {
		var n int64
		err := s.inTx(ctx, func(t *tx) error {
			result := t.db.Exec(`DELETE FROM pin_sessions WHERE id IN
				(SELECT id FROM pin_sessions WHERE expires_at < ? ORDER BY expires_at LIMIT ?)`, utc(before), purgeBatch)
			n = result.RowsAffected
			return t.fail(result.Error, "")
		})
		if total += n; err != nil || n < purgeBatch {
			return total, err
		}
	}
}
