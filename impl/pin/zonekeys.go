package pin

import (
	"cmp"
	"context"
	"slices"
)

// ImportZoneKey keeps a partner's key that was wrapped for it, in use from now on: NotFound for its program, Forbidden for
// callers of another one, Duplicate (zone_keys).
func (v *Vault) ImportZoneKey(ctx context.Context, k ZoneKey, m Memo) error {
	if k.State == "" {
		k.State, k.ActivatedAt = KeyActive, k.CreatedAt
	}
	return v.WriteKeys(ctx, []KeyChange{{Type: EventKeyImported, After: k}}, m)
}

// KeyChange is a partner's key as it was, the zero key for one that is made, and as it becomes.
type KeyChange struct {
	Type          EventType
	Before, After ZoneKey
}

// WriteKeys makes changes of keys of one program, all or none, each with its event: NotFound for the program, Forbidden for
// callers of another one, Duplicate (zone_keys) and Conflict (zone_keys) where somebody else was faster. What the memo
// hears of is the first key, without its material.
func (v *Vault) WriteKeys(ctx context.Context, all []KeyChange, m Memo) error {
	programID := all[0].After.ProgramID
	if !CallerFrom(ctx).Reaches(programID) {
		return &Error{Code: Forbidden}
	}
	if programID != "" {
		if _, err := v.Program(ctx, programID); err != nil {
			return err
		}
	}
	var e entry
	for i, c := range all {
		c.After.Version = c.Before.Version + 1
		one, err := v.keyEntry(c)
		if err != nil {
			return err
		}
		if i == 0 {
			one.result = c.After.WithoutMaterial()
			e = one
			continue
		}
		e.more, e.further = append(e.more, one.event), append(e.further, *one.row)
	}
	err := v.enter(ctx, e, m)
	v.newKeys()
	return err
}

// OnKeysChanged has changed called whenever this process has changed partners' keys.
func (v *Vault) OnKeysChanged(changed func()) { v.newKeys = changed }

func (v *Vault) keyEntry(c KeyChange) (entry, error) {
	k := c.After
	row, err := Sealed(v.keys, Row{Table: TableZoneKeys, ID: k.ID, ProgramID: k.ProgramID, Version: int64(k.Version)}, k)
	if err != nil {
		return entry{}, err
	}
	return entry{row: &row, event: AuditEvent{Type: c.Type, ProgramID: k.ProgramID, Subject: k.ID, Version: int64(k.Version),
		Changes: changes(toldOfKey(c.Before), toldOfKey(k))}}, nil
}

// keyTold is what the trail tells of a key.
type keyTold struct {
	Usage         KeyUsage `json:"usage,omitempty"`
	Algorithm     string   `json:"algorithm,omitempty"`
	CheckValue    string   `json:"checkValue,omitempty"`
	State         KeyState `json:"state,omitempty"`
	Exportability string   `json:"exportability,omitempty"`
	Ceremony      string   `json:"ceremony,omitempty"`
	RetiresAt     string   `json:"retiresAt,omitempty"`
	Successor     string   `json:"successor,omitempty"`
	Succeeds      string   `json:"succeeds,omitempty"`
}

func toldOfKey(k ZoneKey) keyTold {
	if k.ID == "" {
		return keyTold{}
	}
	out := keyTold{Usage: k.Usage, Algorithm: k.Algorithm, CheckValue: k.CheckValue, State: cmp.Or(k.State, KeyActive),
		Exportability: k.Block.Exportability, Ceremony: k.Ceremony.told(), Successor: k.Successor}
	if !k.RetiresAt.IsZero() {
		out.RetiresAt = k.RetiresAt.Format("2006-01-02T15:04:05Z07:00")
	}
	if len(k.Succeeds) > 0 {
		out.Succeeds = k.Succeeds[0]
	}
	return out
}

// Tell tells the trail of something that was done with a key and changed no row, or of a try that was refused: Forbidden for
// another program than the caller's.
func (v *Vault) Tell(ctx context.Context, t EventType, programID, keyID string, outcome Code, m Memo) error {
	if !CallerFrom(ctx).Reaches(programID) {
		return &Error{Code: Forbidden}
	}
	return v.enter(ctx, entry{event: AuditEvent{Type: t, ProgramID: programID, Subject: keyID, Outcome: string(outcome)}}, m)
}

// Key finds a partner's key in the caller's reach, with its material as it rests: NotFound.
func (v *Vault) Key(ctx context.Context, id string) (ZoneKey, error) {
	row, err := v.store.Row(ctx, TableZoneKeys, "", id)
	if err != nil {
		return ZoneKey{}, err
	}
	k, err := v.openKey(ctx, row)
	if err == nil && !CallerFrom(ctx).Reaches(k.ProgramID) {
		return ZoneKey{}, &Error{Code: NotFound}
	}
	return k, err
}

func (v *Vault) openKey(ctx context.Context, row Row) (ZoneKey, error) {
	var k ZoneKey
	if err := v.unseal(ctx, row, &k); err != nil {
		return ZoneKey{}, err
	}
	if k.ID != row.ID || k.ProgramID != row.ProgramID || int64(k.Version) != row.Version {
		return ZoneKey{}, v.broken(ctx, string(TableZoneKeys), row.ID)
	}
	return k, nil
}

// Keys lists the partners' keys in the caller's reach, in the order of their ids, without material.
func (v *Vault) Keys(ctx context.Context, page Page) ([]ZoneKey, error) {
	own, some := CallerFrom(ctx).within()
	if !some {
		return nil, nil
	}
	rows, err := v.store.List(ctx, TableZoneKeys, own, page)
	if err != nil {
		return nil, err
	}
	out := make([]ZoneKey, len(rows))
	for i, row := range rows {
		k, err := v.openKey(ctx, row)
		if err != nil {
			return nil, err
		}
		out[i] = k.WithoutMaterial()
	}
	return slices.Clip(out), nil
}
