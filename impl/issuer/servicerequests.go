package issuer

import (
	"context"

	api "pinvault/generated/issuer"
)

// GetServiceRequest shows what a helpdesk did for a cardholder.
func (a *API) GetServiceRequest(ctx context.Context, r api.GetServiceRequestRequestObject) (api.GetServiceRequestResponseObject, error) {
	found, err := a.vault.ServiceRequest(ctx, r.Number)
	if err != nil {
		return nil, err
	}
	return api.GetServiceRequest200JSONResponse{
		Number:      found.Number,
		ProgramID:   found.ProgramID,
		CardID:      found.CardID,
		ClientID:    found.ClientID,
		Contract:    found.Contract,
		Version:     found.Version,
		ServiceCode: found.ServiceCode,
		Notes:       text(found.Notes),
		Source:      text(found.Source),
		LoggedAt:    found.LoggedAt,
	}, nil
}
