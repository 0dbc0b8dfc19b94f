package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"pinvault/impl/app"
	"pinvault/impl/config"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

type keysListCommand struct {
	config.Keys
	Use  useName `placeholder:"USE" help:"Only the keys for this use."`
	JSON bool    `name:"json" help:"Print the keys as lines of JSON."`
}

// Help says what the columns are.
func (*keysListCommand) Help() string {
	return `Each use of keys has one active key, which makes outputs. Pending keys wait for their time and open already; retiring
keys open what they have made; retired keys open nothing, and their material is kept; destroyed keys are a record. Of keys in a
token or OpenBao no more is known than their versions, and which one makes outputs.

  pinvault keys list --use pan`
}

// Validate asks for the keys.
func (c *keysListCommand) Validate() error { return c.Missing() }

// Run lists the vault's own keys. It needs no database.
func (c *keysListCommand) Run() error {
	keys, away, err := standings(c.Keys)
	if err != nil {
		return err
	}
	if c.Use.use != "" {
		keys = slices.DeleteFunc(keys, func(k keyring.Standing) bool { return k.Use != c.Use.use })
	}
	if err := printKeys(os.Stdout, keys, c.JSON); err != nil {
		return err
	}
	away = slices.DeleteFunc(away, func(k elsewhere) bool { return c.Use.use != "" && k.Use != c.Use.use })
	return printElsewhere(os.Stdout, away, c.JSON)
}

// standings are all keys of the file as they stand now, except for uses whose keys are somewhere else, and those that are.
func standings(k config.Keys) (_ []keyring.Standing, away []elsewhere, err error) {
	b, file, err := app.Backend(k)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	ks, err := file.Keyset()
	if err != nil {
		return nil, nil, err
	}
	engine, err := b.Engine(ks)
	if err != nil {
		return nil, nil, err
	}
	where, _, _ := strings.Cut(k.KeysURL, ":")
	for _, use := range keyring.Uses() {
		if b.Holds(use) {
			away = append(away, keysElsewhere(engine, use, where)...)
		}
	}
	return slices.DeleteFunc(ks.Keys(time.Now()), func(k keyring.Standing) bool { return b.Holds(k.Use) }), away, nil
}

// elsewhere is what is known of a key that is in a token or OpenBao.
type elsewhere struct {
	Use   pin.Use       `json:"use"`
	ID    string        `json:"id"`
	State keyring.State `json:"state"` // active, or retiring
	Where string        `json:"where"` // pkcs11, openbao
}

// keysElsewhere are the keys of a use that an engine has, the one that makes outputs first.
func keysElsewhere(engine keyring.Engine, use pin.Use, where string) (keys []elsewhere) {
	ids := slices.Clone(engine.KeyIDs(use))
	for _, signs := range map[pin.Use][]keyring.SigningKey{keyring.UseTokens: engine.SigningKeys(), keyring.UseCheckpoints: engine.CheckpointKeys()}[use] {
		ids = append(ids, signs.KID)
	}
	for i, id := range ids {
		keys = append(keys, elsewhere{use, id, map[bool]keyring.State{true: keyring.Active, false: keyring.Retiring}[i == 0], where})
	}
	return keys
}

func printElsewhere(to io.Writer, keys []elsewhere, asJSON bool) error {
	if asJSON {
		for _, k := range keys {
			if err := json.NewEncoder(to).Encode(k); err != nil {
				return err
			}
		}
		return nil
	}
	if len(keys) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "USE\tKEY\tSTATE\tWHERE")
	for _, k := range keys {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", k.Use, k.ID, k.State, k.Where)
	}
	return table.Flush()
}

type keysShowCommand struct {
	config.Keys
	Key keyName `arg:"" placeholder:"KEY" help:"The key: its use and its version, such as pan/2."`
}

// Validate asks for the keys.
func (c *keysShowCommand) Validate() error { return c.Missing() }

// Run shows all that may be known of a key, as a line of JSON.
func (c *keysShowCommand) Run() error {
	keys, _, err := standings(c.Keys)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(keys, func(k keyring.Standing) bool { return k.Use == c.Key.use && k.Version == c.Key.version })
	if i < 0 {
		return errors.New("there is no such key: 'pinvault keys list' lists them")
	}
	return show(keys[i])
}
