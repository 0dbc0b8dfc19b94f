package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"pinvault/impl/issuer"
	"pinvault/impl/pin"
)

type clientsCommand struct {
	Create  clientsCreateCommand  `cmd:"" help:"Create a partner's credentials. Prints id and secret as a line of JSON; the secret cannot be shown again."`
	List    clientsListCommand    `cmd:"" help:"Print the active clients without their secrets, one line of JSON each."`
	Limit   clientsLimitCommand   `cmd:"" help:"Give a client other limits, in the place of all that it had. Prints the client as a line of JSON."`
	Release clientsReleaseCommand `cmd:"" help:"Let a client verify PINs again that the alarm about mismatches has halted."`
	Rotate  clientsRotateCommand  `cmd:"" help:"Give a client a new secret. Prints it as a line of JSON; it cannot be shown again."`
	Revoke  clientsRevokeCommand  `cmd:"" help:"Revoke a client and its tokens for good."`
}

type clientsCreateCommand struct {
	vaultFlags
	Contract  string           `required:"" placeholder:"NAME" help:"The contract that the partner speaks: thredd, creditplus, accosa, networkintl, hashdt or issuer."`
	Program   string           `placeholder:"ID" help:"The program that the client belongs to. Default: the whole server."`
	Name      string           `required:"" placeholder:"TEXT" help:"A name for humans to read."`
	Scope     []string         `placeholder:"SCOPE" xor:"scopes" help:"A scope that the client gets; repeat the flag or separate scopes by commas."`
	AllScopes bool             `xor:"scopes" help:"All scopes of the contract."`
	Limit     map[string]int64 `mapsep:"," placeholder:"NAME=N" help:"How often the client may do what, in the place of the server's --limits; 0 for no limit. Repeat the flag or separate limits by commas."`
	Setting   []string         `sep:"none" placeholder:"NAME=VALUE" help:"A setting that the contract needs; repeat the flag for more, and separate the items of a list by commas. For a secret, write NAME=- and give it on standard input."`
}

// Help shows one call.
func (clientsCreateCommand) Help() string {
	return "For example:\n\n    pinvault clients create --contract networkintl --program 0190a5c0-7d2e-7c3a-9a57-3f1f2f3c4d5e --name IVR --all-scopes --setting bankId=NIC --setting pinKeyIds=zpk-1"
}

// Run makes the client and prints what it proves itself by.
func (c *clientsCreateCommand) Run(ctx context.Context) error {
	return c.on(ctx, "clients create", "", func(ctx context.Context, o *issuer.Operator) error {
		known, err := o.ClientSettings(c.Contract)
		if err != nil {
			return told(err, nil)
		}
		settings, err := given(c.Setting, known)
		if err != nil {
			return err
		}
		if err := limitsThere(c.Limit); err != nil {
			return err
		}
		made, err := o.CreateClient(ctx, issuer.ClientRequest{Contract: c.Contract, ProgramID: c.Program, Name: c.Name,
			Scopes: c.Scope, AllScopes: c.AllScopes, Settings: settings, Limits: c.Limit})
		if err != nil {
			return told(err, words{pin.NotFound: "there is no program " + c.Program})
		}
		return show(made)
	})
}

// limitsThere refuses what is no limit's name.
func limitsThere(named map[string]int64) error {
	if _, err := pin.NamedLimits(named); err != nil {
		return fmt.Errorf("--limit: %w", err)
	}
	return nil
}

// given are the settings of --setting flags, a secret one from standard input.
func given(flags []string, known []issuer.Setting) (map[string]string, error) {
	secret := map[string]bool{}
	for _, s := range known {
		secret[s.Name] = s.Secret
	}
	settings := map[string]string{}
	for _, setting := range flags {
		name, value, ok := strings.Cut(setting, "=")
		_, twice := settings[name]
		var err error
		switch {
		case !ok:
			return nil, fmt.Errorf("--setting %s has no value: write NAME=VALUE", name)
		case twice:
			return nil, fmt.Errorf("--setting %s is given twice", name)
		case secret[name] && value != "-":
			return nil, fmt.Errorf("%s is a secret, and everybody on the machine can see an argument: write --setting %s=- and give it on standard input", name, name)
		case secret[name]:
			value, err = standardInput()
		}
		if err != nil {
			return nil, err
		}
		settings[name] = value
	}
	return settings, nil
}

type clientsListCommand struct {
	vaultFlags
	Program string `placeholder:"ID" help:"Only those of this program."`
}

// Help shows one call.
func (clientsListCommand) Help() string {
	return "For example, ids, contracts and names:\n\n    pinvault clients list | jq -r '[.clientId, .contract, .name] | @tsv'"
}

// Run prints the clients.
func (c *clientsListCommand) Run(ctx context.Context) error {
	return c.on(ctx, "clients list", c.Program, func(ctx context.Context, o *issuer.Operator) error {
		for client, err := range o.Clients(ctx) {
			if err != nil {
				return err
			}
			if err := show(client); err != nil {
				return err
			}
		}
		return nil
	})
}

type clientsLimitCommand struct {
	vaultFlags
	ID    string           `arg:"" help:"The client's id."`
	Limit map[string]int64 `mapsep:"," placeholder:"NAME=N" help:"How often the client may do what; 0 for no limit. What is not named is as the server's --limits say. Repeat the flag or separate limits by commas."`
}

// Help shows one call.
func (clientsLimitCommand) Help() string {
	return "For example:\n\n    pinvault clients limit 0190a5c0-7d2e-7c3a-9a57-3f1f2f3c4d5e --limit requestsPerMinute=600,verificationsPerMinute=300"
}

// Run gives the client other limits and prints it.
func (c *clientsLimitCommand) Run(ctx context.Context) error {
	return c.on(ctx, "clients limit", "", func(ctx context.Context, o *issuer.Operator) error {
		if err := limitsThere(c.Limit); err != nil {
			return err
		}
		limited, err := o.LimitClient(ctx, c.ID, c.Limit)
		if err != nil {
			return told(err, words{pin.NotFound: "there is no active client " + c.ID})
		}
		return show(limited)
	})
}

type clientsReleaseCommand struct {
	vaultFlags
	ID     string `arg:"" help:"The client's id."`
	Reason string `required:"" placeholder:"TEXT" help:"Why, for the audit trail."`
}

// Help shows one call.
func (clientsReleaseCommand) Help() string {
	return "For example:\n\n    pinvault clients release 0190a5c0-7d2e-7c3a-9a57-3f1f2f3c4d5e --reason 'A batch of cards was sent with another key'"
}

// Run releases the client and prints it.
func (c *clientsReleaseCommand) Run(ctx context.Context) error {
	return c.on(ctx, "clients release", "", func(ctx context.Context, o *issuer.Operator) error {
		released, err := o.ReleaseClient(ctx, c.ID, c.Reason)
		if err != nil {
			return told(err, words{pin.NotFound: "there is no active client " + c.ID})
		}
		return show(released)
	})
}

type clientsRotateCommand struct {
	vaultFlags
	ID      string        `arg:"" help:"The client's id."`
	Overlap time.Duration `default:"0s" help:"How long the old secret stays valid, at most 720h. Default: it ends at once."`
}

// Help shows one call.
func (clientsRotateCommand) Help() string {
	return "For example:\n\n    pinvault clients rotate 0190a5c0-7d2e-7c3a-9a57-3f1f2f3c4d5e --overlap 24h"
}

// Run gives the client another secret and prints it.
func (c *clientsRotateCommand) Run(ctx context.Context) error {
	if c.Overlap%time.Second != 0 {
		return errors.New("--overlap must be in whole seconds")
	}
	return c.on(ctx, "clients rotate", "", func(ctx context.Context, o *issuer.Operator) error {
		rotated, err := o.RotateClient(ctx, c.ID, c.Overlap)
		if err != nil {
			return told(err, c.unknown())
		}
		return show(rotated)
	})
}

func (c *clientsRotateCommand) unknown() words {
	return words{pin.NotFound: "there is no active client " + c.ID}
}

type clientsRevokeCommand struct {
	vaultFlags
	ID string `arg:"" help:"The client's id."`
}

// Help shows one call.
func (clientsRevokeCommand) Help() string {
	return "For example:\n\n    pinvault clients revoke 0190a5c0-7d2e-7c3a-9a57-3f1f2f3c4d5e"
}

// Run ends the client.
func (c *clientsRevokeCommand) Run(ctx context.Context) error {
	return c.on(ctx, "clients revoke", "", func(ctx context.Context, o *issuer.Operator) error {
		return told(o.RevokeClient(ctx, c.ID), words{pin.NotFound: "there is no active client " + c.ID})
	})
}
