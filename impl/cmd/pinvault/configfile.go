package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"pinvault/impl/config"
)

// configFile is what a configuration file sets: values by the long names of flags, each also taken with
// underscores or as camelCase, as others write them in JSON.
type configFile map[string]any

// readConfigFile reads a configuration file. A name that is no flag of any command is refused, and so is
// one that stands there twice: a slip in it would leave a setting as it is, without a word.
func readConfigFile(r io.Reader, app *kong.Application) (kong.Resolver, error) {
	d := json.NewDecoder(r)
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return nil, errors.New("the configuration file is not one JSON object")
	}
	known := map[string]bool{}
	for _, flags := range everyFlag(app.Node) {
		known[plainName(flags.Name)] = true
	}
	delete(known, "help")
	delete(known, "config")
	file := configFile{}
	for d.More() {
		token, err := d.Token()
		name, isText := token.(string)
		var value any
		if err == nil {
			err = d.Decode(&value)
		}
		plain := plainName(name)
		switch _, twice := file[plain]; {
		case err != nil || !isText: // whose text may quote a value
			return nil, errors.New("the configuration file is not valid JSON")
		case !known[plain]:
			return nil, fmt.Errorf("the configuration file sets %q, which is not a flag of pinvault", name)
		case twice:
			return nil, fmt.Errorf("the configuration file sets %q twice", name)
		}
		file[plain] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("the configuration file is not valid JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the configuration file has something after its JSON object")
	}
	return file, nil
}

// everyFlag lists the flags of a command and of those below it.
func everyFlag(n *kong.Node) []*kong.Flag {
	all := slices.Clone(n.Flags)
	for _, child := range n.Children {
		all = append(all, everyFlag(child)...)
	}
	return all
}

// strangers are the variables of an environment that look like pinvault's and are of no flag: a slip in one leaves a setting as it is. Those
// that keys names, as what opens the keys, are none.
func strangers(environment []string, app *kong.Application, keys string) (found []string) {
	known := map[string]bool{}
	for _, flag := range everyFlag(app.Node) {
		for _, name := range flag.Envs {
			known[name] = true
		}
	}
	for _, variable := range environment {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "PINVAULT_") && !known[name] && !strings.Contains(keys, "env:"+name) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

// plainName is a name without what its spellings differ in.
func plainName(name string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(name))
}

// Validate is kong.Resolver's.
func (configFile) Validate(*kong.Application) error { return nil }

// Resolve is the value of a flag that the environment leaves open.
func (c configFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	return c[plainName(flag.Name)], nil
}

// secretsInTheOpen refuses a secret that came by a flag, which everybody on the machine can read, and one
// from a configuration file that others can.
func secretsInTheOpen(c *kong.Context, configPath string) error {
	said := map[string]bool{}
	for _, flag := range c.Flags() {
		said[flag.Name], _ = c.FlagValue(flag).(bool)
	}
	for _, p := range c.Path {
		if p.Flag == nil || !p.Flag.Tag.Has("secret") {
			continue
		}
		switch {
		case !p.Resolved && !said["insecure-secret-flags"]:
			return fmt.Errorf("--%s can be seen on the command line by everybody on this machine: set %s instead, or use --insecure-secret-flags",
				p.Flag.Name, strings.Join(p.Flag.Envs, " or "))
		case p.Resolved && !said["insecure-key-files"] && config.SharedFile(kong.ExpandPath(configPath)):
			return fmt.Errorf("others on this machine can read %s, which holds %s: chmod 600 it, or use --insecure-key-files", configPath, p.Flag.Name)
		}
	}
	return nil
}
