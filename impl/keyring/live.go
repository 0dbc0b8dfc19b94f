package keyring

import (
	"sync/atomic"
	"time"

	"pinvault/impl/pin"
)

// Live is the keyset that a vault works with, which another may take the place of while it does: an [Engine] that needs
// no lock. A key becomes active by its clock. It prints as ****.
type Live struct {
	hidden
	now     func() time.Time
	current atomic.Pointer[Keyset]
}

// NewLive goes by a clock, which defaults to time.Now.
func NewLive(ks *Keyset, now func() time.Time) *Live {
	if now == nil {
		now = time.Now
	}
	l := &Live{now: now}
	l.current.Store(ks.by(now))
	return l
}

// Keyset is the one that the vault works with.
func (l *Live) Keyset() *Keyset { return l.current.Load() }

// Keys are all keys as they stand by its clock.
func (l *Live) Keys() []Standing { return l.Keyset().Keys(l.now()) }

// Replace takes what has become of the keyset, and refuses any other: [ErrForeign]. Whoever is at work with the one
// before ends with it.
func (l *Live) Replace(ks *Keyset) error {
	fresh := ks.by(l.now)
	for {
		old := l.Keyset()
		if err := ks.Follows(old); err != nil {
			return err
		}
		if l.current.CompareAndSwap(old, fresh) {
			return nil
		}
	}
}

// Primitive is [Keyset.Primitive] of the current keyset.
func (l *Live) Primitive(use pin.Use) any { return l.Keyset().Primitive(use) }

// KeyIDs are [Keyset.KeyIDs] of the current keyset.
func (l *Live) KeyIDs(use pin.Use) []string { return l.Keyset().KeyIDs(use) }

// SigningKeys are [Keyset.SigningKeys] of the current keyset.
func (l *Live) SigningKeys() []SigningKey { return l.Keyset().SigningKeys() }

// CheckpointKeys are [Keyset.CheckpointKeys] of the current keyset.
func (l *Live) CheckpointKeys() []SigningKey { return l.Keyset().CheckpointKeys() }

// LogKeys are [Keyset.LogKeys] of the current keyset.
func (l *Live) LogKeys() []SigningKey { return l.Keyset().LogKeys() }

// WrapKey is [Keyset.WrapKey] of the current keyset.
func (l *Live) WrapKey(algorithm string, key, associated []byte) ([]byte, error) {
	return l.Keyset().WrapKey(algorithm, key, associated)
}

// UnwrapBlock is [Keyset.UnwrapBlock] of the current keyset.
func (l *Live) UnwrapBlock(algorithm string, wrapped, associated []byte) (BlockKey, error) {
	return l.Keyset().UnwrapBlock(algorithm, wrapped, associated)
}

// UnwrapRSA is [Keyset.UnwrapRSA] of the current keyset.
func (l *Live) UnwrapRSA(wrapped, associated []byte) (RSAKey, error) {
	return l.Keyset().UnwrapRSA(wrapped, associated)
}
