// Command facts writes, by a template, what a package has to know of each contract beyond its operations: the errors
// by their codes, how a caller is known, how messages are sealed, and which calls may be repeated. It reads the
// documents' sources, whose rows are the whole of what is documented, and knows no language.
//
//	go run ./scripts/sdk/facts DOCUMENTS TEMPLATE OUT
//
// OUT is a path with {name} or {Name} in it, of the contract.
package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/getkin/kin-openapi/openapi3"

	"pinvault/impl/contract"
	"pinvault/impl/rows"
)

// Contract is what templates are given.
type Contract struct {
	Name, Class    string // networkintl, NetworkIntl
	Title, Version string
	TokenPath      string   // of the client credentials, "" where there are none
	KeyHeader      string   // of the API key, "" where there is none
	Sealing        string   // jwe, token, or "" for messages in the clear
	CodeAt, TextAt []string // JSON pointers into a reply
	Errors         []Error  // by code
	Repeats        []Repeat // in the order of the paths
}

// Error is a documented error by the code that a reply has, else by its status.
type Error struct{ Code, Advice string }

// Word is the code as names have it: CODE_1231, or INVALID_CLIENT.
func (e Error) Word() string {
	word := strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(e.Code))
	if word[0] >= '0' && word[0] <= '9' {
		return "CODE_" + word
	}
	return word
}

// Camel is the code as names have it in Go: 1231, or InvalidClient.
func (e Error) Camel() string {
	var all strings.Builder
	for part := range strings.SplitSeq(strings.ToLower(e.Code), "_") {
		all.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return all.String()
}

// Repeat is a call that may be repeated as it is: where it bears a header, with this value where one is named.
// A package adds a header without a value itself, since it is the key by which the server knows the call again.
type Repeat struct{ Method, Path, Header, Value string }

// classes are names that are more than one word.
var classes = map[string]string{"creditplus": "CreditPlus", "networkintl": "NetworkIntl"}

// promise is a sentence of a document by which calls may be repeated that have no key in a header.
type promise struct {
	operations []string
	mediaType  string // that the request must have, "" for any
	sentence   string
}

var promises = map[string]promise{
	"accosa":      {[]string{"resetPin"}, "", "The same clientTxnId with the same message is answered as the first time, and has no second effect."},
	"common":      {[]string{"issueToken"}, "", "All calls may be repeated."},
	"creditplus":  {[]string{"resetPinRetryCounterV2"}, "application/jose", "The same JWE of the same client is answered the same"},
	"networkintl": {[]string{"changeCardPinV1", "changeCardPinV2"}, "", "the same request again, byte for byte, gets the reply that was stored, and has no second effect"},
	"sandbox":     {[]string{"resetSandbox", "restoreSnapshot"}, "", "All but the creation of a rule or a space without an id, and `advanceSeconds`, may be repeated."},
}

// sharedTokens is issueToken of common, which all contracts but those with their own take tokens from.
const sharedTokens = "/oauth2/token" //nolint:gosec // a path

func main() {
	if len(os.Args) != 4 { //nolint:mnd // the program, a folder, a template, and a path
		fmt.Fprintln(os.Stderr, "usage: facts DOCUMENTS TEMPLATE OUT")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "facts:", err)
		os.Exit(1)
	}
}

func write(documents, from, to string) error {
	text, err := template.New(filepath.Base(from)).Funcs(template.FuncMap{"capital": capital, "pattern": pattern}).ParseFiles(from)
	if err != nil {
		return err
	}
	sources := os.DirFS(documents)
	names, err := contract.Names(sources)
	if err != nil {
		return err
	}
	for _, name := range names {
		c, err := read(sources, name)
		if err != nil {
			return err
		}
		var out bytes.Buffer
		if err := text.Execute(&out, c); err != nil {
			return err
		}
		path := strings.NewReplacer("{name}", c.Name, "{Name}", c.Class).Replace(to)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil { //nolint:gosec // whoever runs it says where
			return err
		}
		if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil { //nolint:gosec // as above
			return err
		}
	}
	return nil
}

func capital(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

// pattern is a path of a document as a regular expression that the path of a URL ends with.
func pattern(path string) string {
	return regexp.MustCompile(`\\\{[^}]*\\\}`).ReplaceAllString(regexp.QuoteMeta(path), "[^/]+") + "$"
}

func read(documents fs.FS, name string) (*Contract, error) {
	d, err := contract.Load(documents, name)
	if err != nil {
		return nil, err
	}
	spec := d.Spec()
	c := &Contract{Name: name, Class: cmp.Or(classes[name], capital(name)), Title: spec.Info.Title, Version: spec.Info.Version}
	for _, scheme := range spec.Components.SecuritySchemes {
		if scheme.Value.Type == "apiKey" {
			c.KeyHeader = scheme.Value.Name
		}
		if flows := scheme.Value.Flows; flows != nil && flows.ClientCredentials != nil {
			c.TokenPath = flows.ClientCredentials.TokenURL
		}
	}
	if err := errors.Join(c.errors(spec), c.calls(spec)); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// errors are those of the document's table, by code or else by status.
func (c *Contract) errors(spec *openapi3.T) error {
	table, err := rows.ErrorReferenceOf(spec)
	if err != nil {
		return err
	}
	c.CodeAt, c.TextAt = table.Code, table.Text
	all, err := rows.All(spec)
	if err != nil {
		return err
	}
	advice := maps.Clone(table.Advice)
	for _, row := range all {
		if row.Reply.Status < 400 || row.Reply.Body == nil { //nolint:mnd // what is no error
			continue
		}
		value, err := row.Reply.Decode(row.Reply.Body)
		if err != nil {
			return err
		}
		code := cmp.Or(table.CodeOf(value), strconv.Itoa(row.Reply.Status))
		advice[code] = cmp.Or(advice[code], table.AdviceOn(code, row.Reply.Status))
	}
	for _, code := range slices.Sorted(maps.Keys(advice)) {
		c.Errors = append(c.Errors, Error{code, advice[code]})
	}
	return nil
}

// calls finds how messages are sealed, and what may be repeated.
func (c *Contract) calls(spec *openapi3.T) error {
	promised := promises[c.Name]
	if !strings.Contains(strings.Join(strings.Fields(spec.Info.Description), " "), promised.sentence) {
		return fmt.Errorf("the document no longer says %q", promised.sentence)
	}
	if c.TokenPath == sharedTokens {
		c.Repeats = append(c.Repeats, Repeat{Method: "POST", Path: sharedTokens})
	}
	kept := 0
	for method, o := range rows.Operations(spec) {
		if body := o.Op.RequestBody; body != nil {
			for mediaType, media := range body.Value.Content {
				if contract.MessageSchema(media.Extensions) != "" {
					c.Sealing = map[bool]string{true: "jwe", false: "token"}[mediaType == "application/jose"]
				}
			}
		}
		r := Repeat{Method: method, Path: o.Path, Header: key(o)}
		switch {
		case slices.Contains(promised.operations, o.Op.OperationID):
			kept++
			if promised.mediaType != "" {
				r.Header, r.Value = "Content-Type", promised.mediaType
			}
		case r.Header != "", slices.Contains([]string{"GET", "PUT", "DELETE"}, method): // RFC 9110, 9.2.2
		default:
			continue
		}
		c.Repeats = append(c.Repeats, r)
	}
	if kept != len(promised.operations) {
		return fmt.Errorf("of %v only %d are operations", promised.operations, kept)
	}
	return nil
}

// key is the header by which the server knows a call again, "" where it takes none.
func key(o rows.Operation) string {
	for _, p := range o.Parameters() {
		if p.In == "header" && (strings.EqualFold(strings.ReplaceAll(p.Name, "-", ""), "idempotencykey") || strings.HasPrefix(p.Description, "The idempotency key")) {
			return p.Name
		}
	}
	return ""
}
