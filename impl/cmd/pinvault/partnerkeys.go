package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"pinvault/impl/issuer"
	"pinvault/impl/pin"
)

// partnerKeysCommand is the life of partners' keys, as the issuer API has it under /keys.
type partnerKeysCommand struct {
	List        partnerKeysListCommand        `cmd:"" help:"Print the keys without their material, one line of JSON each."`
	Show        partnerKeysShowCommand        `cmd:"" help:"Print a key as a line of JSON, or its record for the file."`
	Generate    partnerKeysGenerateCommand    `cmd:"" help:"Create a pending key: drawn here, or to be made of components that custodians enter."`
	Activate    partnerKeysActivateCommand    `cmd:"" help:"Put a pending key to use."`
	Rotate      partnerKeysRotateCommand      `cmd:"" help:"Create a pending key in another's place; once it is active the old one opens for the overlap."`
	Retire      partnerKeysRetireCommand      `cmd:"" help:"End the use of a key, at once or at a time."`
	Destroy     partnerKeysDestroyCommand     `cmd:"" help:"Remove the material of a retired or pending key for good; that of a pending one ends its ceremony."`
	ImportBlock partnerKeysImportBlockCommand `cmd:"" help:"Create a pending key of a TR-31 or X9.143 key block on standard input."`
	ExportBlock partnerKeysExportBlockCommand `cmd:"" help:"Print the key block of a key under a zone master key."`
	Component   componentCommand              `cmd:"" help:"As a custodian, enter a component of a key through a server's issuer API."`
	Confirm     confirmCommand                `cmd:"" help:"As a custodian, confirm a key's check value through a server's issuer API."`
}

// partnerKeyWords say what the vault's errors mean of a key.
func partnerKeyWords(id string) words {
	return words{pin.NotFound: "there is no key " + id + ", or no such program", pin.Duplicate: "a key with this id already exists",
		pin.UnknownKey: "there is no zone master key of this id in use"}
}

// keyReasons say the same where a reason is given.
var keyReasons = map[pin.KeyReason]string{
	pin.KeyStateForbids:  "the key's state does not allow this: look at 'pinvault keys partner show'",
	pin.SameCustodian:    "this custodian has done this already",
	pin.NotExportable:    "the key is not exportable: it was made of components, or is to stay here. Rotate it with --components, so that custodians bring the next one",
	pin.KeyBlockUnopened: "the key block does not open: check the zone master key, and that the block is whole",
}

// toldOfKey is told of what was done with a key.
func toldOfKey(err error, id string) error {
	if reason, ok := errors.AsType[pin.KeyReason](err); ok && keyReasons[reason] != "" {
		return errors.New(keyReasons[reason])
	}
	return told(err, partnerKeyWords(id))
}

// step does something with a key and prints it.
func (f *vaultFlags) step(ctx context.Context, command, id string, do func(context.Context, *issuer.Operator) (any, error)) error {
	return f.on(ctx, "keys partner "+command, "", func(ctx context.Context, o *issuer.Operator) error {
		k, err := do(ctx, o)
		if err != nil {
			return toldOfKey(err, id)
		}
		return show(k)
	})
}

type partnerKeysListCommand struct {
	vaultFlags
	Program string `placeholder:"ID" help:"Only those of this program."`
}

// Help shows one call.
func (partnerKeysListCommand) Help() string {
	return "For example, ids, states and check values:\n\n    pinvault keys partner list | jq -r '[.keyId, .state, .checkValue] | @tsv'"
}

// Run prints the keys.
func (c *partnerKeysListCommand) Run(ctx context.Context) error {
	return c.on(ctx, "keys partner list", c.Program, func(ctx context.Context, o *issuer.Operator) error {
		for k, err := range o.Keys(ctx) {
			if err != nil {
				return err
			}
			if err := show(k); err != nil {
				return err
			}
		}
		return nil
	})
}

type partnerKeysShowCommand struct {
	vaultFlags
	ID     string `arg:"" help:"The key's id."`
	Record bool   `help:"Print the record of the key and its ceremony in lines of text: who did what and when, and check values."`
}

// Help shows one call.
func (partnerKeysShowCommand) Help() string {
	return "For example, the record to print and sign:\n\n    pinvault keys partner show zpk-1 --record"
}

// Run prints the key.
func (c *partnerKeysShowCommand) Run(ctx context.Context) error {
	if !c.Record {
		return c.step(ctx, "show", c.ID, func(ctx context.Context, o *issuer.Operator) (any, error) { return o.Key(ctx, c.ID) })
	}
	return c.on(ctx, "keys partner show", "", func(ctx context.Context, o *issuer.Operator) error {
		record, err := o.KeyRecord(ctx, c.ID)
		if err != nil {
			return toldOfKey(err, c.ID)
		}
		_, err = io.WriteString(os.Stdout, record)
		return err
	})
}

// owner is whose a key is to be.
type owner struct {
	Program     *string `json:"programId,omitempty" placeholder:"ID" xor:"owner" required:"" help:"The program that the key is for."`
	AllPrograms bool    `json:"-" xor:"owner" required:"" help:"The key is for all programs."`
}

// ceremony is how a key is to be made.
type ceremony struct {
	Components       *int32         `json:"components,omitempty" placeholder:"N" help:"Of how many components it is to be made, from 2 to 9, each entered by another custodian ('keys partner component'). Default: it is drawn here."`
	Expires          *time.Duration `json:"-" placeholder:"DURATION" help:"How long the ceremony may take. Default: 24h."`
	ExpiresInSeconds *int64         `json:"expiresInSeconds,omitempty" kong:"-"`
}

// inSeconds puts the duration into the request.
func (c *ceremony) inSeconds() {
	if c.Expires != nil {
		n := int64(*c.Expires / time.Second)
		c.ExpiresInSeconds = &n
	}
}

type partnerKeysGenerateCommand struct {
	vaultFlags `json:"-"`
	ID         string `json:"keyId" name:"id" required:"" placeholder:"ID" help:"The id by which requests and settings name the key."`
	owner
	Usage      string `json:"usage" required:"" placeholder:"USAGE" help:"The only thing that the key may be used for: zone-pin, message, zone-master, pin-verification or pin-mailer."`
	Algorithm  string `json:"algorithm" required:"" placeholder:"NAME" help:"TDES, AES or RSA."`
	Bits       *int32 `json:"bits,omitempty" placeholder:"N" help:"Its length. Default: 192 for TDES, 256 for AES, 2048 for RSA."`
	Exportable *bool  `json:"exportable,omitempty" negatable:"" help:"It may leave in a key block. Default: yes where it is drawn here."`
	ceremony
}

// Help shows one call.
func (partnerKeysGenerateCommand) Help() string {
	return "For example, a zone PIN key that two custodians bring:\n\n    pinvault keys partner generate --id zpk-1 --program 0190a5c0-7d2e-7c3a-9a57-3f1f2f3c4d5e --usage zone-pin --algorithm AES --components 2"
}

// Run makes the key and prints it.
func (c *partnerKeysGenerateCommand) Run(ctx context.Context) error {
	c.inSeconds()
	return c.step(ctx, "generate", c.ID, func(ctx context.Context, o *issuer.Operator) (any, error) { return o.CreateKey(ctx, c) })
}

// keyArgument is the key that a command is about.
type keyArgument struct {
	vaultFlags
	ID string `arg:"" help:"The key's id."`
}

type partnerKeysActivateCommand struct{ keyArgument }

// Help shows one call.
func (partnerKeysActivateCommand) Help() string {
	return "For example:\n\n    pinvault keys partner activate zpk-1"
}

// Run puts the key to use and prints it.
func (c *partnerKeysActivateCommand) Run(ctx context.Context) error {
	return c.step(ctx, "activate", c.ID, func(ctx context.Context, o *issuer.Operator) (any, error) { return o.ActivateKey(ctx, c.ID) })
}

type partnerKeysRotateCommand struct {
	vaultFlags     `json:"-"`
	Old            string        `json:"-" arg:"" name:"id" help:"The key in whose place it is to come."`
	ID             string        `json:"keyId" name:"new-id" required:"" placeholder:"ID" help:"The new key's id."`
	Overlap        time.Duration `json:"-" default:"0s" help:"How long the old key opens once the new one is active, at most 8784h. Default: it ends at once."`
	OverlapSeconds int64         `json:"overlapSeconds" kong:"-"`
	ceremony
}

// Help shows one call.
func (partnerKeysRotateCommand) Help() string {
	return "For example:\n\n    pinvault keys partner rotate zpk-1 --new-id zpk-2 --overlap 168h"
}

// Run makes the successor and prints it.
func (c *partnerKeysRotateCommand) Run(ctx context.Context) error {
	c.inSeconds()
	c.OverlapSeconds = int64(c.Overlap / time.Second)
	return c.step(ctx, "rotate", c.Old, func(ctx context.Context, o *issuer.Operator) (any, error) { return o.RotateKey(ctx, c.Old, c) })
}

type partnerKeysRetireCommand struct {
	keyArgument
	At time.Time `placeholder:"TIME" help:"Until when the key opens, such as 2027-01-31T00:00:00Z. Default: it ends at once."`
}

// Help shows one call.
func (partnerKeysRetireCommand) Help() string {
	return "For example:\n\n    pinvault keys partner retire zpk-1 --at 2027-01-31T00:00:00Z"
}

// Run ends the key's use and prints it.
func (c *partnerKeysRetireCommand) Run(ctx context.Context) error {
	return c.step(ctx, "retire", c.ID, func(ctx context.Context, o *issuer.Operator) (any, error) { return o.RetireKey(ctx, c.ID, c.At) })
}

type partnerKeysDestroyCommand struct{ keyArgument }

// Help shows one call.
func (partnerKeysDestroyCommand) Help() string {
	return "For example:\n\n    pinvault keys partner destroy zpk-1"
}

// Run removes the key's material and prints what is left.
func (c *partnerKeysDestroyCommand) Run(ctx context.Context) error {
	return c.step(ctx, "destroy", c.ID, func(ctx context.Context, o *issuer.Operator) (any, error) { return o.DestroyKey(ctx, c.ID) })
}

type partnerKeysImportBlockCommand struct {
	vaultFlags `json:"-"`
	ID         string `json:"keyId" name:"id" required:"" placeholder:"ID" help:"The id by which requests and settings name the key."`
	owner
	Usage      string  `json:"usage" required:"" placeholder:"USAGE" help:"What the key may be used for, which must be what the block says: zone-pin, message, zone-master, pin-verification or pin-mailer."`
	Master     string  `json:"masterKeyId" required:"" placeholder:"ID" help:"The zone master key that the block is under."`
	CheckValue *string `json:"checkValue,omitempty" placeholder:"XXXXXX" help:"The check value that the key must have."`
	KeyBlock   string  `json:"keyBlock" kong:"-"`
}

// Help shows one call.
func (partnerKeysImportBlockCommand) Help() string {
	return "For example:\n\n    pinvault keys partner import-block --id zpk-1 --all-programs --usage zone-pin --master zmk-1 < block.txt"
}

// Run makes the key and prints it.
func (c *partnerKeysImportBlockCommand) Run(ctx context.Context) (err error) {
	if c.KeyBlock, err = standardInput(); err != nil {
		return err
	}
	return c.step(ctx, "import-block", c.ID, func(ctx context.Context, o *issuer.Operator) (any, error) { return o.ImportKey(ctx, c) })
}

type partnerKeysExportBlockCommand struct {
	keyArgument
	Master string `required:"" placeholder:"ID" help:"The zone master key."`
}

// Help shows one call.
func (partnerKeysExportBlockCommand) Help() string {
	return "For example:\n\n    pinvault keys partner export-block zpk-1 --master zmk-1"
}

// Run prints the key block.
func (c *partnerKeysExportBlockCommand) Run(ctx context.Context) error {
	return c.on(ctx, "keys partner export-block", "", func(ctx context.Context, o *issuer.Operator) error {
		out, err := o.ExportKey(ctx, c.ID, c.Master)
		if err != nil {
			return toldOfKey(err, c.ID)
		}
		fmt.Println(out.KeyBlock)
		return nil
	})
}
