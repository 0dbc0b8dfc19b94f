package pin

import "context"

// ImportZoneKey keeps a partner's key that was wrapped for it: NotFound for its program, Forbidden for
// callers of another one, Duplicate (zone_keys).
func (v *Vault) ImportZoneKey(ctx context.Context, k ZoneKey, m Memo) error {
	if !CallerFrom(ctx).Reaches(k.ProgramID) {
		return &Error{Code: Forbidden}
	}
	if k.ProgramID != "" {
		if _, err := v.Program(ctx, k.ProgramID); err != nil {
			return err
		}
	}
	row, err := Sealed(v.keys, Row{Table: TableZoneKeys, ID: k.ID, ProgramID: k.ProgramID, Version: 1}, k)
	if err != nil {
		return err
	}
	e := AuditEvent{Type: EventKeyImported, ProgramID: k.ProgramID, Subject: k.ID, Version: 1,
		Changes: changes(ZoneKey{}, k, "usage", "algorithm", "checkValue")}
	return v.enter(ctx, entry{event: e, row: &row, result: k}, m)
}
