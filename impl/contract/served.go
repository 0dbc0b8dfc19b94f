package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
)

// Serving is Load for a server that shows nobody the document: it reads the form that [Form] made of it, <name>.json of
// forms. It checks as the whole does, which is <name>.yaml of documents and is read where [Document.Whole] is asked for.
//
// A form that is not valid OpenAPI is refused. Our own rules were kept when it was made.
func Serving(forms, documents fs.FS, name string, options ...Option) (*Document, error) {
	spec, err := open(forms, name+".json", false)
	if err == nil {
		err = validate(spec)
	}
	if err != nil {
		return nil, fmt.Errorf("contract %s as it is served: %w", name, err)
	}
	d := newDocument(name, spec, options)
	d.whole = sync.OnceValues(func() (*Document, error) {
		whole, err := Load(documents, name, options...)
		if err != nil {
			return nil, fmt.Errorf("what readers need of it: %w", err)
		}
		return whole, nil
	})
	return d, nil
}

// Whole is the document with prose and examples. It is read when it is first asked for, where this one is without.
func (d *Document) Whole() (*Document, error) {
	if d.whole == nil {
		return d, nil
	}
	return d.whole()
}

// Form is <name>.yaml of documents as [Serving] reads it: JSON without what only readers need, a quarter of the text. Readers of
// JSON lose the order, so x-order has it: under paths of all operations, by operationId, and in a schema of its
// properties, where that is not the alphabet's. References lead to the forms of other documents.
//
// A document that Load refuses has no form.
func Form(documents fs.FS, name string) ([]byte, error) {
	d, err := Load(documents, name)
	if err != nil {
		return nil, err
	}
	if err := d.noteOrder(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(d.spec)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // as it is written
	var form map[string]any
	if err := decoder.Decode(&form); err != nil {
		return nil, err
	}
	withoutProse(form, false)
	return json.MarshalIndent(form, "", "") // a member a line, for whoever compares
}

// noteOrder writes x-order into the document, which Form has for itself.
func (d *Document) noteOrder() error {
	var ids []string
	for _, op := range d.operations {
		ids = append(ids, op.ID)
	}
	d.spec.Paths.Extensions = extended(d.spec.Paths.Extensions, ids)
	return d.spec.WalkSchemas(func(_ string, ref *openapi3.SchemaRef) error {
		if names := documentOrder(ref.Value); !slices.IsSorted(names) {
			ref.Value.Extensions = extended(ref.Value.Extensions, names)
		}
		return nil
	})
}

func extended(extensions map[string]any, order []string) map[string]any {
	if extensions == nil {
		extensions = map[string]any{}
	}
	extensions[orderExtension] = order
	return extensions
}

// forReaders are the members that no check looks at.
var forReaders = map[string]bool{"description": true, "summary": true, "example": true, "examples": true,
	"x-advice": true, "x-codeSamples": true, "x-decrypted": true, "x-error-reference": true, "x-origin": true}

// holders are the members whose own members bear names of the document's: a property may be called description.
var holders = map[string]bool{"properties": true, "schemas": true, "parameters": true, "headers": true, "requestBodies": true, "responses": true,
	"securitySchemes": true, "paths": true, "content": true, "scopes": true, "x-scopes": true, "mapping": true, "links": true, "callbacks": true}

// withoutProse takes out of an object what is for readers, and leads references to forms. named says that the object's
// members bear names of the document's.
func withoutProse(object map[string]any, named bool) {
	for key, value := range object {
		if forReaders[key] && !named {
			delete(object, key)
			continue
		}
		switch value := value.(type) {
		case map[string]any:
			withoutProse(value, holders[key] && !named)
			if key == "responses" && !named {
				describe(value)
			}
		case []any:
			for _, item := range value {
				if item, ok := item.(map[string]any); ok {
					withoutProse(item, false)
				}
			}
		case string:
			if key == "$ref" {
				object[key] = strings.Replace(value, ".yaml#", ".json#", 1)
			}
		}
	}
}

// describe gives each response the description that OpenAPI asks for.
func describe(responses map[string]any) {
	for _, response := range responses {
		if response, ok := response.(map[string]any); ok && response["$ref"] == nil {
			response["description"] = ""
		}
	}
}
