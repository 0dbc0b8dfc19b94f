package pin

import "context"

// ImportZoneKey keeps a partner's key that was wrapped for it: NotFound for its program, Forbidden for
// callers of another one, Duplicate (zoneKey).
func (v *Vault) ImportZoneKey(ctx context.Context, k ZoneKey, m Memo) error {
	if !CallerFrom(ctx).Reaches(k.ProgramID) {
		return &Error{Code: Forbidden}
	}
	e := AuditEvent{Type: EventKeyImported, ProgramID: k.ProgramID, Subject: k.ID}
	if k.ProgramID == "" {
		e.Chain = platformChain
	} else if _, err := v.Program(ctx, k.ProgramID); err != nil {
		return err
	}
	return v.store.InTx(ctx, func(tx Tx) error {
		if err := m.reserve(tx); err != nil {
			return err
		}
		if err := tx.InsertZoneKey(k); err != nil {
			return err
		}
		if err := v.audit(ctx, tx, e, m); err != nil {
			return err
		}
		return m.complete(tx, k)
	})
}

// Remember runs the memo's hooks for an answer that no operation stands behind, so that it is kept like
// any other. Otherwise a reused idempotency key would tell a refusal that took a try from one that found
// no card to take it from.
func (v *Vault) Remember(ctx context.Context, result any, m Memo) error {
	return v.store.InTx(ctx, func(tx Tx) error {
		if err := m.reserve(tx); err != nil {
			return err
		}
		return m.complete(tx, result)
	})
}
