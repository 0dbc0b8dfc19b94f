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
	made, err := once(ctx, a, call{r.Params.IdempotencyKey, "createClient", r.Body}, pin.Memo{},
		func(m pin.Memo) (freshClient, error) {
			c, secret, err := a.vault.CreateClient(ctx, newClient(*r.Body), "", m)
			return freshClient{c, secret}, err
		})
	if err != nil {
		return nil, err
	}
	return api.CreateClient201JSONResponse{
		Body:    clientWithSecret(made),
		Headers: api.CreateClient201ResponseHeaders{CacheControl: noStore},
	}, nil
}

// RotateClient gives a client a new secret and shows it, this once.
func (a *API) RotateClient(ctx context.Context, r api.RotateClientRequestObject) (api.RotateClientResponseObject, error) {
	var seconds int
	setNumber(&seconds, r.Body.OverlapSeconds)
	rotated, err := once(ctx, a, call{r.Params.IdempotencyKey, "rotateClient " + r.ClientID, r.Body}, pin.Memo{},
		func(m pin.Memo) (freshClient, error) {
			c, secret, err := a.vault.RotateClient(ctx, r.ClientID, time.Duration(seconds)*time.Second, m)
			return freshClient{c, secret}, err
		})
	if err != nil {
		return nil, err
	}
	return api.RotateClient200JSONResponse{
		Body:    clientWithSecret(rotated),
		Headers: api.RotateClient200ResponseHeaders{CacheControl: noStore},
	}, nil
}

// ListClients pages through the active clients in the caller's reach.
func (a *API) ListClients(ctx context.Context, r api.ListClientsRequestObject) (api.ListClientsResponseObject, error) {
	p := page(r.Params.Limit, r.Params.Cursor)
	found, err := a.vault.Clients(ctx, p)
	if err != nil {
		return nil, err
	}
	found, next := cut(p, found, func(c pin.Client) string { return c.ID })
	return api.ListClients200JSONResponse{Items: each(found, client), NextCursor: next}, nil
}

// GetClient shows an active client.
func (a *API) GetClient(ctx context.Context, r api.GetClientRequestObject) (api.GetClientResponseObject, error) {
	found, err := a.vault.Client(ctx, r.ClientID)
	if err != nil {
		return nil, err
	}
	return api.GetClient200JSONResponse(client(found)), nil
}

// RevokeClient ends a client.
func (a *API) RevokeClient(ctx context.Context, r api.RevokeClientRequestObject) (api.RevokeClientResponseObject, error) {
	if err := a.vault.RevokeClient(ctx, r.ClientID, pin.Memo{}); err != nil {
		return nil, err
	}
	return api.RevokeClient204Response{}, nil
}

// newClient is the client that a request describes.
func newClient(n api.NewClient) pin.Client {
	c := pin.Client{Contract: string(n.Contract), Name: n.Name, Scopes: n.Scopes}
	set(&c.ProgramID, n.ProgramID)
	set(&c.Settings.EncryptionRequired, n.EncryptionRequired)
	set(&c.Settings.MessageKeyIDs, n.MessageKeyIds)
	setText(&c.Settings.IVMode, n.IvMode)
	return c
}

// client is a client as the document shows it: without secret, and without what is kept of it.
func client(c pin.Client) api.Client {
	return api.Client{
		ClientID:           c.ID,
		Contract:           c.Contract,
		ProgramID:          text(c.ProgramID),
		Name:               c.Name,
		Scopes:             list(c.Scopes),
		EncryptionRequired: c.Settings.EncryptionRequired,
		MessageKeyIds:      list(c.Settings.MessageKeyIDs),
		IvMode:             text(c.Settings.IVMode),
		CreatedAt:          c.CreatedAt,
	}
}

// clientWithSecret is client with the secret, where there is one.
func clientWithSecret(f freshClient) api.ClientWithSecret {
	c := client(f.Client)
	return api.ClientWithSecret{
		ClientID:           c.ClientID,
		ClientSecret:       text(f.Secret),
		Contract:           c.Contract,
		ProgramID:          c.ProgramID,
		Name:               c.Name,
		Scopes:             c.Scopes,
		EncryptionRequired: c.EncryptionRequired,
		MessageKeyIds:      c.MessageKeyIds,
		IvMode:             c.IvMode,
		CreatedAt:          c.CreatedAt,
	}
}
