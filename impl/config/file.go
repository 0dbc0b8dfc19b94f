package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/alecthomas/kong"
)

// File reads a configuration file: one JSON object with the long names of flags, without dashes before
// them, and their values. A name that no command has is an error, so that a slip does not go unnoticed.
func File(r io.Reader) (kong.Resolver, error) {
	values := file{}
	d := json.NewDecoder(r)
	err := d.Decode(&values)
	if err == nil {
		_, err = d.Token()
	}
	if !errors.Is(err, io.EOF) { // after the object there is nothing
		name := "the configuration file"
		if f, ok := r.(*os.File); ok {
			name = f.Name()
		}
		return nil, errors.New(name + ` must be one JSON object, such as {"listen": "127.0.0.1:8080"}`)
	}
	return values, nil
}

type file map[string]any

// Resolve is the file's value for a flag, nil where it has none or the environment has one, which wins.
func (f file) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	return f[flag.Name], nil
}

// Validate refuses names that no command has.
func (f file) Validate(app *kong.Application) error {
	known := map[string]bool{}
	err := kong.Visit(app, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			known[flag.Name] = true
		}
		return next(nil)
	})
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if !known[name] {
			return fmt.Errorf("the configuration file names %q, which is no flag of any command", name)
		}
	}
	return err
}
