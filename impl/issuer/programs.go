package issuer

import (
	"context"
	"time"

	"github.com/oapi-codegen/nullable"

	api "pinvault/generated/issuer"
	"pinvault/impl/pin"
)

// CreateProgram makes a program; what the request leaves open is as in [pin.NewProgram].
func (a *API) CreateProgram(ctx context.Context, r api.CreateProgramRequestObject) (api.CreateProgramResponseObject, error) {
	made, err := once(ctx, a, call{key: r.Params.IdempotencyKey, endpoint: "createProgram", body: r.Body}, pin.Memo{},
		func(m pin.Memo) (pin.Program, error) { return a.createProgram(ctx, *r.Body, m) })
	if err != nil {
		return nil, err
	}
	shown, err := a.program(made)
	return api.CreateProgram201JSONResponse{Body: shown}, err
}

// ListPrograms pages through the programs in the caller's reach.
func (a *API) ListPrograms(ctx context.Context, r api.ListProgramsRequestObject) (api.ListProgramsResponseObject, error) {
	p := page(r.Params.Limit, r.Params.Cursor)
	found, err := a.vault.Programs(ctx, p)
	if err != nil {
		return nil, err
	}
	found, next := cut(p, found, func(p pin.Program) string { return p.ID })
	shown, err := eachOr(found, a.program)
	return api.ListPrograms200JSONResponse{Items: shown, NextCursor: next}, err
}

// GetProgram shows a program.
func (a *API) GetProgram(ctx context.Context, r api.GetProgramRequestObject) (api.GetProgramResponseObject, error) {
	found, err := a.vault.Program(ctx, r.ProgramID)
	if err != nil {
		return nil, err
	}
	shown, err := a.program(found)
	return api.GetProgram200JSONResponse(shown), err
}

// UpdateProgram changes the settings that the request names.
func (a *API) UpdateProgram(ctx context.Context, r api.UpdateProgramRequestObject) (api.UpdateProgramResponseObject, error) {
	changed, err := a.updateProgram(ctx, r.ProgramID, *r.Body)
	if err != nil {
		return nil, err
	}
	shown, err := a.program(changed)
	return api.UpdateProgram200JSONResponse(shown), err
}

// createProgram makes the program that a request describes.
func (a *API) createProgram(ctx context.Context, n api.ProgramRequest, m pin.Memo) (pin.Program, error) {
	fresh, err := a.newProgram(n)
	if err != nil {
		return pin.Program{}, err
	}
	return a.vault.CreateProgram(ctx, fresh, m)
}

// newProgram is the program that a request describes.
func (a *API) newProgram(n api.ProgramRequest) (pin.Program, error) {
	fresh := pin.NewProgram(n.Name)
	changeProgram(&fresh, programSettings(n))
	return fresh, a.contracts.setProgram(&fresh, n)
}

// updateProgram changes what a request names.
func (a *API) updateProgram(ctx context.Context, id string, named api.ProgramChange) (pin.Program, error) {
	return a.vault.UpdateProgram(ctx, id, func(p *pin.Program) error {
		before := *p
		changeProgram(p, named)
		if err := a.contracts.setProgram(p, named); err != nil {
			return err
		}
		return a.stillSuits(ctx, before, *p)
	}, pin.Memo{})
}

// programSettings are those that a request names for a program to be made.
func programSettings(n api.ProgramRequest) api.ProgramChange {
	return api.ProgramChange{
		Name:             &n.Name,
		MinPinLength:     n.MinPinLength,
		MaxPinLength:     n.MaxPinLength,
		TryLimit:         n.TryLimit,
		PinPolicy:        (*api.ProgramChangePinPolicy)(n.PinPolicy),
		RetrievalAllowed: n.RetrievalAllowed,
		DualUnblock:      n.DualUnblock,
		DualReveal:       n.DualReveal,
		ApprovalSeconds:  n.ApprovalSeconds,
		TimeZone:         n.TimeZone,
	}
}

// changeProgram puts the settings that a request names into a program.
func changeProgram(p *pin.Program, named api.ProgramChange) {
	set(&p.Name, named.Name)
	setNumber(&p.MinPINLength, named.MinPinLength)
	setNumber(&p.MaxPINLength, named.MaxPinLength)
	setNumber(&p.TryLimit, named.TryLimit)
	setText(&p.Policy, named.PinPolicy)
	set(&p.RetrievalAllowed, named.RetrievalAllowed)
	set(&p.DualUnblock, named.DualUnblock)
	set(&p.DualReveal, named.DualReveal)
	setNumber(&p.ApprovalSeconds, named.ApprovalSeconds)
	set(&p.TimeZone, named.TimeZone)
}

// program is a program as the document shows it.
func (a *API) program(p pin.Program) (api.Program, error) {
	settings, err := a.contracts.ofProgram(p)
	if err != nil {
		return api.Program{}, err
	}
	zone := nullable.NewNullNullable[string]()
	if p.TimeZone != "" {
		zone.Set(p.TimeZone)
	}
	return with(api.Program{
		ProgramID:        p.ID,
		Name:             p.Name,
		MinPinLength:     int32(p.MinPINLength),
		MaxPinLength:     int32(p.MaxPINLength),
		TryLimit:         int32(p.TryLimit),
		PinPolicy:        api.Policy(p.Policy),
		RetrievalAllowed: p.RetrievalAllowed,
		DualUnblock:      p.DualUnblock,
		DualReveal:       p.DualReveal,
		ApprovalSeconds:  int32(p.ApprovalLifetime() / time.Second), //nolint:gosec // a day at most
		TimeZone:         zone,
		Version:          p.Version,
		CreatedAt:        p.CreatedAt,
		UpdatedAt:        p.UpdatedAt,
	}, settings)
}
