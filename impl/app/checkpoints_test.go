package app

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"pinvault/impl/config"
	"pinvault/impl/keyring"
)

// Logs are JSON lines: what the library that writes the audit log has to say on its own, of a full disk for one, is one too.
func TestWhatTheAuditLogsLibrarySaysIsALineOfTheLog(t *testing.T) { //nolint:paralleltest // the logger of libraries is the process's
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	var out bytes.Buffer
	c := config.Serve{AuditLog: t.TempDir(), AuditLogOrigin: "pin.example.com/audit", AuditLogEvery: time.Hour}
	_, err := newCheckpoints(c, Surroundings{Log: slog.New(slog.NewJSONHandler(&out, nil)), Now: time.Now}, nil, keyring.Sandbox(), prometheus.NewRegistry())
	require.NoError(t, err)
	slog.Warn("Failed to remove temporary file") //nolint:sloglint // so does the library
	require.Contains(t, out.String(), `"level":"WARN","msg":"Failed to remove temporary file"}`)
}
