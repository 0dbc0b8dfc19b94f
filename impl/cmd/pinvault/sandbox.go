package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"

	"pinvault/impl/app"
	"pinvault/impl/config"
	"pinvault/impl/scratch"
)

type sandboxCommand struct {
	config.Sandbox
	PrintSeedSchema bool `help:"Only print the JSON Schema of --seed."`
}

// Help shows what test suites call.
func (sandboxCommand) Help() string {
	return `When it serves, it prints a line of JSON, and nothing else: {"ready":true,"url":"http://127.0.0.1:41234",…}. Logs are on standard error.

For example, on a free port, until the test suite that started it is no more:

    pinvault sandbox --port 0 --until-stdin-closes

With cards of your own besides the fixtures:

    pinvault sandbox --seed cards.yaml

Where containers are reached from elsewhere:

    pinvault sandbox --listen 0.0.0.0:8080 --public-url http://pinvault:8080`
}

// Run serves until the process is told to stop, or nobody is there any more.
func (c *sandboxCommand) Run(ctx context.Context) error {
	if c.PrintSeedSchema {
		return printSeedSchema(os.Stdout)
	}
	unless, err := defaults()
	if err != nil {
		return err
	}
	if c.DatabaseURL == "" {
		folder, err := scratch.New()
		if err != nil {
			return err
		}
		defer func() { _ = folder.Remove() }()
		c.DatabaseURL = "sqlite://" + filepath.Join(folder.Path, "pinvault.db")
	}
	settings := c.Serve(unless)
	if err := settings.Validate(); err != nil {
		return err
	}
	if c.UntilStdinCloses {
		ctx = untilClosed(ctx, os.Stdin)
	}
	return app.Serve(ctx, settings, app.Serving{Version: version, Seed: c.Seed, Log: os.Stderr, Begins: func(publicURL string) {
		giveBack()
		_ = show(readyLine(publicURL))
	}})
}

// defaults are the settings of 'pinvault serve' by its environment variables, or else what it has unless told otherwise.
// They are not checked, since they are no sandbox's yet.
func defaults() (unless config.Serve, err error) {
	parser, err := kong.New(&unless)
	if err != nil {
		return unless, err
	}
	nothing, err := kong.Trace(parser, nil)
	if err == nil {
		err = nothing.ApplyDefaults()
	}
	return unless, err
}

func printSeedSchema(to io.Writer) error {
	schema, err := app.SeedSchema()
	if err == nil {
		_, err = to.Write(append(schema, '\n'))
	}
	return err
}

// untilClosed is a context that ends too when there is no more to be read.
func untilClosed(parent context.Context, in io.Reader) context.Context {
	ctx, cancel := context.WithCancel(parent)
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, in)
	}()
	return ctx
}

// ready is what whoever started the sandbox waits for.
type ready struct {
	Ready   bool   `json:"ready"`
	URL     string `json:"url"`
	Docs    string `json:"docs"`
	Console string `json:"console"`
	PID     int    `json:"pid"`
	Version string `json:"version,omitempty"`
}

func readyLine(publicURL string) ready {
	base := strings.TrimSuffix(publicURL, "/")
	return ready{true, base, base + "/docs", base + "/sandbox", os.Getpid(), version}
}
