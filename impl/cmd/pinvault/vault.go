package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"

	"pinvault/impl/app"
	"pinvault/impl/config"
	"pinvault/impl/contract"
	"pinvault/impl/issuer"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/store"
)

// vaultFlags say on which vault a command works, and with which keys.
type vaultFlags struct {
	config.Database
	config.Keys
	Sandbox bool `env:"PINVAULT_SANDBOX" help:"The database is a sandbox's, and so are the keys."`
}

// Validate asks for keys where they are needed.
func (f *vaultFlags) Validate() error {
	if err := f.Database.Validate(); err != nil || f.Sandbox {
		return err
	}
	return f.Missing()
}

// on runs work on the vault, by the rules of the issuer's document, as an operator whom the audit trail knows
// by the command's name. programID narrows their reach to one program; "" is all of them.
func (f *vaultFlags) on(ctx context.Context, command, programID string, work func(context.Context, *issuer.Operator) error) error {
	who := pin.Operator("pinvault " + command)
	if programID != "" {
		who = who.In(programID)
	}
	return f.as(ctx, who, func(ctx context.Context, vault *pin.Vault, ring *keyring.Ring) error {
		if programID != "" {
			if _, err := vault.Program(ctx, programID); err != nil {
				return told(err, words{pin.NotFound: "there is no program " + programID})
			}
		}
		return work(ctx, app.Operator(vault, ring, f.Sandbox))
	})
}

// as runs work on the vault and its keys, called by who.
func (f *vaultFlags) as(ctx context.Context, who pin.Caller, work func(context.Context, *pin.Vault, *keyring.Ring) error) (err error) {
	ks, err := app.Engine(f.Sandbox, f.Keys)
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, f.DatabaseURL, store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := app.ReadySchema(ctx, db, f.Embedded()); err != nil {
		return err
	}
	if err := app.Suits(ctx, db, f.Sandbox); err != nil {
		return err
	}
	ctx = pin.WithCaller(ctx, who)
	ring := keyring.Open(ks, db, nil)
	vault := pin.NewVault(db, ring, nil, nil)
	vault.GrantBy(issuer.Granted)
	if err := vault.Initialize(ctx); err != nil {
		return err
	}
	return work(ctx, vault, ring)
}

// words say what an error of the vault means to whoever ran a command.
type words map[pin.Code]string

// told is an error in the words of the command line: of its flags, where a rule of the document is broken.
func told(err error, as words) error { return toldOf(err, as, flagNamed) }

// toldOf is told, where named is the flag for a member of a request.
func toldOf(err error, as words, named func(member string) string) error {
	if err == nil {
		return nil
	}
	if broken, ok := errors.AsType[contract.Broken](err); ok {
		var sentences []string
		for _, v := range broken {
			sentence := issuer.Sentence(v, named(memberOf(v)))
			if v.Rule == contract.RulePattern && v.Limit != "" { // whoever types has no document beside them
				sentence = strings.TrimSuffix(sentence, ".") + ", " + v.Limit
			}
			sentences = append(sentences, sentence)
		}
		return errors.New(strings.Join(sentences, "\n"))
	}
	code, field := pin.CodeOf(err), pin.FieldOf(err)
	says, ok := as[code]
	switch {
	case ok:
		return errors.New(strings.ReplaceAll(says, "{}", field))
	case code == pin.InvalidField:
		return errors.New(named(field) + " has an invalid value")
	case code == pin.Conflict:
		return errors.New("it was modified by another request; please try again")
	}
	return err
}

// memberOf is the member of a request that a violation is about, with full stops between the names.
func memberOf(v contract.Violation) string {
	if v.Label != "" {
		return v.Label
	}
	return strings.ReplaceAll(strings.TrimPrefix(v.Pointer, "/"), "/", ".")
}

// flagNamed is the flag for a member of a request: --min-pin-length for minPinLength. What stands in the
// object of a client's contract is one of its settings.
func flagNamed(member string) string {
	if _, setting, inner := strings.Cut(member, "."); inner {
		return "--setting " + setting
	}
	if _, limit := pin.DefaultLimits()[pin.Limit(member)]; limit {
		return "--limit " + member
	}
	switch member {
	case "", "limits":
		return "--limit"
	case "pan":
		return "the PAN on standard input"
	case "kind", "value", "references":
		return "--reference"
	case "programId":
		return "--program"
	case "scopes":
		return "--scope"
	case "overlapSeconds":
		return "--overlap, in seconds,"
	}
	var name strings.Builder
	for _, r := range member {
		if 'A' <= r && r <= 'Z' {
			name.WriteByte('-')
			r += 'a' - 'A'
		}
		name.WriteRune(r)
	}
	return "--" + name.String()
}

// show prints values as JSON, a line each.
func show(values ...any) error {
	lines := json.NewEncoder(os.Stdout)
	lines.SetEscapeHTML(false)
	for _, v := range values {
		if err := lines.Encode(v); err != nil {
			return err
		}
	}
	return nil
}

// standardInput is what is typed or piped in, a secret that no argument may hold, without its line's end.
func standardInput() (string, error) {
	text, err := io.ReadAll(io.LimitReader(os.Stdin, maxInput))
	defer clear(text)
	return strings.TrimSpace(string(text)), err
}

// maxInput is longer than anything that standardInput has to read.
const maxInput = 4096
