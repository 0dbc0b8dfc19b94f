package main

import (
	"fmt"

	"pinvault/impl/app"
	"pinvault/impl/config"
)

type docsCommand struct {
	Out    string `name:"out" required:"" type:"path" placeholder:"DIR" help:"The folder to write into."`
	Server string `name:"server" default:"http://127.0.0.1:8080" placeholder:"URL" help:"The URL of the server that the documents speak of. Default: ${default}."`
}

// Validate refuses a URL that no link could begin with.
func (c docsCommand) Validate() error {
	_, err := config.ServerURL("--server", c.Server)
	return err
}

// Run writes what /docs and /openapi serve, without the calls to try: there is no server behind a static site.
func (c docsCommand) Run() error {
	if err := app.WriteDocs(c.Out, c.Server); err != nil {
		return err
	}
	fmt.Println("index.html and what it loads are in", c.Out)
	return nil
}
