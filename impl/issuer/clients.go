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
			n, err := a.newClient(*r.Body)
			if err != nil {
				return freshClient{}, err
			}
			c, secret, err := a.vault.CreateClient(ctx, n, "", m)
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
	rotated, err := once(ctx, a, call{key: r.Params.IdempotencyKey, endpoint: "rotateClient " + r.ClientID, body: r.Body}, pin.Memo{},
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

// newClient is the client that a request describes. Settings of another contract than the client's are InvalidField.
func (a *API) newClient(n api.NewClient) (c pin.Client, err error) {
	switch {
	case n.Accosa != nil && n.Contract != api.NewClientContractAccosa:
		return c, &pin.Error{Code: pin.InvalidField, Field: "accosa"}
	case n.Networkintl != nil && n.Contract != api.NewClientContractNetworkintl:
		return c, &pin.Error{Code: pin.InvalidField, Field: "networkintl"}
	}
	c = pin.Client{Contract: string(n.Contract), Name: n.Name, Scopes: n.Scopes}
	set(&c.ProgramID, n.ProgramID)
	c.Settings.EncryptionRequired = n.Contract == api.NewClientContractCreditplus
	set(&c.Settings.EncryptionRequired, n.EncryptionRequired)
	set(&c.Settings.MessageKeyIDs, n.MessageKeyIds)
	setText(&c.Settings.IVMode, n.IvMode)
	if n.Accosa != nil {
		s := &c.Settings
		s.PartnerClientID, s.BankID, s.EntityID = n.Accosa.ClientID, n.Accosa.BankID, n.Accosa.EntityID
		set(&s.FixedIV, n.Accosa.FixedIv)
		s.SecureCodeMAC, err = a.vault.CodeMAC(n.Accosa.SecureCode)
	}
	if n.Networkintl != nil {
		s := &c.Settings
		s.BankID = n.Networkintl.BankID
		set(&s.PINKeyIDs, n.Networkintl.PinKeyIds)
		set(&s.ApplicationName, n.Networkintl.ApplicationName)
		set(&s.AsymmetricAlias, n.Networkintl.AsymmetricAlias)
	}
	return c, err
}

// accosaSettings are those of an Accosa client as the document shows them.
func accosaSettings(s pin.ClientSettings) *api.AccosaSettings {
	if s.PartnerClientID == "" {
		return nil
	}
	return &api.AccosaSettings{ClientID: s.PartnerClientID, BankID: s.BankID, EntityID: s.EntityID, FixedIv: text(s.FixedIV)}
}

// networkintlSettings are those of a Network International client as the document shows them.
func networkintlSettings(c pin.Client) *api.NetworkintlSettings {
	s := c.Settings
	if c.Contract != string(api.NewClientContractNetworkintl) || s.BankID == "" {
		return nil
	}
	out := &api.NetworkintlSettings{BankID: s.BankID, ApplicationName: text(s.ApplicationName), AsymmetricAlias: &s.AsymmetricAlias}
	if s.PINKeyIDs != nil {
		out.PinKeyIds = &s.PINKeyIDs
	}
	return out
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
		Accosa:             accosaSettings(c.Settings),
		Networkintl:        networkintlSettings(c),
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
		Accosa:             c.Accosa,
		Networkintl:        c.Networkintl,
		CreatedAt:          c.CreatedAt,
	}
}
