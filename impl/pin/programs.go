package pin

import (
	"context"
	"maps"
	"time"

	"github.com/google/uuid"
)

// maxTryLimit is the most tries that a program may grant: the PIN try counter of a chip card's
// script commands ends there, and a four-digit PIN is weak beyond.
const maxTryLimit = 15

// NewProgram is a program with the settings that a newcomer expects: PINs of 4 to 6 digits, three
// tries, weak PINs refused, nothing readable.
func NewProgram(name string) Program {
	return Program{Name: name, MinPINLength: 4, MaxPINLength: 6, TryLimit: 3, Policy: PolicyWeakList}
}

// validate reports the first setting that contradicts another or the world, as InvalidField.
func (p Program) validate() error {
	_, zoneErr := time.LoadLocation(p.TimeZone) // "" is UTC
	for _, rule := range []struct {
		field string
		ok    bool
	}{
		{"name", p.Name != ""},
		{"minPinLength", p.MinPINLength >= MinLength && p.MinPINLength <= MaxLength},
		{"maxPinLength", p.MaxPINLength >= p.MinPINLength && p.MaxPINLength <= MaxLength},
		{"tryLimit", p.TryLimit >= 1 && p.TryLimit <= maxTryLimit},
		{"pinPolicy", p.Policy == PolicyOff || p.Policy == PolicyWeakList || p.Policy == PolicyHistory},
		{"approvalSeconds", p.ApprovalSeconds == 0 || p.ApprovalSeconds >= minApprovalSeconds && p.ApprovalSeconds <= maxApprovalSeconds},
		{"timeZone", zoneErr == nil && p.TimeZone != "Local"},
	} {
		if !rule.ok {
			return &Error{Code: InvalidField, Field: rule.field}
		}
	}
	return nil
}

// CreateProgram adds a tenant: Forbidden for callers bound to a program, InvalidField, Duplicate.
func (v *Vault) CreateProgram(ctx context.Context, p Program, m Memo) (Program, error) {
	if !CallerFrom(ctx).Everywhere {
		return Program{}, &Error{Code: Forbidden}
	}
	if err := p.validate(); err != nil {
		return Program{}, err
	}
	if p.ID == "" {
		id, err := uuid.NewV7FromReader(v.rand)
		if err != nil {
			return Program{}, &Error{Code: Internal, Err: err}
		}
		p.ID = id.String()
	}
	p.Version, p.CreatedAt = 1, v.clock()
	p.UpdatedAt = p.CreatedAt
	return p, v.writeProgram(ctx, EventProgramCreated, Program{}, p, m)
}

// UpdateProgram changes a program's settings: NotFound, InvalidField, Conflict, and what patch
// returns. When retrieval is switched off, no PIN kept for it can be read back any more, and they are
// forgotten: see [Vault.ForgetPINs].
func (v *Vault) UpdateProgram(ctx context.Context, id string, patch func(*Program) error, m Memo) (Program, error) {
	before, err := v.reachable(ctx, id)
	if err != nil {
		return Program{}, err
	}
	p := before
	p.Settings = maps.Clone(before.Settings) // which others read
	if err := patch(&p); err != nil {
		return Program{}, err
	}
	if err := p.validate(); err != nil {
		return Program{}, err
	}
	p.ID, p.Version, p.CreatedAt, p.UpdatedAt = before.ID, before.Version+1, before.CreatedAt, v.clock()
	if p.RetrievalEpoch = before.RetrievalEpoch; p.RetrievalAllowed != before.RetrievalAllowed {
		p.RetrievalEpoch++
	}
	if err := v.writeProgram(ctx, EventProgramUpdated, before, p, m); err != nil {
		return Program{}, err
	}
	if before.RetrievalAllowed && !p.RetrievalAllowed {
		// What is not forgotten now is with the next change of the card, or by upkeep.
		_, _ = v.ForgetPINs(ctx, p)
	}
	return p, nil
}

func (v *Vault) writeProgram(ctx context.Context, t EventType, before, p Program, m Memo) error {
	row, err := Sealed(v.keys, Row{Table: TablePrograms, ID: p.ID, Version: p.Version}, p)
	if err != nil {
		return err
	}
	e := AuditEvent{Type: t, ProgramID: p.ID, Subject: p.ID, Version: p.Version, Changes: changes(audited(before, before.Settings), audited(p, p.Settings))}
	err = v.enter(ctx, entry{event: e, row: &row, result: p}, m)
	v.seen.drop(TablePrograms, p.ID)
	return err
}

// ForgetPINs drops the PINs that a program's cards have kept for retrieval and that cannot be read back
// any more, one card at a time, and returns how many.
func (v *Vault) ForgetPINs(ctx context.Context, p Program) (int, error) {
	const batch = 500
	forgotten := 0
	for after := ""; ; {
		rows, err := v.store.Cards(ctx, p.ID, Page{After: after, Limit: batch})
		if err != nil {
			return forgotten, err
		}
		for _, row := range rows {
			rec, err := v.record(ctx, row)
			if err != nil {
				return forgotten, err
			}
			if after = row.ID; len(rec.PIN.Ciphertext) == 0 || rec.PIN.Readable(rec.Program) {
				continue
			}
			if _, err := v.act(WithCaller(ctx, Caller{ProgramID: p.ID}), Query{CardID: row.ID}, Memo{}, func(rec Record) (deed, error) {
				if rec.PIN.Readable(rec.Program) {
					return deed{Step: rec.PIN.Noted()}, nil
				}
				return deed{Step: rec.PIN.Forget()}, nil
			}); err != nil {
				return forgotten, err
			}
			forgotten++
		}
		if len(rows) < batch {
			return forgotten, nil
		}
	}
}

// program reads a program as it stands: NotFound.
func (v *Vault) program(ctx context.Context, id string) (Program, error) {
	row, err := v.store.Row(ctx, TablePrograms, "", id)
	if err != nil {
		return Program{}, err
	}
	return v.openProgram(ctx, row)
}

func (v *Vault) openProgram(ctx context.Context, row Row) (Program, error) {
	var p Program
	if err := v.unseal(ctx, row, &p); err != nil {
		return Program{}, err
	}
	if p.ID != row.ID || p.Version != row.Version {
		return Program{}, v.broken(ctx, string(TablePrograms), row.ID)
	}
	v.programs.Add(programVersion{p.ID, p.Version}, p)
	return p, nil
}

// reachable is the program as it stands, in the caller's reach: NotFound.
func (v *Vault) reachable(ctx context.Context, id string) (Program, error) {
	if id == "" || !CallerFrom(ctx).Reaches(id) {
		return Program{}, &Error{Code: NotFound}
	}
	return v.program(ctx, id)
}

// Program finds a program in the caller's reach: NotFound. A change by another process shows within a
// second.
func (v *Vault) Program(ctx context.Context, id string) (Program, error) {
	if id == "" || !CallerFrom(ctx).Reaches(id) {
		return Program{}, &Error{Code: NotFound}
	}
	if p, ok := v.seen.get(TablePrograms, id); ok {
		return p.(Program), nil
	}
	p, err := v.program(ctx, id)
	if err == nil {
		v.seen.put(TablePrograms, id, p)
	}
	return p, err
}

// Programs lists the programs in the caller's reach.
func (v *Vault) Programs(ctx context.Context, page Page) ([]Program, error) {
	own, some := CallerFrom(ctx).within()
	if own != "" || !some {
		if own <= page.After {
			return nil, nil
		}
		p, err := v.program(ctx, own)
		return []Program{p}, err
	}
	rows, err := v.store.List(ctx, TablePrograms, "", page)
	if err != nil {
		return nil, err
	}
	out := make([]Program, len(rows))
	for i, row := range rows {
		if out[i], err = v.openProgram(ctx, row); err != nil {
			return nil, err
		}
	}
	return out, nil
}
