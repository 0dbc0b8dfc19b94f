package pin

import "context"

// The event types of keys of the vault's own.
const (
	EventVaultKeyGenerated  EventType = "vault_key.generated"
	EventVaultKeyRotated    EventType = "vault_key.rotated"
	EventVaultKeyActivated  EventType = "vault_key.activated"
	EventVaultKeyRetired    EventType = "vault_key.retired"
	EventVaultKeyRestored   EventType = "vault_key.restored"
	EventVaultKeyDestroyed  EventType = "vault_key.destroyed"
	EventVaultKeysRewrapped EventType = "vault_key.rewrapped"
)

// KeyStep is a step in the life of a key of the vault's own, as the trail tells of it.
type KeyStep struct {
	Type          EventType
	Name          string // the use and the version, pan/2; "" where it is about the whole keyset
	Version       int64
	Before, After any // the key, of which nothing is secret; what differs is told
}

// TellOfKeys enters steps that are about to be taken into the server's chain, all of them or none: Forbidden for callers
// who are bound to a program. result is what a repetition of the request is answered.
func (v *Vault) TellOfKeys(ctx context.Context, steps []KeyStep, result any, m Memo) error {
	if !CallerFrom(ctx).Everywhere {
		return &Error{Code: Forbidden}
	}
	events := make([]AuditEvent, len(steps))
	for i, s := range steps {
		events[i] = AuditEvent{Type: s.Type, Subject: s.Name, Version: s.Version, Changes: changes(s.Before, s.After)}
	}
	if len(events) == 0 {
		return nil
	}
	return v.enter(ctx, entry{event: events[0], more: events[1:], result: result}, m)
}

// TrailStands tells whether the server's chain can be read and holds, so that steps can be told of: Forbidden for callers
// who are bound to a program, Unavailable, Internal.
func (v *Vault) TrailStands(ctx context.Context) error {
	if !CallerFrom(ctx).Everywhere {
		return &Error{Code: Forbidden}
	}
	_, err := v.head(ctx, serverChain)
	return err
}
