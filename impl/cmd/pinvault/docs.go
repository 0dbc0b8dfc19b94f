package main

import (
	"fmt"
	"maps"
	"slices"

	"pinvault/impl/server"
	"pinvault/openapi"
)

type docsCommand struct {
	Out string `name:"out" required:"" type:"path" placeholder:"DIR" help:"The folder to write into."`
}

// Run writes what /docs and /openapi serve, without the calls to try: there is no server behind a static site.
func (c docsCommand) Run() error {
	documents, err := loadDocuments()
	if err != nil {
		return err
	}
	docs, err := server.NewDocs(slices.Collect(maps.Values(documents)), openapi.Documents)
	if err != nil {
		return err
	}
	if err := docs.Write(c.Out); err != nil {
		return err
	}
	fmt.Println("index.html and what it loads are in", c.Out)
	return nil
}
