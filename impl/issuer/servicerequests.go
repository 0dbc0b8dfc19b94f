package issuer

import (
	"context"
	"encoding/json"

	api "pinvault/generated/issuer"
)

// GetServiceRequest shows what a helpdesk did for a cardholder.
func (a *API) GetServiceRequest(ctx context.Context, r api.GetServiceRequestRequestObject) (api.GetServiceRequestResponseObject, error) {
	found, err := a.contracts.ServiceRequest(ctx, r.Number)
	if err != nil {
		return nil, err
	}
	var shown api.GetServiceRequest200JSONResponse
	err = json.Unmarshal(found, &shown)
	return shown, err
}
