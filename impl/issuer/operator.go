package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/oapi-codegen/runtime"

	api "pinvault/generated/issuer"
	"pinvault/impl/contract"
	"pinvault/impl/pin"
	"pinvault/impl/problem"
)

// Operator is the API for whoever sits at the machine: its requests keep the same document and have the
// same effect, without HTTP, tokens, scopes and idempotency keys. A request that does not keep the document
// is [contract.Broken]; the vault's errors come back as they are.
type Operator struct {
	api      *API
	load     func(name string) (*contract.Document, error) // a contract's
	document func() (*contract.Document, error)            // the API's own
}

// NewOperator makes an operator of a vault and the custody of its partners' keys. load reads a contract's document.
func NewOperator(v Vault, keys Keys, contracts Contracts, load func(name string) (*contract.Document, error)) *Operator {
	own := func() (*contract.Document, error) { return load("issuer") }
	return &Operator{api: New(v, keys, nil, contracts, nil), load: load, document: sync.OnceValues(own)}
}

// OperatorOf is the operator who works through an API of this document. load reads that of another contract.
func OperatorOf(a *API, document *contract.Document, load func(name string) (*contract.Document, error)) *Operator {
	return &Operator{api: a, load: load, document: func() (*contract.Document, error) { return document, nil }}
}

// read holds a request against a schema of the document and puts it into a value of the schema's type.
func (o *Operator) read(schema string, request, into any) error {
	document, err := o.document()
	if err != nil {
		return err
	}
	text, err := json.Marshal(request)
	if err != nil {
		return err
	}
	defer clear(text)
	value, violations := document.CheckMessage(schema, text)
	if len(violations) > 0 {
		return contract.Broken(violations)
	}
	if runtime.BindJSONValue(value, into) != nil { // whose text may quote the request
		return contract.Unbound
	}
	return nil
}

// Sentence says how the thing of this name breaks a rule, as the API's replies do, but that it lists the
// values that a thing may have.
func Sentence(v contract.Violation, name string) string {
	switch {
	case v.Rule == contract.RuleEnum:
		return name + " must be one of: " + v.Limit + "."
	case v.Rule == contract.RuleType && v.Limit == "boolean":
		return name + " must be true or false."
	}
	v.Label = name
	return problem.Detail(v)
}

// CreateProgram makes a program of a ProgramRequest, with settings of contracts by name, see
// [Operator.ProgramSettings].
func (o *Operator) CreateProgram(ctx context.Context, request any, settings map[string]string) (api.Program, error) {
	var n api.ProgramRequest
	if err := o.readProgram("ProgramRequest", request, settings, &n); err != nil {
		return api.Program{}, err
	}
	made, err := o.api.createProgram(ctx, n, pin.Memo{})
	if err != nil {
		return api.Program{}, err
	}
	return o.api.program(made)
}

// NewProgram is the program of a ProgramRequest, which is not made.
func (o *Operator) NewProgram(request any) (pin.Program, error) {
	var n api.ProgramRequest
	if err := o.read("ProgramRequest", request, &n); err != nil {
		return pin.Program{}, err
	}
	return o.api.newProgram(n)
}

// NewClient is the client of a ClientRequest, which is not made. What could never work is refused.
func (o *Operator) NewClient(ctx context.Context, request any) (pin.Client, error) {
	var n api.ClientRequest
	if err := o.read("ClientRequest", request, &n); err != nil {
		return pin.Client{}, err
	}
	return o.api.newClient(ctx, n)
}

// NewCard is the card of a CardRequest, which is not made.
func (o *Operator) NewCard(request any) (pin.NewCard, error) {
	var n api.CardRequest
	if err := o.read("CardRequest", request, &n); err != nil {
		return pin.NewCard{}, err
	}
	return o.api.newCard(n)
}

// ChangeProgram changes a program by a ProgramChange and settings of contracts.
func (o *Operator) ChangeProgram(ctx context.Context, id string, request any, settings map[string]string) (api.Program, error) {
	var named api.ProgramChange
	if err := o.readProgram("ProgramChange", request, settings, &named); err != nil {
		return api.Program{}, err
	}
	changed, err := o.api.updateProgram(ctx, id, named)
	if err != nil {
		return api.Program{}, err
	}
	return o.api.program(changed)
}

// readProgram is read for a request that contracts' settings are to be put into.
func (o *Operator) readProgram(schema string, request any, settings map[string]string, into any) error {
	known, err := o.ProgramSettings()
	if err != nil {
		return err
	}
	text, err := json.Marshal(request)
	if err != nil {
		return err
	}
	members := map[string]any{}
	if err := json.Unmarshal(text, &members); err != nil {
		return err
	}
	if unknown := put(members, settings, known); unknown != "" {
		return fmt.Errorf("programs have no setting %q; they have %s", unknown, listed(names(known)))
	}
	return o.read(schema, members, into)
}

// Programs are those in the caller's reach. An error ends them.
func (o *Operator) Programs(ctx context.Context) iter.Seq2[api.Program, error] {
	return every(func(p pin.Page) ([]pin.Program, error) { return o.api.vault.Programs(ctx, p) },
		func(p pin.Program) string { return p.ID }, o.api.program)
}

// Clients are the active ones in the caller's reach. An error ends them.
func (o *Operator) Clients(ctx context.Context) iter.Seq2[api.PartnerClient, error] {
	return every(func(p pin.Page) ([]pin.Client, error) { return o.api.vault.Clients(ctx, p) },
		func(c pin.Client) string { return c.ID }, o.api.client)
}

// every reads page after page, and shows each row.
func every[R, I any](read func(pin.Page) ([]R, error), cursor func(R) string, show func(R) (I, error)) iter.Seq2[I, error] {
	return func(yield func(I, error) bool) {
		for p := (pin.Page{Limit: pageSize}); ; {
			rows, err := read(p)
			if err != nil {
				var none I
				yield(none, err)
				return
			}
			for _, row := range rows {
				if p.After = cursor(row); !yield(show(row)) {
					return
				}
			}
			if len(rows) < p.Limit {
				return
			}
		}
	}
}

// CreateCard makes a card of a CardRequest.
func (o *Operator) CreateCard(ctx context.Context, request any) (api.Card, error) {
	var n api.CardRequest
	if err := o.read("CardRequest", request, &n); err != nil {
		return api.Card{}, err
	}
	made, err := o.api.createCard(ctx, n, pin.Memo{})
	if err != nil {
		return api.Card{}, err
	}
	return o.api.card(made)
}

// Card is a card in the caller's reach.
func (o *Operator) Card(ctx context.Context, id string) (api.Card, error) {
	found, err := o.api.vault.Card(ctx, pin.Query{CardID: id})
	if err != nil {
		return api.Card{}, err
	}
	return o.api.card(found.Card)
}

// Capabilities are what can be done with the PIN of a card in the caller's reach. language is a BCP 47 tag.
func (o *Operator) Capabilities(ctx context.Context, id, language string) (api.PinCapabilities, error) {
	return o.api.capabilities(ctx, id, language)
}

// Credentials are what a client proves itself by: its id and secret, or the API key that is both.
type Credentials struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret,omitempty"`
	APIKey       string `json:"api_key,omitempty"`
}

// credentials are those of a client as its contract wants them.
func (o *Operator) credentials(c pin.Client, secret string) (Credentials, error) {
	document, err := o.load(c.Contract)
	if err != nil {
		return Credentials{}, err
	}
	if document.ByAPIKey() {
		return Credentials{ClientID: c.ID, APIKey: c.ID + "." + secret}, nil
	}
	return Credentials{ClientID: c.ID, ClientSecret: secret}, nil
}

// ClientRequest describes a client to be made.
type ClientRequest struct {
	Contract  string
	ProgramID string // "" for a client of the whole server
	Name      string
	Scopes    []string
	AllScopes bool              // all that the contract has
	Settings  map[string]string // by name, see [Operator.ClientSettings]
	Limits    map[string]int64  // by name, see ClientLimits
}

// CreateClient makes a client. Scopes and settings that its contract does not have are refused, and so is
// what could never work.
func (o *Operator) CreateClient(ctx context.Context, r ClientRequest) (Credentials, error) {
	settings, err := o.ClientSettings(r.Contract)
	if err != nil {
		return Credentials{}, err
	}
	request := map[string]any{"contract": r.Contract, "name": r.Name}
	if r.ProgramID != "" {
		request["programId"] = r.ProgramID
	}
	if len(r.Limits) > 0 {
		request["limits"] = r.Limits
	}
	if request["scopes"], err = scopes(r); err != nil {
		return Credentials{}, err
	}
	if len(settings) > 0 { // be it without any: the document says what must be there
		request[r.Contract] = map[string]any{}
	}
	if unknown := put(request, r.Settings, settings); unknown != "" {
		return Credentials{}, fmt.Errorf("the contract %s has no setting %q; it has %s", r.Contract, unknown, listed(names(settings)))
	}
	var n api.ClientRequest
	if err := o.read("ClientRequest", request, &n); err != nil {
		return Credentials{}, err
	}
	described, err := o.api.newClient(ctx, n)
	if err != nil {
		return Credentials{}, err
	}
	made, secret, err := o.api.vault.CreateClient(ctx, described, "", pin.Memo{})
	if err != nil {
		return Credentials{}, err
	}
	return o.credentials(made, secret)
}

// LimitClient gives a client other limits.
func (o *Operator) LimitClient(ctx context.Context, id string, named map[string]int64) (api.PartnerClient, error) {
	if named == nil {
		named = map[string]int64{}
	}
	var request api.ClientLimits
	if err := o.read("ClientLimits", named, &request); err != nil {
		return api.PartnerClient{}, err
	}
	limited, err := o.api.vault.LimitClient(ctx, id, limits(request), pin.Memo{})
	if err != nil {
		return api.PartnerClient{}, err
	}
	return o.api.client(limited)
}

// ReleaseClient has a client's PIN verifications served again.
func (o *Operator) ReleaseClient(ctx context.Context, id, reason string) (api.PartnerClient, error) {
	var request api.Release
	if err := o.read("Release", map[string]string{"reason": reason}, &request); err != nil {
		return api.PartnerClient{}, err
	}
	released, err := o.api.vault.ReleaseClient(ctx, id, pin.Memo{Description: request.Reason})
	if err != nil {
		return api.PartnerClient{}, err
	}
	return o.api.client(released)
}

// RotateClient gives a client another secret; the old one stays valid for that long.
func (o *Operator) RotateClient(ctx context.Context, id string, overlap time.Duration) (Credentials, error) {
	if err := o.read("Rotation", map[string]any{"overlapSeconds": overlap / time.Second}, &api.Rotation{}); err != nil {
		return Credentials{}, err
	}
	c, secret, err := o.api.vault.RotateClient(ctx, id, overlap, pin.Memo{})
	if err != nil {
		return Credentials{}, err
	}
	return o.credentials(c, secret)
}

// RevokeClient ends a client.
func (o *Operator) RevokeClient(ctx context.Context, id string) error {
	return o.api.vault.RevokeClient(ctx, id, pin.Memo{})
}

// Setting is something that a contract needs to know of a program or client.
type Setting struct {
	Name   string // of a program's setting with its contract before: hosted.languages
	Secret bool

	contract string
	member   contract.Member
}

// ClientSettings are what the document lets be said of a contract's clients. A contract that it does not
// know is Broken.
func (o *Operator) ClientSettings(contractName string) ([]Setting, error) {
	document, err := o.document()
	if err != nil {
		return nil, err
	}
	var settings []Setting
	for _, m := range document.Members("ClientRequest") {
		switch {
		case m.Name == "contract" && !slices.Contains(m.Enum, contractName):
			return nil, contract.Broken{{In: contract.InBody, Pointer: "/contract", Rule: contract.RuleEnum, Label: "contract", Limit: strings.Join(m.Enum, ", ")}}
		case m.Name == contractName:
			for _, inner := range m.Members() {
				settings = append(settings, Setting{inner.Name, inner.Sensitive, contractName, inner})
			}
		}
	}
	return settings, nil
}

// ProgramSettings are what the document lets contracts know of programs.
func (o *Operator) ProgramSettings() ([]Setting, error) {
	document, err := o.document()
	if err != nil {
		return nil, err
	}
	var settings []Setting
	for _, m := range document.Members("ProgramChange") {
		if _, ours := o.api.contracts.Settings[m.Name]; !ours {
			continue
		}
		for _, inner := range m.Members() {
			settings = append(settings, Setting{m.Name + "." + inner.Name, inner.Sensitive, m.Name, inner})
		}
	}
	return settings, nil
}

func names(settings []Setting) []string {
	return each(settings, func(s Setting) string { return s.Name })
}

// put adds settings to a request, in the objects of their contracts. It returns the name of one that is
// unknown, or "".
func put(request map[string]any, given map[string]string, known []Setting) (unknown string) {
	rest := maps.Clone(given)
	for _, s := range known {
		text, ok := given[s.Name]
		if !ok {
			continue
		}
		delete(rest, s.Name)
		own, there := request[s.contract].(map[string]any)
		if !there {
			own = map[string]any{}
			request[s.contract] = own
		}
		own[s.member.Name] = valueOf(text, s.member.Type)
	}
	for _, name := range slices.Sorted(maps.Keys(rest)) {
		return name
	}
	return ""
}

// valueOf is what a text stands for where a value of this type belongs: of a list the items with commas
// between, of names and values name=value with semicolons between. It is the text, where that is nothing.
func valueOf(text, kind string) any {
	switch kind {
	case "array":
		items := []string{}
		if text != "" {
			items = strings.Split(text, ",")
		}
		return items
	case "object":
		pairs := map[string]string{}
		for pair := range strings.SplitSeq(text, ";") {
			name, value, ok := strings.Cut(pair, "=")
			if !ok && text != "" {
				return text
			}
			if ok {
				pairs[name] = value
			}
		}
		return pairs
	case "integer":
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	case "boolean":
		if text == "true" || text == "false" {
			return text == "true"
		}
	}
	return text
}

// Scopes are all that a contract has.
func Scopes(contractName string) []string { return slices.Sorted(maps.Keys(grants[contractName])) }

// scopes are those that a request asks for: some, all of which its contract has.
func scopes(r ClientRequest) ([]string, error) {
	known := Scopes(r.Contract)
	if r.AllScopes {
		return known, nil
	}
	for _, scope := range r.Scopes {
		if !slices.Contains(known, scope) {
			return nil, fmt.Errorf("the contract %s has no scope %q; it has %s", r.Contract, scope, listed(known))
		}
	}
	if len(r.Scopes) == 0 {
		return nil, errors.New("a client without scopes could do nothing; the contract " + r.Contract + " has " + listed(known))
	}
	return r.Scopes, nil
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
