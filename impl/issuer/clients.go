package issuer

import (
	"context"
	"time"

	api "pinvault/generated/issuer"
	"pinvault/impl/pin"
)

// noStore is the Cache-Control of replies with a secret.
const noStore = "no-store"

// freshClient is a client with the secret that only the first answer shows: an idempotency record does
// not keep it.
type freshClient struct {
	pin.Client
	Secret string `json:"-"`
}

// CreateClient makes a partner's credentials and shows the secret, this once.
func (a *API) CreateClient(ctx context.Context, r api.CreateClientRequestObject) (api.CreateClientResponseObject, error) {
	made, err := once(ctx, a, call{key: r.Params.IdempotencyKey, endpoint: "createClient", body: r.Body}, pin.Memo{},
		func(m pin.Memo) (freshClient, error) {
			n, err := a.newClient(ctx, *r.Body)
			if err != nil {
				return freshClient{}, err
			}
			c, secret, err := a.vault.CreateClient(ctx, n, "", m)
			return freshClient{c, secret}, err
		})
	if err != nil {
		return nil, err
	}
	shown, err := a.clientWithSecret(made)
	return api.CreateClient201JSONResponse{Body: shown, Headers: api.CreateClient201ResponseHeaders{CacheControl: noStore}}, err
}

// RotateClient gives a client a new secret and shows it, this once.
func (a *API) RotateClient(ctx context.Context, r api.RotateClientRequestObject) (api.RotateClientResponseObject, error) {
	var seconds int
	setNumber(&seconds, r.Body.OverlapSeconds)
	rotated, err := once(ctx, a, call{key: r.Params.IdempotencyKey, endpoint: "rotateClient " + r.ClientID, body: r.Body}, pin.Memo{},
		func(m pin.Memo) (freshClient, error) {
			c, secret, err := a.vault.RotateClient(ctx, r.ClientID, time.Duration(seconds)*time.Second, m)
			return freshClient{c, secret}, err
		})
	if err != nil {
		return nil, err
	}
	shown, err := a.clientWithSecret(rotated)
	return api.RotateClient200JSONResponse{Body: shown, Headers: api.RotateClient200ResponseHeaders{CacheControl: noStore}}, err
}

// ListClients pages through the active clients in the caller's reach.
func (a *API) ListClients(ctx context.Context, r api.ListClientsRequestObject) (api.ListClientsResponseObject, error) {
	p := page(r.Params.Limit, r.Params.Cursor)
	found, err := a.vault.Clients(ctx, p)
	if err != nil {
		return nil, err
	}
	found, next := cut(p, found, func(c pin.Client) string { return c.ID })
	shown, err := eachOr(found, a.client)
	return api.ListClients200JSONResponse{Items: shown, NextCursor: next}, err
}

// GetClient shows an active client.
func (a *API) GetClient(ctx context.Context, r api.GetClientRequestObject) (api.GetClientResponseObject, error) {
	found, err := a.vault.Client(ctx, r.ClientID)
	if err != nil {
		return nil, err
	}
	shown, err := a.client(found)
	return api.GetClient200JSONResponse(shown), err
}

// RevokeClient ends a client.
func (a *API) RevokeClient(ctx context.Context, r api.RevokeClientRequestObject) (api.RevokeClientResponseObject, error) {
	if err := a.vault.RevokeClient(ctx, r.ClientID, pin.Memo{}); err != nil {
		return nil, err
	}
	return api.RevokeClient204Response{}, nil
}

// SetClientLimits gives a client other limits.
func (a *API) SetClientLimits(ctx context.Context, r api.SetClientLimitsRequestObject) (api.SetClientLimitsResponseObject, error) {
	limited, err := a.vault.LimitClient(ctx, r.ClientID, limits(*r.Body), pin.Memo{})
	if err != nil {
		return nil, err
	}
	shown, err := a.client(limited)
	return api.SetClientLimits200JSONResponse(shown), err
}

// ReleaseClient has a client's PIN verifications served again.
func (a *API) ReleaseClient(ctx context.Context, r api.ReleaseClientRequestObject) (api.ReleaseClientResponseObject, error) {
	released, err := once(ctx, a, call{key: r.Params.IdempotencyKey, endpoint: "releaseClient " + r.ClientID, body: r.Body}, pin.Memo{Description: r.Body.Reason},
		func(m pin.Memo) (pin.Client, error) { return a.vault.ReleaseClient(ctx, r.ClientID, m) })
	if err != nil {
		return nil, err
	}
	shown, err := a.client(released)
	return api.ReleaseClient200JSONResponse{Body: shown}, err
}

// limits are those that a request names.
func limits(named api.ClientLimits) pin.Limits {
	all := pin.Limits{}
	for name, n := range named {
		if n != nil {
			all[pin.Limit(name)] = *n
		}
	}
	return all
}

// limitsOf are a client's limits as the document shows them, nil for none.
func limitsOf(c pin.Client) *api.ClientLimits {
	if len(c.Limits) == 0 {
		return nil
	}
	all := api.ClientLimits{}
	for name, n := range c.Limits {
		all[string(name)] = &n
	}
	return &all
}

// haltOf is why a client is halted, nil where it is not.
func haltOf(c pin.Client) *api.ClientHalt {
	if c.Halted == nil {
		return nil
	}
	h := api.ClientHalt{At: c.Halted.At, Bin: c.Halted.BIN, Cards: c.Halted.Cards, Mismatches: c.Halted.Mismatches, Verifications: c.Halted.Verifications}
	return &h
}

// newClient is the client that a request describes: InvalidField for settings of another contract than the
// client's, and what could never work is refused.
func (a *API) newClient(ctx context.Context, n api.ClientRequest) (pin.Client, error) {
	c := pin.Client{Contract: string(n.Contract), Name: n.Name, Scopes: n.Scopes}
	set(&c.ProgramID, n.ProgramID)
	if n.Limits != nil {
		c.Limits = limits(*n.Limits)
	}
	if err := a.setClient(&c, n); err != nil {
		return pin.Client{}, err
	}
	return c, a.suits(ctx, c)
}

// client is a client as the document shows it: without secret, and without what is kept of it.
func (a *API) client(c pin.Client) (api.PartnerClient, error) {
	settings, err := a.contracts.ofClient(c)
	if err != nil {
		return api.PartnerClient{}, err
	}
	return with(api.PartnerClient{
		ClientID:  c.ID,
		Contract:  c.Contract,
		ProgramID: text(c.ProgramID),
		Name:      c.Name,
		Scopes:    list(c.Scopes),
		Limits:    limitsOf(c),
		Halted:    haltOf(c),
		CreatedAt: c.CreatedAt,
	}, settings)
}

// clientWithSecret is client with the secret, where there is one.
func (a *API) clientWithSecret(f freshClient) (api.ClientWithSecret, error) {
	settings, err := a.contracts.ofClient(f.Client)
	if err != nil {
		return api.ClientWithSecret{}, err
	}
	return with(api.ClientWithSecret{
		ClientID:     f.ID,
		ClientSecret: text(f.Secret),
		Contract:     f.Contract,
		ProgramID:    text(f.ProgramID),
		Name:         f.Name,
		Scopes:       list(f.Scopes),
		Limits:       limitsOf(f.Client),
		Halted:       haltOf(f.Client),
		CreatedAt:    f.CreatedAt,
	}, settings)
}
