package store

import (
	"time"

	"pinvault/impl/pin"
	"pinvault/models"
)

// utc is a time as every database gives it back: SQLite keeps text whose order is that of the times
// only in one zone, PostgreSQL keeps microseconds.
func utc(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// nullable is NULL for the zero time.
func nullable(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = utc(t)
	return &t
}

// orZero is the zero time for NULL.
func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

func programRow(p pin.Program) *models.Program {
	return &models.Program{
		ID: p.ID, Name: p.Name, MinPINLength: p.MinPINLength, MaxPINLength: p.MaxPINLength, TryLimit: p.TryLimit,
		Policy: string(p.Policy), RetrievalAllowed: p.RetrievalAllowed, AliasCapability: p.AliasCapability,
		CardProfileMandatory: p.CardProfileMandatory, CPlus: p.CPlus, TimeZone: p.TimeZone,
		FrameAncestors: p.FrameAncestors, ParentOrigin: p.ParentOrigin, Branding: p.Branding, Languages: p.Languages,
		Version: p.Version, CreatedAt: utc(p.CreatedAt), UpdatedAt: utc(p.UpdatedAt),
	}
}

func program(r models.Program) pin.Program {
	return pin.Program{
		ID: r.ID, Name: r.Name, MinPINLength: r.MinPINLength, MaxPINLength: r.MaxPINLength, TryLimit: r.TryLimit,
		Policy: pin.Policy(r.Policy), RetrievalAllowed: r.RetrievalAllowed, AliasCapability: r.AliasCapability,
		CardProfileMandatory: r.CardProfileMandatory, CPlus: r.CPlus, TimeZone: r.TimeZone,
		FrameAncestors: r.FrameAncestors, ParentOrigin: r.ParentOrigin, Branding: r.Branding, Languages: r.Languages,
		Version: r.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

func clientRow(c pin.Client) *models.Client {
	return &models.Client{
		ID: c.ID, ProgramID: c.ProgramID, Contract: c.Contract, Name: c.Name, SecretMAC: c.SecretMAC,
		OldSecretMAC: c.OldSecretMAC, OldUntil: nullable(c.OldUntil), Scopes: c.Scopes,
		Settings: models.ClientSettings(c.Settings), Version: c.Version, CreatedAt: utc(c.CreatedAt), RevokedAt: nullable(c.RevokedAt),
	}
}

func client(r models.Client) pin.Client {
	return pin.Client{
		ID: r.ID, ProgramID: r.ProgramID, Contract: r.Contract, Name: r.Name, SecretMAC: r.SecretMAC,
		OldSecretMAC: r.OldSecretMAC, OldUntil: orZero(r.OldUntil), Scopes: r.Scopes,
		Settings: pin.ClientSettings(r.Settings), Version: r.Version, CreatedAt: r.CreatedAt.UTC(), RevokedAt: orZero(r.RevokedAt),
	}
}

func zoneKeyRow(k pin.ZoneKey) *models.ZoneKey {
	return &models.ZoneKey{
		ID: k.ID, ProgramID: k.ProgramID, Usage: string(k.Usage), Algorithm: k.Algorithm, Wrapped: k.Wrapped,
		CheckValue: k.CheckValue, Version: k.Version, CreatedAt: utc(k.CreatedAt), RetiredAt: nullable(k.RetiredAt),
	}
}

func zoneKey(r models.ZoneKey) pin.ZoneKey {
	return pin.ZoneKey{
		ID: r.ID, ProgramID: r.ProgramID, Usage: pin.KeyUsage(r.Usage), Algorithm: r.Algorithm, Wrapped: r.Wrapped,
		CheckValue: r.CheckValue, Version: r.Version, CreatedAt: r.CreatedAt.UTC(), RetiredAt: orZero(r.RetiredAt),
	}
}

func cardRow(c pin.Card) *models.Card {
	return &models.Card{
		ID: c.ID, ProgramID: c.ProgramID, Status: string(c.Status), UpgradeStatus: c.UpgradeStatus, Expiry: c.Expiry,
		Sequence: c.Sequence, PANCiphertext: c.PANCiphertext,
		CustomerReference: c.CustomerReference, EmbossName: c.EmbossName, CustomerID: c.CustomerID, MobileNumber: c.MobileNumber,
		EmailAddress: c.EmailAddress, CardProfileID: c.CardProfileID, ProgramCode: c.ProgramCode, DevicePlanCode: c.DevicePlanCode,
		InstitutionCode: c.InstitutionCode, CardholderID: c.CardholderID, WalletID: c.WalletID,
		Version: c.Version, CreatedAt: utc(c.CreatedAt), UpdatedAt: utc(c.UpdatedAt),
	}
}

func card(r models.Card) pin.Card {
	return pin.Card{
		ID: r.ID, ProgramID: r.ProgramID, Status: pin.Status(r.Status), UpgradeStatus: r.UpgradeStatus, Expiry: r.Expiry,
		Sequence: r.Sequence, PANCiphertext: r.PANCiphertext,
		Attributes: pin.Attributes{
			CustomerReference: r.CustomerReference, EmbossName: r.EmbossName, CustomerID: r.CustomerID, MobileNumber: r.MobileNumber,
			EmailAddress: r.EmailAddress, CardProfileID: r.CardProfileID, ProgramCode: r.ProgramCode, DevicePlanCode: r.DevicePlanCode,
			InstitutionCode: r.InstitutionCode, CardholderID: r.CardholderID, WalletID: r.WalletID,
		},
		Version: r.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

func pinRow(cardID string, p pin.PINRecord) *models.PIN {
	return &models.PIN{
		CardID: cardID, State: string(p.State), Verifier: p.Verifier, Ciphertext: p.Ciphertext, Version: p.Version,
		TriesLeft: p.TriesLeft, Takes: p.Takes, ChangedAt: utc(p.ChangedAt),
	}
}

func pinRecord(r models.PIN) pin.PINRecord {
	return pin.PINRecord{
		State: pin.PINState(r.State), Verifier: r.Verifier, Ciphertext: r.Ciphertext, Version: r.Version,
		TriesLeft: r.TriesLeft, Takes: r.Takes, ChangedAt: r.ChangedAt.UTC(),
	}
}

func auditRow(e pin.AuditEvent) *models.AuditEvent {
	return &models.AuditEvent{
		ID: e.ID, Chain: e.Chain, Seq: e.Seq, Type: string(e.Type), ProgramID: e.ProgramID, CardID: e.CardID,
		Subject: e.Subject, Outcome: e.Outcome, At: utc(e.At), Contract: e.Contract, ClientID: e.ClientID,
		RemoteAddr: e.RemoteAddr, TraceID: e.TraceID, Description: e.Description, UpdatedBy: e.UpdatedBy, MAC: e.MAC,
	}
}

func auditEvent(r models.AuditEvent) pin.AuditEvent {
	return pin.AuditEvent{
		ID: r.ID, Chain: r.Chain, Seq: r.Seq, Type: pin.EventType(r.Type), ProgramID: r.ProgramID, CardID: r.CardID,
		Subject: r.Subject, Outcome: r.Outcome, At: r.At.UTC(), Contract: r.Contract, ClientID: r.ClientID,
		RemoteAddr: r.RemoteAddr, TraceID: r.TraceID, Description: r.Description, UpdatedBy: r.UpdatedBy, MAC: r.MAC,
	}
}

func replayRow(r pin.Replay) *models.Replay {
	return &models.Replay{
		Scope: r.Scope, Key: r.Key, Endpoint: r.Endpoint, Fingerprint: r.Fingerprint, Done: r.Done, Result: r.Result,
		CreatedAt: utc(r.CreatedAt), ExpiresAt: utc(r.ExpiresAt),
	}
}

func replay(r models.Replay) pin.Replay {
	return pin.Replay{
		Scope: r.Scope, Key: r.Key, Endpoint: r.Endpoint, Fingerprint: r.Fingerprint, Done: r.Done, Result: r.Result,
		CreatedAt: r.CreatedAt.UTC(), ExpiresAt: r.ExpiresAt.UTC(),
	}
}
