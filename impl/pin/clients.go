package pin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
)

// CreateClient adds a partner's credentials and returns the secret, of which a digest is kept, so that it
// cannot be shown again: NotFound for the program, Duplicate, InvalidField for a scope that the contract
// does not have, and Forbidden where the caller may not grant all that the client is to have. A secret that
// is given ("": one is drawn) is used as it is.
func (v *Vault) CreateClient(ctx context.Context, c Client, secret string, m Memo) (Client, string, error) {
	if err := v.disposes(ctx, c); err != nil {
		return Client{}, "", err
	}
	if c.ProgramID != "" {
		if _, err := v.Program(ctx, c.ProgramID); err != nil {
			return Client{}, "", err
		}
	}
	if err := v.identified(&c); err != nil {
		return Client{}, "", err
	}
	secret, err := v.secretFor(&c, secret)
	if err != nil {
		return Client{}, "", err
	}
	c.Version, c.SecretVersion, c.CreatedAt = 1, 1, v.clock()
	return c, secret, v.writeClient(ctx, EventClientCreated, Client{}, c, m)
}

// identified draws a new client's id, unless it has one.
func (v *Vault) identified(c *Client) error {
	if c.ID != "" {
		return nil
	}
	id, err := uuid.NewV7FromReader(v.rand)
	if err != nil {
		return &Error{Code: Internal, Err: err}
	}
	c.ID = id.String()
	return nil
}

// UpdateClient changes a client's name, scopes and settings: NotFound, Forbidden, Conflict, and what patch
// returns.
func (v *Vault) UpdateClient(ctx context.Context, id string, patch func(*Client) error, m Memo) error {
	before, err := v.standing(ctx, id)
	if err != nil {
		return err
	}
	c := before
	if err := patch(&c); err != nil {
		return err
	}
	c.ID, c.ProgramID, c.Contract, c.CreatedAt, c.Version = before.ID, before.ProgramID, before.Contract, before.CreatedAt, before.Version+1
	if err := v.disposes(ctx, c); err != nil {
		return err
	}
	return v.writeClient(ctx, EventClientUpdated, before, c, m)
}

// RotateClient gives a client a new secret. The old one and its tokens are good for overlap, so that the
// partner can roll over without an outage: NotFound, Conflict, Forbidden.
func (v *Vault) RotateClient(ctx context.Context, id string, overlap time.Duration, m Memo) (Client, string, error) {
	c, err := v.standing(ctx, id)
	if err != nil {
		return Client{}, "", err
	}
	before := c
	c.OldSecretDigest, c.OldSecretVersion, c.OldUntil = c.SecretDigest, c.SecretVersion, v.clock().Add(overlap)
	secret, err := v.secretFor(&c, "")
	if err != nil {
		return Client{}, "", err
	}
	c.Version++
	c.SecretVersion = c.Version
	return c, secret, v.writeClient(ctx, EventClientRotated, before, c, m)
}

// RevokeClient ends a client for good. Tokens that it holds end with it: NotFound, Conflict, Forbidden.
func (v *Vault) RevokeClient(ctx context.Context, id string, m Memo) error {
	c, err := v.standing(ctx, id)
	if err != nil {
		return err
	}
	before := c
	c.RevokedAt = v.clock()
	c.Version++
	return v.writeClient(ctx, EventClientRevoked, before, c, m)
}

func (v *Vault) writeClient(ctx context.Context, t EventType, before, c Client, m Memo) error {
	changed := changes(audited(before, map[string]json.RawMessage{c.Contract: before.Settings}), audited(c, map[string]json.RawMessage{c.Contract: c.Settings}),
		"contract", "name", "programId", "scopes", "limits", "oldUntil", "revokedAt")
	return v.writeClientAs(ctx, t, c, changed, m)
}

// writeClientAs writes a client with what its event tells.
func (v *Vault) writeClientAs(ctx context.Context, t EventType, c Client, told []FieldChange, m Memo) error {
	if _, err := v.renew(c.outputs()); err != nil {
		return err
	}
	row, err := Sealed(v.keys, Row{Table: TableClients, ID: c.ID, ProgramID: c.ProgramID, Version: c.Version}, c)
	if err != nil {
		return err
	}
	e := AuditEvent{Type: t, ProgramID: c.ProgramID, Subject: c.ID, Version: c.Version, Changes: told}
	err = v.enter(ctx, entry{event: e, row: &row, result: c}, m)
	v.seen.drop(TableClients, c.ID)
	v.changed()
	return err
}

// OnClientChanged has changed called whenever this process has changed a client.
func (v *Vault) OnClientChanged(changed func()) { v.changed = changed }

// client reads a client as it stands, revoked or not: NotFound.
func (v *Vault) client(ctx context.Context, id string) (Client, error) {
	row, err := v.store.Row(ctx, TableClients, "", id)
	if err != nil {
		return Client{}, err
	}
	return v.openClient(ctx, row)
}

func (v *Vault) openClient(ctx context.Context, row Row) (Client, error) {
	var c Client
	if err := v.unseal(ctx, row, &c); err != nil {
		return Client{}, err
	}
	if c.ID != row.ID || c.ProgramID != row.ProgramID || c.Version != row.Version {
		return Client{}, v.broken(ctx, string(TableClients), row.ID)
	}
	return c, nil
}

// Client finds an active client in the caller's reach: NotFound. A change by another process shows within
// a second.
func (v *Vault) Client(ctx context.Context, id string) (Client, error) {
	return reached(ctx)(v.recentClient(ctx, id))
}

// reached is NotFound for a client that was revoked or is out of the caller's reach.
func reached(ctx context.Context) func(Client, error) (Client, error) {
	return func(c Client, err error) (Client, error) {
		if err == nil && (!c.Active() || !CallerFrom(ctx).Reaches(c.ProgramID)) {
			err = &Error{Code: NotFound}
		}
		if err != nil {
			return Client{}, err
		}
		return c, nil
	}
}

// standing is Client for who is about to change it: as it stands, Forbidden for who may not grant all that
// it has.
func (v *Vault) standing(ctx context.Context, id string) (Client, error) {
	c, err := reached(ctx)(v.client(ctx, id))
	if err == nil {
		err = v.disposes(ctx, c)
	}
	return c, err
}

// Grants says, for a scope of a contract, which scope a caller must hold to dispose of clients that have
// it; ok is false where the contract has no such scope.
type Grants func(contract, scope string) (needed string, ok bool)

// GrantBy sets who may grant what. Until then nobody may grant anything.
func (v *Vault) GrantBy(g Grants) { v.grants = g }

// disposes is what everybody is asked who makes, changes, rotates or revokes a client: to reach it, and to
// hold what granting each of its scopes takes. Forbidden, and InvalidField for scopes that there are not.
func (v *Vault) disposes(ctx context.Context, c Client) error {
	who := CallerFrom(ctx)
	if !who.Reaches(c.ProgramID) {
		return &Error{Code: Forbidden}
	}
	for _, scope := range c.Scopes {
		needed, ok := v.grants(c.Contract, scope)
		if !ok {
			return &Error{Code: InvalidField, Field: "scopes"}
		}
		if !who.Operator && !who.May(needed) {
			return &Error{Code: Forbidden}
		}
	}
	return nil
}

// Clients lists the active clients in the caller's reach.
func (v *Vault) Clients(ctx context.Context, page Page) ([]Client, error) {
	own, some := CallerFrom(ctx).within()
	var out []Client
	for some && len(out) < page.Limit {
		rows, err := v.store.List(ctx, TableClients, own, page)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			c, err := v.openClient(ctx, row)
			if err != nil {
				return nil, err
			}
			if page.After = c.ID; c.Active() && len(out) < page.Limit {
				out = append(out, c)
			}
		}
		if len(rows) < page.Limit {
			break
		}
	}
	return out, nil
}

// ClientsReaching are the active clients that act for a program, those of the whole server among them, whoever asks: what they are must
// not be told.
func (v *Vault) ClientsReaching(ctx context.Context, programID string) ([]Client, error) {
	const batch = 500
	var out []Client
	for page := (Page{Limit: batch}); ; {
		rows, err := v.store.List(ctx, TableClients, "", page)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			page.After = row.ID
			if row.ProgramID != "" && row.ProgramID != programID {
				continue
			}
			c, err := v.openClient(ctx, row)
			if err != nil {
				return nil, err
			}
			if c.Active() {
				out = append(out, c)
			}
		}
		if len(rows) < batch {
			return out, nil
		}
	}
}

// SplitAPIKey is the client's id and its secret of an API key, which has them in this order with a full
// stop between. Ids may have full stops, secrets have none.
func SplitAPIKey(key string) (id, secret string) {
	at := max(0, strings.LastIndexByte(key, '.'))
	return key[:at], strings.TrimPrefix(key[at:], ".")
}

// Authenticate finds the client whose secret this is, as of the version that had it: Unauthorized, TooMany,
// Unavailable. An unknown client and a wrong secret take the same steps. A client that another process has
// changed counts as it was for a second at most.
func (v *Vault) Authenticate(ctx context.Context, id, secret string) (Client, error) {
	c, err := v.recentClient(ctx, id)
	if err != nil && !errors.Is(err, &Error{Code: NotFound}) {
		return Client{}, err
	}
	current, failed := v.secretMatches(c.SecretDigest, secret, "client", id)
	old, failedToo := v.secretMatches(c.OldSecretDigest, secret, "client", id)
	counts := v.clock().Before(c.OldUntil)
	old = old && counts
	// What cannot be compared, since its key is lost, matters only where the other one is wrong.
	lost, lostToo := v.lost(UseSecret, c.SecretDigest, failed), v.lost(UseSecret, c.OldSecretDigest, failedToo)
	switch {
	case failed != nil && !(lost && old):
		return Client{}, failed
	case failedToo != nil && !(lostToo && (current || !counts)):
		return Client{}, failedToo
	}
	if old { // so that a token of it ends with it
		c.Version = c.OldSecretVersion
	}
	if err != nil || !c.Active() || !(current || old) {
		v.refused(ctx, EventLoginRefused, id, c.ID, Unauthorized)
		return Client{}, v.loginFailed(ctx, id, c)
	}
	return c, nil
}

func (v *Vault) recentClient(ctx context.Context, id string) (Client, error) {
	if c, ok := v.seen.get(TableClients, id); ok {
		return c.(Client), nil
	}
	c, err := v.client(ctx, id)
	if err == nil {
		v.seen.put(TableClients, id, c)
	}
	return c, err
}

// secretFor draws a secret of 256 bits, unless one is given, and keeps in c what it is compared with.
func (v *Vault) secretFor(c *Client, secret string) (string, error) {
	if secret == "" {
		var b [32]byte
		if _, err := io.ReadFull(v.rand, b[:]); err != nil {
			return "", &Error{Code: Internal, Err: err}
		}
		secret = base64.RawURLEncoding.EncodeToString(b[:])
	}
	var err error
	c.SecretDigest, err = KeepSecret(v.keys, secret, "client", c.ID)
	return secret, err
}
