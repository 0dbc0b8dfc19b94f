package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"pinvault/impl/app"
	"pinvault/impl/config"
	"pinvault/impl/keylife"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// keeperFlags say which keyset file a step is taken in, and whose audit trail is told of it.
type keeperFlags struct {
	config.Database
	config.Keys
	WithoutDatabase bool `help:"Do without the database: its audit trail is not told of the step, and nothing is counted in it."`
	JSON            bool `name:"json" help:"Print the keys as lines of JSON."`
}

// Validate asks for the keys.
func (f *keeperFlags) Validate() error {
	if f.WithoutDatabase {
		return f.Missing()
	}
	return errors.Join(f.Database.Validate(), f.Missing())
}

// keep has a step taken by an operator whom the audit trail knows by the command's name, and prints what became of keys.
func (f *keeperFlags) keep(ctx context.Context, command string, step func(context.Context, *keylife.Keeper, keylife.File) ([]keyring.Standing, error)) error {
	backend, file, err := app.Backend(f.Keys)
	if err != nil {
		return err
	}
	who := pin.Operator("pinvault keys " + command)
	take := func(ctx context.Context, trail keylife.Trail, counts keylife.Counts) error {
		after, err := step(ctx, app.Keeper(file, backend, trail, counts), file)
		if err != nil {
			return keyWords(err)
		}
		return printKeys(os.Stdout, after, f.JSON)
	}
	if f.WithoutDatabase {
		return take(pin.WithCaller(ctx, who), silence{}, nil)
	}
	on := vaultFlags{Database: f.Database, Keys: f.Keys}
	return on.as(ctx, who, func(ctx context.Context, vault *pin.Vault, _ *keyring.Ring) error { return take(ctx, vault, vault) })
}

// silence is the trail of those who do without one. They are told.
type silence struct{}

func (silence) TrailStands(context.Context) error { return nil }

func (silence) TellOfKeys(context.Context, []pin.KeyStep, any, pin.Memo) error {
	_, err := fmt.Fprintln(os.Stderr, "warning: without the database, no audit trail is told of this step")
	return err
}

// keyWords is an error of a step in the words of the command line.
func keyWords(err error) error {
	switch {
	case errors.Is(err, keylife.ErrInUse), errors.Is(err, keylife.ErrNotCounted):
		return fmt.Errorf("%w. With --force the key is retired all the same, and nothing opens what is left", err)
	case errors.Is(err, keyring.ErrNoKey):
		return errors.New("there is no such key: 'pinvault keys list' lists them")
	}
	return err
}

// keyName is a key as the command line names it: its use and its version, pan/2.
type keyName struct {
	use     pin.Use
	version int
}

// UnmarshalText is how kong reads one.
func (n *keyName) UnmarshalText(text []byte) error {
	use, version, _ := strings.Cut(string(text), "/")
	number, err := strconv.Atoi(version)
	if err != nil || number < 1 {
		return errors.New("a key is named by its use and its version, such as pan/2")
	}
	n.version = number
	return useNamed(use, &n.use)
}

// useNamed is the use of that name.
func useNamed(name string, use *pin.Use) error {
	var known []string
	for _, u := range keyring.Uses() {
		if string(u) == name {
			*use = u
			return nil
		}
		known = append(known, string(u))
	}
	return fmt.Errorf("there are no keys for %q; there are keys for %s", name, strings.Join(known, ", "))
}

// useName is a use as the command line names it.
type useName struct{ use pin.Use }

// UnmarshalText is how kong reads one.
func (n *useName) UnmarshalText(text []byte) error { return useNamed(string(text), &n.use) }

// printKeys prints keys as a table, or as lines of JSON.
func printKeys(to io.Writer, keys []keyring.Standing, asJSON bool) error {
	if asJSON {
		lines := json.NewEncoder(to)
		for _, k := range keys {
			if err := lines.Encode(k); err != nil {
				return err
			}
		}
		return nil
	}
	if len(keys) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "KEY\tSTATE\tSINCE\tALGORITHM\tCHECK VALUE")
	for _, k := range keys {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", k.Name(), k.State, since(k), k.Algorithm, k.CheckValue)
	}
	return table.Flush()
}

// since is when a key came into its state, and of one that waits when it will leave it.
func since(k keyring.Standing) string {
	at := map[keyring.State]time.Time{keyring.Pending: k.CreatedAt, keyring.Active: k.ActiveFrom,
		keyring.Retiring: k.RetiringSince, keyring.Retired: k.RetiredAt, keyring.Destroyed: k.DestroyedAt}[k.State]
	text := at.Format(time.RFC3339)
	if k.State == keyring.Pending && !k.ActiveFrom.IsZero() {
		text += ", active from " + k.ActiveFrom.Format(time.RFC3339)
	}
	return text
}
