package pin

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// maxTryLimit is the most tries that a program may grant: the PIN try counter of a chip card's
// script commands ends there, and a four-digit PIN is weak beyond.
const maxTryLimit = 15

// NewProgram is a program with the settings that a newcomer expects: PINs of 4 to 6 digits, three
// tries, weak PINs refused, nothing readable.
func NewProgram(name string) Program {
	return Program{Name: name, MinPINLength: 4, MaxPINLength: 6, TryLimit: 3, Policy: PolicyWeakList,
		TimeZone: "UTC", Languages: []string{"en"}}
}

// validate reports the first setting that contradicts another or the world, as InvalidField.
func (p Program) validate() error {
	_, zoneErr := time.LoadLocation(p.TimeZone)
	for _, rule := range []struct {
		field string
		ok    bool
	}{
		{"name", p.Name != ""},
		{"minPinLength", p.MinPINLength >= MinLength && p.MinPINLength <= MaxLength},
		{"maxPinLength", p.MaxPINLength >= p.MinPINLength && p.MaxPINLength <= MaxLength},
		{"tryLimit", p.TryLimit >= 1 && p.TryLimit <= maxTryLimit},
		{"pinPolicy", p.Policy == PolicyOff || p.Policy == PolicyWeakList || p.Policy == PolicyHistory},
		{"timeZone", zoneErr == nil && p.TimeZone != "" && p.TimeZone != "Local"},
		{"frameAncestors", areOrigins(p.FrameAncestors)},
		{"parentOrigin", p.ParentOrigin == "" || IsOrigin(p.ParentOrigin)},
		{"branding", isBranding(p.Branding)},
	} {
		if !rule.ok {
			return &Error{Code: InvalidField, Field: rule.field}
		}
	}
	return nil
}

// CreateProgram adds a tenant: Forbidden for callers bound to a program, InvalidField, Duplicate.
func (v *Vault) CreateProgram(ctx context.Context, p Program, m Memo) (Program, error) {
	if CallerFrom(ctx).ProgramID != "" {
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
	return p, v.store.InTx(ctx, func(tx Tx) error {
		if err := m.reserve(tx); err != nil {
			return err
		}
		if err := tx.InsertProgram(p); err != nil {
			return err
		}
		if err := v.audit(ctx, tx, AuditEvent{Type: EventProgramCreated, ProgramID: p.ID, Subject: p.ID}, m); err != nil {
			return err
		}
		return m.complete(tx, p)
	})
}

// UpdateProgram changes a program's settings: NotFound, InvalidField, Conflict, and what patch
// returns. When retrieval is switched off, the PINs kept for it are forgotten in the same transaction.
func (v *Vault) UpdateProgram(ctx context.Context, id string, patch func(*Program) error, m Memo) (Program, error) {
	before, err := v.Program(ctx, id)
	if err != nil {
		return Program{}, err
	}
	p := before
	if err := patch(&p); err != nil {
		return Program{}, err
	}
	if err := p.validate(); err != nil {
		return Program{}, err
	}
	p.ID, p.Version, p.CreatedAt, p.UpdatedAt = before.ID, before.Version+1, before.CreatedAt, v.clock()
	return p, v.store.InTx(ctx, func(tx Tx) error {
		if err := m.reserve(tx); err != nil {
			return err
		}
		if err := tx.UpdateProgram(p); err != nil {
			return err
		}
		if before.RetrievalAllowed && !p.RetrievalAllowed {
			if err := tx.DropCiphertexts(p.ID); err != nil {
				return err
			}
		}
		if err := v.audit(ctx, tx, AuditEvent{Type: EventProgramUpdated, ProgramID: p.ID, Subject: p.ID}, m); err != nil {
			return err
		}
		return m.complete(tx, p)
	})
}

// Program finds a program in the caller's reach: NotFound.
func (v *Vault) Program(ctx context.Context, id string) (Program, error) {
	if id == "" || !CallerFrom(ctx).Reaches(id) {
		return Program{}, &Error{Code: NotFound}
	}
	return v.store.Program(ctx, id)
}

// Programs lists the programs in the caller's reach.
func (v *Vault) Programs(ctx context.Context, page Page) ([]Program, error) {
	if own := CallerFrom(ctx).ProgramID; own != "" {
		if own <= page.After {
			return nil, nil
		}
		p, err := v.store.Program(ctx, own)
		return []Program{p}, err
	}
	return v.store.Programs(ctx, page)
}
