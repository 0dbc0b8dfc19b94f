package main

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"pinvault/impl/keyring"
	"pinvault/impl/sandbox"
)

const document = `
x-fixture-client: accosa
paths:
  /pin:
    parameters: []
    post:
      operationId: resetPin
      requestBody:
        content:
          application/json:
            examples:
              default: &default
                value: {token: ''} # a remark
                x-decrypted: &message {code: '1120', urn: 7, name: <a&b>, none: null}
              again: *default
              theirs:
                value: {token: 'c3RhbGU='}
                x-decrypted: {<<: *message, urn: 007, last: true}
              clear:
                value: {token: 'as it is'}
      responses:
        '200':
          content:
            application/json:
              examples:
                default: &done
                  value: {token: ''}
                  x-decrypted: {code: '00'}
                again:
                  <<: *done
                theirs:
                  x-request: {authorization: other-program}
                  value: {token: ''}
                  x-decrypted: {code: '00'}
`

func TestEachTokenOpensToTheMessageBesideIt(t *testing.T) {
	t.Parallel()
	made, err := written([]byte(document))
	require.NoError(t, err)
	again, err := written(made)
	require.NoError(t, err)
	require.Equal(t, string(made), string(again))

	var root yaml.Node
	require.NoError(t, yaml.Unmarshal(made, &root))
	operation := at(root.Content[0], "paths", "/pin", "post")
	tokens := func(body *yaml.Node) map[string]string {
		found := map[string]string{}
		for name, example := range examples(body) {
			found[name] = text(at(example, "value", "token"))
		}
		return found
	}
	requests, replies := tokens(at(operation, "requestBody")), tokens(at(operation, "responses", "200"))
	require.Equal(t, `{"code":"1120","urn":7,"name":"<a&b>","none":null}`, opened(t, "accosa", requests["default"]))
	require.Equal(t, requests["default"], requests["again"])
	require.Equal(t, `{"code":"1120","urn":007,"name":"<a&b>","none":null,"last":true}`, opened(t, "accosa_other", requests["theirs"]))
	require.Equal(t, "as it is", requests["clear"])
	require.Equal(t, `{"code":"00"}`, opened(t, "accosa", replies["default"]))
	require.Equal(t, `{"code":"00"}`, opened(t, "accosa_other", replies["theirs"]))
	require.NotEqual(t, replies["default"][:16], requests["default"][:16], "each has an IV of its own")

	for _, token := range []string{requests["default"], requests["theirs"], replies["default"], replies["theirs"]} {
		made = []byte(strings.Replace(string(made), token, "", 1))
	}
	require.Equal(t, strings.Replace(document, "c3RhbGU=", "", 1), string(made), "nothing else is touched")
}

func opened(t *testing.T, client, token string) string {
	t.Helper()
	digits, ok := sandbox.Key(client, "key")
	require.True(t, ok)
	raw, err := hex.DecodeString(digits)
	require.NoError(t, err)
	key, err := keyring.NewTokenKey(raw, nil)
	require.NoError(t, err)
	message, ok := key.Open(token)
	require.True(t, ok)
	return string(message)
}

func TestATokenThatExamplesShareIsRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][2]string{
		"an alias":   {"{token: 'c3RhbGU='}", "*shared"},
		"no token":   {"{token: 'c3RhbGU='}", "{}"},
		"no quotes":  {"{token: 'c3RhbGU='}", "{token: c3RhbGU}"},
		"a sequence": {"urn: 007", "urn: [7]"},
	} {
		text := strings.Replace(document, change[0], change[1], 1)
		text = strings.Replace(text, "value: {token: ''} # a remark", "value: &shared {token: ''}", 1)
		_, err := written([]byte(text))
		require.ErrorContains(t, err, "resetPin request theirs", name)
	}
	_, err := written([]byte("\t"))
	require.Error(t, err)
	_, err = written([]byte(strings.Replace(document, "x-fixture-client: accosa", "x-fixture-client: moon", 1)))
	require.ErrorContains(t, err, "no key of moon")
}

func TestAStepsTokenIsOfTheClientOfItsDocument(t *testing.T) {
	t.Parallel()
	const workflows = `
workflows:
  - workflowId: life
    steps:
      - stepId: sealed
        operationId: $sourceDescriptions.accosa_other.resetPin
        requestBody:
          payload: {token: ''}
          x-decrypted: {code: '1120'}
      - stepId: other
        operationId: $sourceDescriptions.creditplus.reset
        requestBody: {payload: ey, x-decrypted: {code: '1120'}}
      - {stepId: clear, operationId: $sourceDescriptions.thredd.read}
`
	made, err := written([]byte(workflows))
	require.NoError(t, err)
	var root yaml.Node
	require.NoError(t, yaml.Unmarshal(made, &root))
	steps := items(at(items(at(root.Content[0], "workflows"))[0], "steps"))
	token := text(at(steps[0], "requestBody", "payload", "token"))
	require.Equal(t, `{"code":"1120"}`, opened(t, "accosa_other", token))
	require.Equal(t, workflows, strings.Replace(string(made), token, "", 1), "nothing else is touched")
	_, err = written([]byte(strings.Replace(workflows, "accosa_other", "moon", 1)))
	require.ErrorContains(t, err, "no key of moon")
}

func TestAStaleTokenIsNoticed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "accosa.yaml")
	require.Error(t, run(file, true), "no such document")
	require.NoError(t, os.WriteFile(file, []byte(document), 0o600))
	require.ErrorIs(t, run(file, true), errStale)
	require.NoError(t, run(file, false))
	require.NoError(t, run(file, true))
	require.NoError(t, run("../../../openapi/accosa.yaml", true))
	require.NoError(t, run("../../../openapi/workflows/card.arazzo.yaml", true))
}
