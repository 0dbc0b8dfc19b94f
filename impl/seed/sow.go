package seed

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"pinvault/impl/contract"
	"pinvault/impl/issuer"
	"pinvault/impl/pin"
	"pinvault/impl/sandbox"
)

// Ground is what a seed is sown into.
type Ground struct {
	Vault    *pin.Vault
	Keys     sandbox.Wrapper
	Operator *issuer.Operator           // of the same vault
	ByAPIKey func(contract string) bool // whether a contract knows its clients by an API key
}

// On is the seed of the sandbox that has this ground. What is there already stays as it is.
func (f *File) On(g Ground) sandbox.Seed { return sown{f, g, skip} }

// Strictly is On for ground that has nothing but the fixtures: what is there already is an error.
func (f *File) Strictly(g Ground) sandbox.Seed { return sown{f, g, refuse} }

func refuse(err error) error { return err }

// skip takes what is there already for what was asked for.
func skip(err error) error {
	if pin.CodeOf(err) == pin.Duplicate {
		return nil
	}
	return err
}

// sown is a seed in its ground.
type sown struct {
	*File
	Ground
	twice func(error) error
}

// Alone tells whether the seed is in the fixtures' place.
func (s sown) Alone() bool { return s.alone }

// Sow makes everything.
func (s sown) Sow(ctx context.Context) error {
	for _, list := range lists {
		sow := map[string]func(context.Context, item) error{
			"programs": s.program, "keys": s.key, "clients": s.client, "cards": s.card,
		}[list.name]
		for _, one := range s.items[list.name] {
			if err := s.twice(sow(ctx, one)); err != nil {
				return s.told(one, list.schema, err)
			}
		}
	}
	return nil
}

func (s sown) program(ctx context.Context, one item) error {
	described, err := s.Operator.NewProgram(s.request("SeedProgram", one, nil))
	if err != nil {
		return err
	}
	described.ID = one.text("id")
	_, err = s.Vault.CreateProgram(ctx, described, pin.Memo{})
	return err
}

func (s sown) key(ctx context.Context, one item) error {
	raw, err := hex.DecodeString(one.text("hex"))
	if err != nil {
		return err
	}
	return sandbox.ImportKey(ctx, s.Vault, s.Keys, one.text("id"), one.text("programId"), pin.KeyUsage(one.text("usage")), one.text("algorithm"), raw)
}

func (s sown) client(ctx context.Context, one item) error {
	described, err := s.Operator.NewClient(ctx, s.request("SeedClient", one, s.clientDefaults(one)))
	if err != nil {
		return err
	}
	described.ID = one.text("id")
	_, _, err = s.Vault.CreateClient(ctx, described, one.secret(), pin.Memo{})
	return err
}

// clientDefaults are what a client has where the file does not say otherwise.
func (s sown) clientDefaults(one item) map[string]any {
	unless := map[string]any{"name": one.text("id"), "scopes": issuer.Scopes(one.text("contract"))}
	if one.text("contract") != "issuer" {
		unless["programId"] = s.firstProgram()
	}
	return unless
}

// firstProgram is the program of clients and cards that name none.
func (f *File) firstProgram() string {
	if programs := f.items["programs"]; len(programs) > 0 {
		return programs[0].text("id")
	}
	return sandbox.Program
}

func (s sown) card(ctx context.Context, one item) error {
	described, err := s.newCard(one)
	if err != nil {
		return err
	}
	if digits := one.text("pin"); digits != "" {
		if described.PIN, err = pin.New([]byte(digits)); err != nil {
			return err
		}
		program, err := s.Vault.Program(ctx, described.ProgramID)
		if err != nil {
			return err
		}
		if err := program.Check(described.PIN); err != nil {
			return err
		}
	}
	if _, err := s.Vault.CreateCard(ctx, described, pin.Memo{}); err != nil || one.value["blocked"] != true {
		return err
	}
	return sandbox.Exhaust(ctx, s.Vault, described.ID, one.text("pin"))
}

// newCard is the card of an item, except for its PIN.
func (s sown) newCard(one item) (pin.NewCard, error) {
	described, err := s.Operator.NewCard(s.request("SeedCard", one, map[string]any{"programId": s.firstProgram()}))
	described.ID = s.cardID(one)
	described.PINChosen = one.text("pin") != "" && one.value["pinDrawn"] != true
	return described, err
}

// namespace is that of cards' ids which follow from their names (RFC 9562, 5.5).
var namespace = uuid.MustParse("7d5a9c3e-5b0e-4b7c-9d0e-2f6a1c8b4e90")

// cardID is what the file says, or follows from program and name: the same whenever the card is made.
func (f *File) cardID(one item) string {
	if id := one.text("id"); id != "" {
		return id
	}
	program := cmp.Or(one.text("programId"), f.firstProgram())
	return uuid.NewSHA1(namespace, []byte(program+"/"+one.text("name"))).String()
}

// CardName is the name of the card with the id, "" where the file has none.
func (f *File) CardName(id string) string { return f.names[id] }

// request is an item as the issuer API takes it, with what it has unless the file says otherwise.
func (s sown) request(schema string, one item, unless map[string]any) map[string]any {
	request := map[string]any{}
	maps.Copy(request, unless)
	maps.Copy(request, one.value)
	for _, own := range s.schema.own[schema] {
		delete(request, own)
	}
	return request
}

func (i item) text(member string) string {
	text, _ := i.value[member].(string)
	return text
}

func (i item) secret() string {
	if secret := i.text("secret"); secret != "" {
		return secret
	}
	return i.text("id") + "-secret"
}

// words say what an error of the vault means; {} is the field's name.
var words = map[pin.Code]string{
	pin.NotFound:     "there is no such program.",
	pin.Duplicate:    "another one has this {} already.",
	pin.InvalidField: "{} has an invalid value.",
	pin.PINLength:    "pin has more or fewer digits than the program's PINs.",
	pin.WeakPIN:      "pin is one that the program's pinPolicy refuses as weak.",
	pin.CardStatus:   "no tries can be used up in this status.",
	pin.NoPIN:        "no tries can be used up without a PIN.",
}

// fields are those that an error is about, where it does not say so.
var fields = map[pin.Code]string{pin.PINLength: "pin", pin.WeakPIN: "pin", pin.NotFound: "programId"}

// ids are what the vault calls the ids of things: their tables.
var ids = []string{string(pin.TablePrograms), string(pin.TableClients), string(pin.TableZoneKeys), "card"}

// told is an error of the vault or of a document as what is wrong with an item.
func (s sown) told(one item, schema string, err error) error {
	if broken, ok := errors.AsType[contract.Broken](err); ok {
		return s.refused(s.broken(one.at, schema, broken))
	}
	says, known := words[pin.CodeOf(err)]
	if !known {
		return err
	}
	field := cmp.Or(fields[pin.CodeOf(err)], pin.FieldOf(err), "id")
	if slices.Contains(ids, field) {
		field = "id"
	}
	says = strings.ReplaceAll(says, "{}", field)
	return s.refused([]Fault{{one.line(field), one.at.name + ": " + says}})
}

// line is that of a member or of the reference of a kind, else of the item.
func (i item) line(field string) int {
	references, _ := i.value["references"].([]any)
	for n, r := range references {
		if object(r)["kind"] == field {
			return i.at.under("/references/" + strconv.Itoa(n)).Line
		}
	}
	return i.at.under("/" + strings.ReplaceAll(field, ".", "/")).Line
}
