package issuer

import (
	"context"

	api "pinvault/generated/issuer"
	"pinvault/impl/capability"
	"pinvault/impl/pin"
)

// GetPinCapabilities foretells what can be done with a card's PIN.
func (a *API) GetPinCapabilities(ctx context.Context, r api.GetPinCapabilitiesRequestObject) (api.GetPinCapabilitiesResponseObject, error) {
	var accept string
	set(&accept, r.Params.AcceptLanguage)
	shown, err := a.capabilities(ctx, r.CardID, accept)
	return api.GetPinCapabilities200JSONResponse(shown), err
}

func (a *API) capabilities(ctx context.Context, cardID, accept string) (api.PinCapabilities, error) {
	found, err := a.vault.Card(ctx, pin.Query{CardID: cardID})
	if err != nil {
		return api.PinCapabilities{}, err
	}
	clients, err := a.vault.ClientsReaching(ctx, found.Card.ProgramID)
	if err != nil {
		return api.PinCapabilities{}, err
	}
	all, err := a.contracts.Capabilities(found, clients)
	if err != nil {
		return api.PinCapabilities{}, err
	}
	language, steps := a.contracts.Steps(accept)
	return api.PinCapabilities{CardID: cardID, Language: language, Capabilities: each(all, func(c capability.Capability) api.PinCapability {
		return api.PinCapability{
			Operation: api.PinCapabilityOperation(c.Operation),
			Possible:  c.Possible(),
			Through:   each(c.Through, through),
			Next:      api.NextStep{Step: api.NextStepStep(c.Step), Text: steps[string(c.Step)]},
		}
	})}, nil
}

func through(t capability.Through) api.PinCapabilityThrough {
	shown := api.PinCapabilityThrough{Contract: t.Contract, Possible: len(t.Reasons) == 0,
		Reasons: each(t.Reasons, func(r capability.Reason) api.PinCapabilityThroughReasons { return api.PinCapabilityThroughReasons(r) })}
	if !t.AgainAt.IsZero() {
		shown.AgainAt = &t.AgainAt
	}
	return shown
}
