package pin

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"time"

	"github.com/google/uuid"
)

// CreateClient adds a partner's credentials and returns the secret, which is kept as a MAC only and
// cannot be shown again: NotFound for the program, Forbidden, Duplicate. Nobody gives a client of its
// own contract more than it may do itself. A secret that is given ("": one is drawn) is used as it is.
func (v *Vault) CreateClient(ctx context.Context, c Client, secret string, m Memo) (Client, string, error) {
	who := CallerFrom(ctx)
	if !who.Reaches(c.ProgramID) || c.Contract == who.Contract && !who.May(c.Scopes...) {
		return Client{}, "", &Error{Code: Forbidden}
	}
	if c.ProgramID != "" {
		if _, err := v.Program(ctx, c.ProgramID); err != nil {
			return Client{}, "", err
		}
	}
	if c.ID == "" {
		id, err := uuid.NewV7FromReader(v.rand)
		if err != nil {
			return Client{}, "", &Error{Code: Internal, Err: err}
		}
		c.ID = id.String()
	}
	secret, err := v.secretFor(&c, secret)
	if err != nil {
		return Client{}, "", err
	}
	c.Version, c.CreatedAt = 1, v.clock()
	return c, secret, v.store.InTx(ctx, func(tx Tx) error {
		if err := m.reserve(tx); err != nil {
			return err
		}
		if err := tx.InsertClient(c); err != nil {
			return err
		}
		if err := v.audit(ctx, tx, clientEvent(EventClientCreated, c), m); err != nil {
			return err
		}
		return m.complete(tx, c)
	})
}

// RotateClient gives a client a new secret. The old one serves on for overlap, so that the partner
// can roll over without an outage: NotFound, Conflict.
func (v *Vault) RotateClient(ctx context.Context, id string, overlap time.Duration, m Memo) (Client, string, error) {
	c, err := v.Client(ctx, id)
	if err != nil {
		return Client{}, "", err
	}
	c.OldSecretMAC, c.OldUntil = c.SecretMAC, v.clock().Add(overlap)
	secret, err := v.secretFor(&c, "")
	if err != nil {
		return Client{}, "", err
	}
	return c, secret, v.updateClient(ctx, &c, EventClientRotated, m)
}

// RevokeClient ends a client for good. Tokens that it holds end with it: NotFound, Conflict.
func (v *Vault) RevokeClient(ctx context.Context, id string, m Memo) error {
	c, err := v.Client(ctx, id)
	if err != nil {
		return err
	}
	c.RevokedAt = v.clock()
	return v.updateClient(ctx, &c, EventClientRevoked, m)
}

func (v *Vault) updateClient(ctx context.Context, c *Client, event EventType, m Memo) error {
	c.Version++
	return v.store.InTx(ctx, func(tx Tx) error {
		if err := m.reserve(tx); err != nil {
			return err
		}
		if err := tx.UpdateClient(*c); err != nil {
			return err
		}
		if err := v.audit(ctx, tx, clientEvent(event, *c), m); err != nil {
			return err
		}
		return m.complete(tx, *c)
	})
}

// platformChain is the audit chain of what concerns no program.
const platformChain = "server"

func clientEvent(t EventType, c Client) AuditEvent {
	e := AuditEvent{Type: t, ProgramID: c.ProgramID, Subject: c.ID}
	if c.ProgramID == "" {
		e.Chain = platformChain
	}
	return e
}

// Client finds an active client in the caller's reach: NotFound.
func (v *Vault) Client(ctx context.Context, id string) (Client, error) {
	c, err := v.store.Client(ctx, id)
	if err == nil && (!c.Active() || !CallerFrom(ctx).Reaches(c.ProgramID)) {
		err = &Error{Code: NotFound}
	}
	return c, err
}

// Clients lists the active clients in the caller's reach.
func (v *Vault) Clients(ctx context.Context, page Page) ([]Client, error) {
	return v.store.Clients(ctx, CallerFrom(ctx).ProgramID, page)
}

// Authenticate finds the client whose secret this is: Unauthorized, Unavailable. An unknown client
// and a wrong secret take the same steps.
func (v *Vault) Authenticate(ctx context.Context, id, secret string) (Client, error) {
	c, err := v.store.Client(ctx, id)
	if err != nil && !errors.Is(err, &Error{Code: NotFound}) {
		return Client{}, err
	}
	input := frame(id, secret)
	current := v.keys.VerifyMAC(UseSecret, input, c.SecretMAC)
	old := v.keys.VerifyMAC(UseSecret, input, c.OldSecretMAC) && v.clock().Before(c.OldUntil)
	if err != nil || !c.Active() || !(current || old) {
		return Client{}, &Error{Code: Unauthorized}
	}
	return c, nil
}

// secretFor draws a secret of 256 bits, unless one is given, and keeps its MAC in c.
func (v *Vault) secretFor(c *Client, secret string) (string, error) {
	if secret == "" {
		var b [32]byte
		if _, err := io.ReadFull(v.rand, b[:]); err != nil {
			return "", &Error{Code: Internal, Err: err}
		}
		secret = base64.RawURLEncoding.EncodeToString(b[:])
	}
	var err error
	c.SecretMAC, err = v.keys.MAC(UseSecret, frame(c.ID, secret))
	return secret, err
}
