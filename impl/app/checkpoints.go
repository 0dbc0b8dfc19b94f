package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/klog/v2"

	"pinvault/impl/auditlog"
	"pinvault/impl/config"
	"pinvault/impl/keyring"
	"pinvault/impl/metrics"
	"pinvault/impl/pin"
)

// checkpoints appends to the audit log what is due.
type checkpoints struct {
	*auditlog.Log
	vault    *pin.Vault
	db       Database
	outcomes *prometheus.CounterVec
	log      *slog.Logger
}

// newCheckpoints is nil where the server has no log.
func newCheckpoints(c config.Serve, s Surroundings, vault *pin.Vault, keys keyring.Engine, registry prometheus.Registerer) (*checkpoints, error) {
	if c.AuditLog == "" {
		return nil, nil
	}
	o := auditlog.Options{Folder: auditlog.Folder(c.AuditLog), Origin: c.AuditLogOrigin, Every: c.AuditLogEvery, Now: s.Now}
	if c.AuditLogWitnesses != "" {
		var err error
		if o.Witnesses, err = os.ReadFile(c.AuditLogWitnesses); err != nil {
			return nil, fmt.Errorf("--audit-log-witnesses: %w", err)
		}
	}
	l, err := auditlog.Open(o, keys)
	if err != nil {
		return nil, fmt.Errorf("--audit-log: %w", err)
	}
	klog.SetSlogLogger(s.Log) // these two are Tessera's, which would write lines of its own
	slog.SetDefault(s.Log)
	out := &checkpoints{Log: l, vault: vault, db: s.Database, log: s.Log,
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pinvault_audit_log_rounds_total", Help: "Looks at whether the audit log needs a checkpoint, by outcome: appended, idle, failed.",
		}, []string{"outcome"})}
	for _, outcome := range []string{"appended", "idle", "failed"} {
		out.outcomes.WithLabelValues(outcome)
	}
	registry.MustRegister(out.outcomes)
	return out, nil
}

// The log is looked at so often whether a checkpoint is due, or more often where they are made more often.
const lookEvery = 10 * time.Second

// run looks until ctx ends.
func (c *checkpoints) run(ctx context.Context) {
	tick := time.NewTicker(min(lookEvery, c.Every))
	defer tick.Stop()
	for {
		c.round(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// round tells of what it did, and why it did nothing. A trail that was put back is the alarm that a broken seal is.
func (c *checkpoints) round(ctx context.Context) {
	appended, err := c.Round(ctx, c.vault, c.db)
	outcome := "idle"
	if appended {
		outcome = "appended"
		err = errors.Join(err, c.db.Mark(ctx, metrics.CheckpointMade, c.Now()))
	}
	if err != nil && ctx.Err() == nil {
		outcome = "failed"
		level := slog.LevelWarn
		if errors.Is(err, auditlog.ErrRolledBack) || errors.Is(err, auditlog.ErrElsewhere) || errors.Is(err, auditlog.ErrRenamed) || pin.Tampered(err) {
			level = slog.LevelError
		}
		c.log.Log(ctx, level, "audit log", "error", err)
	}
	c.outcomes.WithLabelValues(outcome).Inc()
}
