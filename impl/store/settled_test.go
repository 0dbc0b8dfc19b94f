package store

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
)

// Who finds a replay record writes, and so waits for the standbys as any commit does: where nothing can be written, nothing is
// acknowledged again.
func TestAReplayIsReadOnlyWhereItCanBeAcknowledged(t *testing.T) {
	t.Parallel()
	s := open(t, storetest.Postgres(t))
	kept := pin.Row{Table: pin.TableReplays, ID: "kept", Version: 1, ExpiresAt: 1, Body: []byte("{}"), Seal: []byte{1}}
	require.NoError(t, s.Swap(context.Background(), pin.Change{Rows: []pin.Row{kept}}))
	found, err := s.Row(context.Background(), pin.TableReplays, "", "kept")
	require.NoError(t, err)
	require.Equal(t, kept.Seal, found.Seal)
	_, err = s.Row(context.Background(), pin.TableReplays, "", "another")
	require.Equal(t, pin.NotFound, pin.CodeOf(err))

	for id, writes := range map[string]bool{"kept": true, "another": false} {
		tx := s.db.Begin()
		require.NoError(t, tx.Exec("SELECT id"+s.settled(pin.TableReplays)+" FROM replays WHERE id = ?", id).Error)
		var wrote bool
		require.NoError(t, tx.Raw("SELECT pg_current_xact_id_if_assigned() IS NOT NULL").Row().Scan(&wrote))
		require.Equal(t, writes, wrote, id)
		require.NoError(t, tx.Rollback().Error)
	}
}
