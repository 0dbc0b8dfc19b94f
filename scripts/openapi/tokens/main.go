// Command tokens writes the tokens of a document's examples, and of the steps of a workflow: each opens to the message
// that stands beside it in x-decrypted, written as it stands there, under the key of the sandbox client that sends it.
//
//	go run ./scripts/openapi/tokens [--check] FILE…
//
// What it writes follows from the file alone: the IV of an example comes from the example's name. With --check it
// writes nothing and fails where a token is not what it would write.
package main

import (
	"bytes"
	"crypto/aes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"pinvault/impl/keyring"
	"pinvault/impl/sandbox"
)

func main() {
	args := os.Args[1:]
	checking := len(args) > 0 && args[0] == "--check"
	if checking {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "usage: tokens [--check] FILE…")
		os.Exit(2)
	}
	for _, file := range args {
		if err := run(file, checking); err != nil {
			fmt.Fprintln(os.Stderr, "tokens:", err)
			os.Exit(1)
		}
	}
}

var errStale = errors.New("tokens do not open to the messages beside them; run 'make generate' and commit the result")

func run(file string, checking bool) error {
	before, err := os.ReadFile(file) //nolint:gosec // the document that was named
	if err != nil {
		return err
	}
	after, err := written(before)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", file, err)
	case bytes.Equal(before, after):
		return nil
	case checking:
		return fmt.Errorf("%s: %w", file, errStale)
	}
	return os.WriteFile(file, after, 0o644) //nolint:gosec // a document to read
}

// written is a document with its tokens as they should be. Nothing else of it is touched.
func written(document []byte) ([]byte, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(document, &root); err != nil {
		return nil, err
	}
	w := writer{lines: strings.SplitAfter(string(document), "\n"), client: text(at(root.Content[0], "x-fixture-client")), done: map[*yaml.Node]bool{}}
	for path, item := range members(at(root.Content[0], "paths")) {
		for method, operation := range members(item) {
			if operation.Kind != yaml.MappingNode {
				continue
			}
			if err := w.operation(operation); err != nil {
				return nil, fmt.Errorf("%s %s: %w", method, path, err)
			}
		}
	}
	for _, workflow := range items(at(root.Content[0], "workflows")) {
		for _, step := range items(at(workflow, "steps")) {
			if err := w.step(step, text(at(workflow, "workflowId"))); err != nil {
				return nil, err
			}
		}
	}
	return []byte(strings.Join(w.lines, "")), nil
}

// writer writes tokens into the lines of a document.
type writer struct {
	lines  []string
	client string // of the sandbox, that sends the examples that name no other
	done   map[*yaml.Node]bool
}

// operation writes the tokens of requests and replies. Who sends an example stands in its reply.
func (w writer) operation(operation *yaml.Node) error {
	senders := map[string]string{}
	for _, response := range members(at(operation, "responses")) {
		for name, example := range examples(response) {
			senders[name] = text(at(example, "x-request", "authorization"))
		}
	}
	id := text(at(operation, "operationId"))
	for name, example := range examples(at(operation, "requestBody")) {
		if err := w.example(example, "value", w.sender(senders[name]), id+" request "+name); err != nil {
			return err
		}
	}
	for status, response := range members(at(operation, "responses")) {
		for name, example := range examples(response) {
			if err := w.example(example, "value", w.sender(senders[name]), id+" "+status+" "+name); err != nil {
				return err
			}
		}
	}
	return nil
}

// step writes the token of a step of a workflow (Arazzo 1.0), which the sandbox's client of the operation's document
// sends. What is sealed otherwise is not ours to write.
func (w writer) step(step *yaml.Node, workflow string) error {
	body := at(step, "requestBody")
	if own(own(body, "payload"), "token") == nil {
		return nil
	}
	source, _, _ := strings.Cut(strings.TrimPrefix(text(at(step, "operationId")), "$sourceDescriptions."), ".")
	return w.example(body, "payload", source, workflow+" "+text(at(step, "stepId")))
}

// example writes the token of one example, if it has one of its own, in the member named.
func (w writer) example(example *yaml.Node, member, sender, name string) error {
	message, value := own(example, "x-decrypted"), own(example, member)
	if message == nil || value == nil || w.done[example] {
		return nil
	}
	w.done[example] = true
	token := own(value, "token")
	if value.Kind == yaml.AliasNode || token == nil || token.Style != yaml.SingleQuotedStyle {
		return fmt.Errorf("%s has no token of its own: write %s: {token: ''}", name, member)
	}
	sealed, err := w.sealed(message, sender, name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	line := w.lines[token.Line-1]
	head, rest := line[:token.Column-1], line[token.Column-1:]
	if rest, ok := strings.CutPrefix(rest, "'"+token.Value+"'"); ok {
		w.lines[token.Line-1] = head + "'" + sealed + "'" + rest
		return nil
	}
	return fmt.Errorf("%s: the token has a line break", name)
}

// sealed is the token of a message from a client of the sandbox.
func (w writer) sealed(message *yaml.Node, sender, name string) (string, error) {
	var said bytes.Buffer
	if err := encode(&said, message); err != nil {
		return "", err
	}
	digits, ok := sandbox.Key(sender, "key")
	if !ok {
		return "", fmt.Errorf("the sandbox has no key of %s", sender)
	}
	raw, err := hex.DecodeString(digits)
	if err != nil {
		return "", err
	}
	key, err := keyring.NewTokenKey(raw, nil)
	if err != nil {
		return "", err
	}
	iv := sha256.Sum256([]byte(name))
	return key.Seal(bytes.NewReader(iv[:aes.BlockSize]), said.Bytes())
}

// sender is the client of the sandbox that a word of x-request.authorization stands for.
func (w writer) sender(word string) string {
	if word == "other-program" {
		return w.client + "_other"
	}
	if _, known := sandbox.Key(word, "key"); known {
		return word
	}
	return w.client
}

// encode writes a message as JSON in the order in which it stands in the document.
func encode(out *bytes.Buffer, n *yaml.Node) error {
	n = target(n)
	switch {
	case n.Kind == yaml.MappingNode:
		out.WriteByte('{')
		first := true
		for name, value := range members(n) {
			if !first {
				out.WriteByte(',')
			}
			first = false
			if err := scalar(out, name); err != nil {
				return err
			}
			out.WriteByte(':')
			if err := encode(out, value); err != nil {
				return err
			}
		}
		out.WriteByte('}')
		return nil
	case n.Kind != yaml.ScalarNode:
		return errors.New("a message has members that are texts, numbers or null")
	case n.ShortTag() == "!!str":
		return scalar(out, n.Value)
	case n.ShortTag() == "!!null":
		out.WriteString("null")
	default:
		out.WriteString(n.Value) // a number or boolean is the same in JSON; what is not does not open to the message
	}
	return nil
}

func scalar(out *bytes.Buffer, text string) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	err := e.Encode(text)
	out.Truncate(out.Len() - 1) // the line break
	return err
}
