package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"pinvault/impl/issuer"
	"pinvault/impl/pin"
)

type programsCommand struct {
	Create programsCreateCommand `cmd:"" help:"Create a program: a tenant with its PIN rules. Prints it as a line of JSON."`
	List   programsListCommand   `cmd:"" help:"Print all programs, one line of JSON each."`
	Set    programsSetCommand    `cmd:"" help:"Change a program's settings. Prints it as a line of JSON."`
}

// programSettings are the members of a ProgramChange, except for the name, as flags. What is not given is nil.
type programSettings struct {
	MinPINLength     *int32   `json:"minPinLength,omitempty" placeholder:"N" help:"Minimum number of digits of a PIN, and the length of a random one. Default for a new program: 4."`
	MaxPINLength     *int32   `json:"maxPinLength,omitempty" placeholder:"N" help:"Maximum number of digits of a PIN. Default for a new program: 6."`
	TryLimit         *int32   `json:"tryLimit,omitempty" placeholder:"N" help:"How many wrong PINs block the PIN. Default for a new program: 3."`
	PINPolicy        *string  `json:"pinPolicy,omitempty" name:"pin-policy" placeholder:"POLICY" help:"off, weak-list (refuses PINs that a thief tries first) or history (also the card's current PIN and its last four). Default for a new program: weak-list."`
	RetrievalAllowed *bool    `json:"retrievalAllowed,omitempty" negatable:"" help:"Keep PINs so that they can be read back. Switching it off deletes those that were kept."`
	DualUnblock      *bool    `json:"dualUnblock,omitempty" negatable:"" help:"Unblock PINs only with another client's approval."`
	DualReveal       *bool    `json:"dualReveal,omitempty" negatable:"" help:"Read PINs back, and give them to printers, only with another client's approval."`
	ApprovalSeconds  *int32   `json:"approvalSeconds,omitempty" placeholder:"N" help:"How long an approval is good. Default for a new program: 900."`
	TimeZone         *string  `json:"timeZone,omitempty" placeholder:"ZONE" help:"IANA time zone of times without an offset. Unless given UTC, and +04:00 in Network International's contract."`
	Setting          []string `json:"-" sep:"none" placeholder:"CONTRACT.NAME=VALUE" help:"A setting of a contract, such as creditplus.aliasCapability=true; repeat the flag for more, and separate the items of a list by commas, names and values as name=value with semicolons between. An unknown name is answered with all that there are."`
}

// given are the settings of contracts that the flags name.
func (s programSettings) given(o *issuer.Operator) (map[string]string, error) {
	known, err := o.ProgramSettings()
	if err != nil {
		return nil, err
	}
	return given(s.Setting, known)
}

// ofProgram is the flag for a member of a program.
func ofProgram(member string) string {
	if strings.Contains(member, ".") {
		return "--setting " + member
	}
	return flagNamed(member)
}

type programsCreateCommand struct {
	vaultFlags `json:"-"`
	Name       string `json:"name" required:"" placeholder:"TEXT" help:"Its name."`
	programSettings
}

// Help shows one call.
func (programsCreateCommand) Help() string {
	return "For example:\n\n    pinvault programs create --name 'Gift cards' --try-limit 5 --time-zone Asia/Dubai --setting creditplus.aliasCapability=true"
}

// Run makes the program and prints it.
func (c *programsCreateCommand) Run(ctx context.Context) error {
	return c.on(ctx, "programs create", "", func(ctx context.Context, o *issuer.Operator) error {
		settings, err := c.given(o)
		if err != nil {
			return err
		}
		made, err := o.CreateProgram(ctx, c, settings)
		if err != nil {
			return toldOf(err, nil, ofProgram)
		}
		return show(made)
	})
}

type programsListCommand struct{ vaultFlags }

// Help shows one call.
func (programsListCommand) Help() string {
	return "For example, ids and names:\n\n    pinvault programs list | jq -r '[.programId, .name] | @tsv'"
}

// Run prints all programs.
func (c *programsListCommand) Run(ctx context.Context) error {
	return c.on(ctx, "programs list", "", func(ctx context.Context, o *issuer.Operator) error {
		for p, err := range o.Programs(ctx) {
			if err != nil {
				return err
			}
			if err := show(p); err != nil {
				return err
			}
		}
		return nil
	})
}

type programsSetCommand struct {
	vaultFlags `json:"-"`
	ID         string  `json:"-" arg:"" help:"The program's id."`
	Name       *string `json:"name,omitempty" placeholder:"TEXT" help:"Its name."`
	programSettings
}

// Help shows one call.
func (programsSetCommand) Help() string {
	return "For example:\n\n    pinvault programs set 0190a5c0-7d2e-7c3a-9a57-3f1f2f3c4d5e --try-limit 5 --no-retrieval-allowed"
}

// Run changes what is named and prints the program.
func (c *programsSetCommand) Run(ctx context.Context) error {
	if named, err := json.Marshal(c); err != nil || string(named) == "{}" && len(c.Setting) == 0 {
		return errors.Join(err, errors.New("nothing to set: name a setting, such as --try-limit 5"))
	}
	return c.on(ctx, "programs set", "", func(ctx context.Context, o *issuer.Operator) error {
		settings, err := c.given(o)
		if err != nil {
			return err
		}
		changed, err := o.ChangeProgram(ctx, c.ID, c, settings)
		if err != nil {
			return toldOf(err, words{pin.NotFound: "there is no program " + c.ID}, ofProgram)
		}
		return show(changed)
	})
}
