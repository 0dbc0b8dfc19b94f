package issuer

import (
	"context"
	"maps"

	api "pinvault/generated/issuer"
	"pinvault/impl/pin"
)

// CreateProgram makes a program; what the request leaves open is as in [pin.NewProgram].
func (a *API) CreateProgram(ctx context.Context, r api.CreateProgramRequestObject) (api.CreateProgramResponseObject, error) {
	made, err := once(ctx, a, call{key: r.Params.IdempotencyKey, endpoint: "createProgram", body: r.Body}, pin.Memo{},
		func(m pin.Memo) (pin.Program, error) { return a.vault.CreateProgram(ctx, newProgram(*r.Body), m) })
	if err != nil {
		return nil, err
	}
	return api.CreateProgram201JSONResponse{Body: program(made)}, nil
}

// ListPrograms pages through the programs in the caller's reach.
func (a *API) ListPrograms(ctx context.Context, r api.ListProgramsRequestObject) (api.ListProgramsResponseObject, error) {
	p := page(r.Params.Limit, r.Params.Cursor)
	found, err := a.vault.Programs(ctx, p)
	if err != nil {
		return nil, err
	}
	found, next := cut(p, found, func(p pin.Program) string { return p.ID })
	return api.ListPrograms200JSONResponse{Items: each(found, program), NextCursor: next}, nil
}

// GetProgram shows a program.
func (a *API) GetProgram(ctx context.Context, r api.GetProgramRequestObject) (api.GetProgramResponseObject, error) {
	found, err := a.vault.Program(ctx, r.ProgramID)
	if err != nil {
		return nil, err
	}
	return api.GetProgram200JSONResponse(program(found)), nil
}

// UpdateProgram changes the settings that the request names.
func (a *API) UpdateProgram(ctx context.Context, r api.UpdateProgramRequestObject) (api.UpdateProgramResponseObject, error) {
	patch := func(p *pin.Program) error {
		changeProgram(p, *r.Body)
		return nil
	}
	changed, err := a.vault.UpdateProgram(ctx, r.ProgramID, patch, pin.Memo{})
	if err != nil {
		return nil, err
	}
	return api.UpdateProgram200JSONResponse(program(changed)), nil
}

// newProgram is the program that a request describes.
func newProgram(n api.NewProgram) pin.Program {
	fresh := pin.NewProgram(n.Name)
	changeProgram(&fresh, programSettings(n))
	return fresh
}

// programSettings are those that a request names for a program to be made.
func programSettings(n api.NewProgram) api.ProgramChange {
	return api.ProgramChange{
		Name:                 &n.Name,
		MinPinLength:         n.MinPinLength,
		MaxPinLength:         n.MaxPinLength,
		TryLimit:             n.TryLimit,
		PinPolicy:            (*api.ProgramChangePinPolicy)(n.PinPolicy),
		RetrievalAllowed:     n.RetrievalAllowed,
		AliasCapability:      n.AliasCapability,
		CardProfileMandatory: n.CardProfileMandatory,
		CPlus:                n.CPlus,
		TimeZone:             n.TimeZone,
		FrameAncestors:       n.FrameAncestors,
		ParentOrigin:         n.ParentOrigin,
		Branding:             n.Branding,
		Languages:            n.Languages,
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
	set(&p.AliasCapability, named.AliasCapability)
	set(&p.CardProfileMandatory, named.CardProfileMandatory)
	set(&p.CPlus, named.CPlus)
	set(&p.TimeZone, named.TimeZone)
	set(&p.FrameAncestors, named.FrameAncestors)
	set(&p.ParentOrigin, named.ParentOrigin)
	set(&p.Branding, named.Branding)
	set(&p.Languages, named.Languages)
}

// program is a program as the document shows it.
func program(p pin.Program) api.Program {
	branding := map[string]string{}
	maps.Copy(branding, p.Branding)
	return api.Program{
		ProgramID:            p.ID,
		Name:                 p.Name,
		MinPinLength:         int32(p.MinPINLength),
		MaxPinLength:         int32(p.MaxPINLength),
		TryLimit:             int32(p.TryLimit),
		PinPolicy:            api.Policy(p.Policy),
		RetrievalAllowed:     p.RetrievalAllowed,
		AliasCapability:      p.AliasCapability,
		CardProfileMandatory: p.CardProfileMandatory,
		CPlus:                p.CPlus,
		TimeZone:             p.TimeZone,
		FrameAncestors:       list(p.FrameAncestors),
		ParentOrigin:         p.ParentOrigin,
		Branding:             branding,
		Languages:            list(p.Languages),
		Version:              p.Version,
		CreatedAt:            p.CreatedAt,
		UpdatedAt:            p.UpdatedAt,
	}
}
