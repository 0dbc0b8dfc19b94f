package main

import (
	"context"
	"errors"
	"fmt"

	"pinvault/impl/config"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/store"
)

type auditCommand struct {
	Verify auditVerifyCommand `cmd:"" help:"Check that no audit event was changed, removed or inserted."`
}

type auditVerifyCommand struct {
	config.Database
	config.Keys
	Sandbox bool `env:"PINVAULT_SANDBOX" help:"The database is a sandbox's."`
}

// Validate asks for keys where they are needed.
func (c *auditVerifyCommand) Validate() error {
	if c.Sandbox {
		return nil
	}
	return c.Missing()
}

// Run walks all events and checks their chains.
func (c *auditVerifyCommand) Run(ctx context.Context) (err error) {
	ks, err := loadKeyset(c.Sandbox, c.Keys)
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, c.DatabaseURL, store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	vault := pin.NewVault(db, keyring.New(ks, db, nil), nil, nil)
	return verifyAudit(ctx, vault)
}

// verifyAudit reports each chain that is broken, and where.
func verifyAudit(ctx context.Context, vault *pin.Vault) error {
	const page = 1000
	chains := map[string][]pin.AuditEvent{}
	total := 0
	for after := ""; ; {
		events, err := vault.AuditEvents(ctx, pin.AuditQuery{Page: pin.Page{After: after, Limit: page}})
		if err != nil {
			return err
		}
		for _, e := range events {
			chains[e.Chain] = append(chains[e.Chain], e)
		}
		if total += len(events); len(events) < page {
			break
		}
		after = events[len(events)-1].ID
	}
	broken := 0
	for chain, events := range chains {
		if at := vault.VerifyChain(events); at != 0 {
			broken++
			fmt.Printf("chain %s is broken at event %d\n", chain, at)
		}
	}
	if broken > 0 {
		return fmt.Errorf("%d of %d chains are broken", broken, len(chains))
	}
	fmt.Printf("%d events in %d chains, all whole\n", total, len(chains))
	return nil
}
