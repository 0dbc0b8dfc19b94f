// Command clear writes the documents of a folder into another as tools take them that know nothing of
// encryption: each in one piece, as JSON, and with what is inside an encrypted message in place of its
// envelope. From these, clients are generated, which speak in clear over a transport that seals and
// opens, and in these a break inside a message shows.
//
//	go run ./scripts/openapi/clear FROM TO
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"

	"pinvault/impl/bundle"
	"pinvault/impl/contract"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: clear FROM TO")
		os.Exit(2)
	}
	if err := write(os.DirFS(os.Args[1]), os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "clear:", err)
		os.Exit(1)
	}
}

// write writes every document that stands in fsys, as <name>.json.
func write(fsys fs.FS, dir string) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	names, err := contract.Names(fsys)
	if err != nil {
		return err
	}
	for _, name := range names {
		whole, err := bundle.Of(fsys, name)
		if err != nil {
			return err
		}
		text, err := whole.JSON()
		if err != nil {
			return err
		}
		prepared, err := prepare(text)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := root.WriteFile(name+".json", prepared, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// prepare opens the envelopes of a document and takes away what is not for generators: examples, of which those
// of the error rows break the schemas on purpose; links, whose bodies some take for text alone; and what a schema
// must not be, which no type can say.
func prepare(document []byte) ([]byte, error) {
	spec, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return nil, err
	}
	contents, parameters, replies := parts(spec)
	for _, content := range contents {
		if err := clearOf(spec, content); err != nil {
			return nil, err
		}
		for _, media := range content {
			media.Example, media.Examples = nil, nil
			allow(media.Schema)
		}
	}
	for _, p := range parameters {
		p.Value.Example, p.Value.Examples = nil, nil
	}
	for _, r := range replies {
		r.Links = nil
	}
	if spec.Components != nil {
		spec.Components.Links = nil
		for _, schema := range spec.Components.Schemas {
			allow(schema)
		}
	}
	return json.MarshalIndent(spec, "", "  ")
}

// parts are the contents of all requests and replies, all parameters and all replies. What several operations share
// comes up several times.
func parts(spec *openapi3.T) (contents []openapi3.Content, parameters openapi3.Parameters, replies []*openapi3.Response) {
	reply := func(r *openapi3.ResponseRef) {
		contents, replies = append(contents, r.Value.Content), append(replies, r.Value)
	}
	for _, item := range spec.Paths.Map() {
		parameters = append(parameters, item.Parameters...)
		for _, operation := range item.Operations() {
			parameters = append(parameters, operation.Parameters...)
			if operation.RequestBody != nil {
				contents = append(contents, operation.RequestBody.Value.Content)
			}
			for _, r := range operation.Responses.Map() {
				reply(r)
			}
		}
	}
	if spec.Components != nil {
		for _, p := range spec.Components.Parameters {
			parameters = append(parameters, p)
		}
		for _, body := range spec.Components.RequestBodies {
			contents = append(contents, body.Value.Content)
		}
		for _, r := range spec.Components.Responses {
			reply(r)
		}
	}
	return contents, parameters, replies
}

// decrypted names the component schema of what is inside an encrypted message.
const decrypted = "x-decrypted-schema"

// clearOf has a content describe its messages in clear, as application/json. Where the contract takes the same
// message in clear anyway, that stays as it is.
func clearOf(spec *openapi3.T, content openapi3.Content) error {
	const clearType = "application/json"
	for mediaType, media := range content {
		name := contract.MessageSchema(media.Extensions)
		if name == "" {
			continue
		}
		message := spec.Components.Schemas[name]
		if message == nil {
			return fmt.Errorf("%s names %s, which is no component schema", decrypted, name)
		}
		delete(media.Extensions, decrypted)
		if mediaType != clearType {
			delete(content, mediaType)
			if content[clearType] != nil {
				continue
			}
			content[clearType] = media
		}
		media.Schema = withReplies(openapi3.NewSchemaRef("#/components/schemas/"+name, message.Value), media.Schema)
	}
	return nil
}

// withReplies is the schema of a message and, where its envelope is one of several replies, of the others: a reply
// may be in clear where no key is known to seal it with. The envelope is the first of them.
func withReplies(message, envelope *openapi3.SchemaRef) *openapi3.SchemaRef {
	if len(envelope.Value.OneOf) < 2 {
		return message
	}
	either := openapi3.NewSchema()
	either.OneOf = append(openapi3.SchemaRefs{message}, envelope.Value.OneOf[1:]...)
	return openapi3.NewSchemaRef("", either)
}

// allow takes `not` out of a schema and what stands within it.
func allow(schema *openapi3.SchemaRef) {
	if schema == nil || schema.Ref != "" {
		return
	}
	s := schema.Value
	s.Not = nil
	allow(s.Items)
	allow(s.AdditionalProperties.Schema)
	for _, property := range s.Properties {
		allow(property)
	}
	for _, choice := range slices.Concat(s.OneOf, s.AnyOf, s.AllOf) {
		allow(choice)
	}
}
