package main

import (
	"fmt"

	"pinvault/impl/app"
)

type docsCommand struct {
	Out string `name:"out" required:"" type:"path" placeholder:"DIR" help:"The folder to write into."`
}

// Run writes what /docs and /openapi serve, without the calls to try: there is no server behind a static site.
func (c docsCommand) Run() error {
	if err := app.WriteDocs(c.Out); err != nil {
		return err
	}
	fmt.Println("index.html and what it loads are in", c.Out)
	return nil
}
