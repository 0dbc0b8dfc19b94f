package storetest

import (
	"context"
	"time"

	"pinvault/impl/pin"
)

// Store is what is tested: pin.Store, and what else a server needs of its database.
type Store interface {
	pin.Store

	Setting(ctx context.Context, key string) (string, error)
	PutSetting(ctx context.Context, key, value string) error
	Empty(ctx context.Context) (bool, error)
	Wipe(ctx context.Context) error
	PurgeReplays(ctx context.Context, before time.Time) (int64, error)
	PurgeSessions(ctx context.Context, before time.Time) (int64, error)
	Close() error
}
