package bundle_test

import (
	"cmp"
	"encoding/json"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"pinvault/impl/bundle"
	"pinvault/impl/contract"
	"pinvault/openapi"
)

var bundled = fstest.MapFS{
	"own.yaml": {Data: []byte(`
# For whoever changes it.
openapi: 3.0.3
info: {title: Own, version: '1'}
servers: [{url: /}, {url: 'https://elsewhere.example'}]
paths:
  /zoo:
    get:
      operationId: look
      description: curl http://127.0.0.1:8080/zoo
      responses:
        '200':
          description: A thing
          content: {application/json: {schema: {$ref: 'shared.yaml#/components/schemas/Thing'}}}
        '404': {$ref: '#/components/responses/Gone'}
  /ark: {get: {responses: {'200': {$ref: 'own.yaml#/components/responses/Fine'}}}}
components:
  responses:
    Gone: {$ref: 'shared.yaml#/components/responses/Gone'}
    Fine: {description: Fine}
  securitySchemes:
    oauth2: {type: oauth2, flows: {clientCredentials: {tokenUrl: /token, scopes: {}}}}
    key: {type: apiKey, in: header, name: key}
x-base: &base {zebra: 1, ape: {b: true, a: null}}
x-other: &other {ape: 2, cow: 2026-01-15, dog: 1.50}
x-long: [123456789012345678901234567890, -9223372036854775809, 0x10]
x-merged: {<<: [*base, *other], bee: '3', zebra: 9, eel: }
x-again: {<<: *base}
x-same: *other
`)},
	"shared.yaml": {Data: []byte(`
openapi: 3.0.3
info: {title: Shared, version: '1'}
paths: {}
components:
  responses:
    Gone: {description: Gone, content: {application/json: {schema: {$ref: '#/components/schemas/Thing'}}}}
  schemas:
    Thing: {type: object, properties: {colour: {$ref: '#/components/schemas/Colour'}, inside: {$ref: '#/components/schemas/Thing'}}}
    Colour: {type: string, enum: [red]}
    Unused: {type: string}
`)},
}

func bundleOf(t *testing.T, files fs.FS, name string) *bundle.Document {
	t.Helper()
	b, err := bundle.Of(files, name)
	require.NoError(t, err)
	return b
}

const bundledJSON = `{"openapi":"3.0.3","info":{"title":"Own","version":"1"},` +
	`"servers":[{"url":"https://pin.example/base"},{"url":"https://elsewhere.example"}],` +
	`"paths":{"/zoo":{"get":{"operationId":"look","description":"curl https://pin.example/base/zoo","responses":{` +
	`"200":{"description":"A thing","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Thing"}}}},` +
	`"404":{"$ref":"#/components/responses/Gone"}}}},` +
	`"/ark":{"get":{"responses":{"200":{"$ref":"#/components/responses/Fine"}}}}},` +
	`"components":{"responses":{"Gone":{"description":"Gone","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Thing"}}}},"Fine":{"description":"Fine"}},` +
	`"securitySchemes":{"oauth2":{"type":"oauth2","flows":{"clientCredentials":{"tokenUrl":"https://pin.example/base/token","scopes":{}}}},` +
	`"key":{"type":"apiKey","in":"header","name":"key"}},` +
	`"schemas":{"Thing":{"type":"object","properties":{"colour":{"$ref":"#/components/schemas/Colour"},"inside":{"$ref":"#/components/schemas/Thing"}}},` +
	`"Colour":{"type":"string","enum":["red"]}}},` +
	`"x-base":{"zebra":1,"ape":{"b":true,"a":null}},` +
	`"x-other":{"ape":2,"cow":"2026-01-15","dog":1.5},` +
	`"x-long":[123456789012345678901234567890,-9223372036854775809,16],` +
	`"x-merged":{"ape":{"b":true,"a":null},"cow":"2026-01-15","dog":1.5,"bee":"3","zebra":9,"eel":null},` +
	`"x-again":{"zebra":1,"ape":{"b":true,"a":null}},"x-same":{"ape":2,"cow":"2026-01-15","dog":1.5}}`

func TestABundleIsWholePlainAndInTheOrderOfItsSource(t *testing.T) {
	t.Parallel()
	b := bundleOf(t, bundled, "own").At("https://pin.example/base/")
	asJSON, err := b.JSON()
	require.NoError(t, err)
	var compact json.RawMessage
	require.NoError(t, json.Unmarshal(asJSON, &compact))
	flat, err := json.Marshal(compact)
	require.NoError(t, err)
	require.Equal(t, bundledJSON, string(flat))

	asYAML, err := b.YAML()
	require.NoError(t, err)
	require.NotContains(t, string(asYAML), "whoever")
	require.NotRegexp(t, `(?m)<<|[ :]&[a-z]|[ :\[]\*[a-z]`, string(asYAML), "no merge key, anchor or alias")
	var read any
	require.NoError(t, yaml.Unmarshal(asYAML, &read))
	again, err := json.Marshal(read)
	require.NoError(t, err)
	require.JSONEq(t, string(asJSON), string(again))
}

func TestMembersAreNamedPutAndDropped(t *testing.T) {
	t.Parallel()
	m := bundle.Mapping()
	for _, name := range []string{"b", "a", "c"} {
		bundle.Set(m, name, "!!str", name)
	}
	bundle.Put(m, "a", bundle.Mapping())
	bundle.Put(m, "d", bundle.Mapping())
	bundle.Drop(m, "b")
	bundle.Drop(m, "nothing")
	require.Equal(t, []string{"a", "c", "d"}, bundle.Names(m))
	require.Equal(t, yaml.MappingNode, bundle.Member(m, "a").Kind)
	require.Nil(t, bundle.Names(nil))
}

func TestWhatCannotBeBundledIsRefused(t *testing.T) {
	t.Parallel()
	_, err := bundle.Of(bundled, "nobody")
	require.ErrorIs(t, err, fs.ErrNotExist)
	for name, text := range map[string]string{
		"no YAML":                   "a: [",
		"no object":                 "[]",
		"refers to something else":  "a: {$ref: 'shared.yaml#/info'}",
		"has no components/schemas": "a: {$ref: 'shared.yaml#/components/schemas/Nothing'}",
		"both have":                 "a: {$ref: 'shared.yaml#/components/schemas/Colour'}\ncomponents: {schemas: {Colour: {type: integer}}}",
		"file does not exist":       "a: {$ref: 'gone.yaml#/components/schemas/Colour'}",
	} {
		_, err := bundle.Of(fstest.MapFS{"own.yaml": {Data: []byte(text)}, "shared.yaml": bundled["shared.yaml"]}, "own")
		require.Error(t, err, name)
	}
}

// What tools are handed says the very same as what requests are held against.
func TestTheBundleOfEachDocumentSaysTheSame(t *testing.T) {
	t.Parallel()
	names, err := contract.Names(openapi.Documents)
	require.NoError(t, err)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := bundleOf(t, openapi.Documents, name)
			asJSON, err := b.JSON()
			require.NoError(t, err)
			asYAML, err := b.YAML()
			require.NoError(t, err)
			want := resolved(t, openapi.Documents, name+".yaml")
			for file, text := range map[string][]byte{"bundle.json": asJSON, "bundle.yaml": asYAML} {
				spec, err := openapi3.NewLoader().LoadFromData(text) // which reads no other file
				require.NoError(t, err)
				require.NoError(t, spec.Validate(t.Context(), openapi3.DisableExamplesValidation()))
				got := resolved(t, fstest.MapFS{file: {Data: text}}, file)
				require.Empty(t, differences("", want, got), file)
			}
		})
	}
}

// resolved is all that a document says of its operations, with what references lead to in their places.
func resolved(t *testing.T, files fs.FS, name string) any {
	t.Helper()
	read := map[string]map[string]any{}
	of := func(file string) map[string]any {
		if read[file] == nil {
			text, err := fs.ReadFile(files, file)
			require.NoError(t, err)
			var all map[string]any
			require.NoError(t, yaml.Unmarshal(text, &all))
			read[file] = all
		}
		return read[file]
	}
	var resolve func(v any, file string, under []string) any
	resolve = func(v any, file string, under []string) any {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				target, pointer, _ := strings.Cut(ref, "#")
				target = cmp.Or(target, file)
				if slices.Contains(under, pointer) {
					return "within itself: " + pointer
				}
				var at any = of(target)
				for _, step := range strings.Split(pointer, "/")[1:] {
					at = at.(map[string]any)[step]
				}
				require.NotNil(t, at, ref)
				return resolve(at, target, append(slices.Clone(under), pointer))
			}
			out := map[string]any{}
			for key, inner := range v {
				out[key] = resolve(inner, file, under)
			}
			return out
		case []any:
			out := make([]any, len(v))
			for i, inner := range v {
				out[i] = resolve(inner, file, under)
			}
			return out
		case time.Time: // which JSON does not have
			return strings.TrimSuffix(v.Format(time.RFC3339), "T00:00:00Z")
		}
		return v
	}
	return resolve(of(name)["paths"], name, nil)
}

// differences are where two values differ.
func differences(at string, want, got any) (found []string) {
	w, isObject := want.(map[string]any)
	g, isToo := got.(map[string]any)
	if !isObject || !isToo {
		if !reflect.DeepEqual(want, got) {
			found = []string{at}
		}
		return found
	}
	for _, key := range slices.Sorted(maps.Keys(w)) {
		found = append(found, differences(at+"/"+key, w[key], g[key])...)
	}
	for key := range g {
		if _, ok := w[key]; !ok {
			found = append(found, at+"/"+key)
		}
	}
	return found
}
