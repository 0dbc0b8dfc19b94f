package main

import (
	"context"
	"errors"

	"pinvault/impl/config"
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
func (c *auditVerifyCommand) Run(_ context.Context) (err error) {
	return errors.New("being made")
}
