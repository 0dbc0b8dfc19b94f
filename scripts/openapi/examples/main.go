// Command examples checks the examples in OpenAPI documents against their schemas, and prints what does
// not match, a line each:
//
//	go run ./scripts/openapi/examples FILE…
//
// Every example of a reply and of a header has to match. So has every one of a request, except for those of
// rows of errors: they may be wrong on purpose, and that they lead to their row is what the conversations
// with a running server prove. Of a sealed message both are looked at, what is sent and what is inside.
// Examples within schemas are the linters'.
package main

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"pinvault/impl/contract"
)

func main() {
	findings, err := check(os.Args[1:])
	for _, finding := range findings {
		fmt.Fprintln(os.Stderr, finding)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "examples:", err)
	}
	if len(findings) > 0 || err != nil {
		os.Exit(1)
	}
}

// check returns what does not match in these documents.
func check(files []string) (findings []string, err error) {
	for _, file := range files {
		dir, base := filepath.Split(file)
		document, err := contract.Load(os.DirFS(filepath.Clean(dir)), strings.TrimSuffix(base, ".yaml"))
		if err != nil {
			return findings, err
		}
		c := checker{spec: document.Spec(), reported: map[string]bool{}}
		c.document()
		for _, finding := range c.findings {
			findings = append(findings, dir+finding)
		}
		if c.checks == 0 {
			return findings, fmt.Errorf("%s has no example", file)
		}
	}
	return findings, nil
}

type checker struct {
	spec     *openapi3.T
	findings []string
	reported map[string]bool // operations share responses and examples; what is wrong with one is said once
	checks   int
}

func (c *checker) document() {
	for _, item := range sorted(c.spec.Paths.Map()) {
		for _, op := range sorted(item.Operations()) {
			c.operation(item, op)
		}
	}
	if c.spec.Components != nil {
		for name, ref := range sorted(c.spec.Components.Responses) { // one may be named by x-error-response alone
			c.response(name, ref.Value)
		}
	}
}

func (c *checker) operation(item *openapi3.PathItem, op *openapi3.Operation) {
	rows := errorRows(op)
	for _, ref := range slices.Concat(item.Parameters, op.Parameters) {
		p := ref.Value
		c.examples(op.OperationID+", parameter "+p.Name, rows, openapi3.VisitAsRequest(),
			&openapi3.MediaType{Schema: p.Schema, Example: p.Example, Examples: p.Examples, Origin: p.Origin})
	}
	if op.RequestBody != nil {
		for media, content := range sorted(op.RequestBody.Value.Content) {
			c.examples(op.OperationID+", request "+media, rows, openapi3.VisitAsRequest(), content)
		}
	}
	for status, ref := range sorted(op.Responses.Map()) {
		c.response(op.OperationID+" "+status, ref.Value)
	}
}

func (c *checker) response(where string, r *openapi3.Response) {
	for media, content := range sorted(r.Content) {
		c.examples(where+", "+media, nil, openapi3.VisitAsResponse(), content)
	}
	for name, ref := range sorted(r.Headers) {
		h := ref.Value
		c.examples(where+", header "+name, nil, openapi3.VisitAsResponse(),
			&openapi3.MediaType{Schema: h.Schema, Example: h.Example, Examples: h.Examples, Origin: h.Origin})
	}
}

// errorRows are the names of the examples of an operation's replies that are no success.
func errorRows(op *openapi3.Operation) map[string]bool {
	rows := map[string]bool{}
	for status, ref := range op.Responses.Map() {
		if !strings.HasPrefix(status, "2") {
			for _, content := range ref.Value.Content {
				for name := range content.Examples {
					rows[name] = true
				}
			}
		}
	}
	return rows
}

// examples checks the examples of one place, except for those with the names of rows of errors.
func (c *checker) examples(where string, rows map[string]bool, as openapi3.SchemaValidationOption, m *openapi3.MediaType) {
	if m.Example != nil {
		c.match(where, m.Origin, m.Schema, m.Example, as)
	}
	for name, ref := range sorted(m.Examples) {
		if rows[name] {
			continue
		}
		where := where + ", example " + name
		c.match(where, ref.Value.Origin, m.Schema, meant(rows, m.Schema, ref.Value.Value), as)
		if inside, sealed := ref.Value.Extensions["x-decrypted"]; sealed {
			message := c.spec.Components.Schemas[contract.MessageSchema(m.Extensions)]
			c.match(where+", x-decrypted", ref.Value.Origin, message, meant(rows, message, inside), as)
		}
	}
}

// meant is what a request says, of which there are rows of errors: what counts as not sent is not checked.
func meant(rows map[string]bool, schema *openapi3.SchemaRef, value any) any {
	if rows == nil || schema == nil {
		return value
	}
	return contract.Meant(schema.Value, value)
}

func (c *checker) match(where string, origin *openapi3.Origin, schema *openapi3.SchemaRef, value any, as openapi3.SchemaValidationOption) {
	c.checks++
	reasons := []string{"has no schema to match"}
	if schema != nil {
		reasons = breaks(schema.Value.VisitJSON(value, as, openapi3.MultiErrors(), openapi3.EnableFormatValidation(), contract.Formats()))
	}
	for _, reason := range reasons {
		finding := where + " " + reason
		if origin != nil && origin.Key != nil {
			key := fmt.Sprintf("%s:%d", origin.Key.File, origin.Key.Line)
			finding, key = key+": "+finding, key+" "+reason
			if c.reported[key] {
				continue
			}
			c.reported[key] = true
		}
		c.findings = append(c.findings, finding)
	}
}

// sorted yields a map in the order of its keys, so that the same finding is said of the same example each time.
func sorted[M ~map[string]V, V any](m M) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}

// breaks writes an error of kin-openapi as JSON pointers and what is wrong there. The values are public.
func breaks(err error) []string {
	if err == nil {
		return nil
	}
	if several, ok := errors.AsType[openapi3.MultiError](err); ok {
		var all []string
		for _, one := range several {
			all = append(all, breaks(one)...)
		}
		return all
	}
	if one, ok := errors.AsType[*openapi3.SchemaError](err); ok {
		return []string{"at /" + strings.Join(one.JSONPointer(), "/") + ": " + one.Reason}
	}
	return []string{err.Error()}
}
