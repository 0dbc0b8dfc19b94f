package seed_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract"
	"pinvault/impl/issuer"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/sandbox"
	"pinvault/impl/seed"
	"pinvault/impl/settings"
	"pinvault/impl/store"
	"pinvault/impl/store/storetest"
	"pinvault/impl/thredd"
	"pinvault/openapi"
)

func schema(t *testing.T) *seed.Schema {
	t.Helper()
	s, err := seed.NewSchema(openapi.Documents)
	require.NoError(t, err)
	return s
}

// faults are the lines of a file's error.
func faults(t *testing.T, err error) string {
	t.Helper()
	refused, ok := errors.AsType[*seed.Error](err)
	require.True(t, ok, "%v", err)
	return refused.Error()
}

func TestFileThatBreaksTheSchemaIsToldWhere(t *testing.T) {
	t.Parallel()
	known := schema(t)
	for _, test := range []struct{ name, text, says string }{
		{"no YAML", "programs: [", "f:1: did not find expected node content."},
		{"a list", "- gold", "f:1: The file must be of type object."},
		{"a second document", "cards: []\n---\ncards: []", "f:2: a second document."},
		{"a name twice", "cards: []\ncards: []", "f:2: mapping key \"cards\" already defined at line 1."},
		{"an unknown list", "card: []", "f:1: card is unknown; there are cards, clients, fixtures, keys, programs."},
		{"no list", "cards: gold", "f:1: cards must be of type array."},
		{"fixtures neither true nor false", "fixtures: maybe", "f:1: fixtures must be true or false."},
		{"an unknown member of the issuer API's", "programs:\n  - id: a\n    name: A\n    accosa:\n      colour: red",
			"f:5: programs[0].accosa.colour is unknown; there are cardProfileMandatory."},
		{"what is missing, and what is wrong, by line", "programs:\n  - id: a\nclients:\n  - id: b@c\n    contract: visa",
			"f:2: programs[0].name is required.\nf:4: clients[0].id does not match the required format.\nf:5: clients[0].contract must be one of: thredd, creditplus, accosa, networkintl, hashdt, issuer."},
		{"digits without quotes", "cards:\n  - name: gold\n    pin: 4826", "f:3: cards[0].pin must be of type string. Put it in quotes."},
		{"a PIN too short", "cards:\n  - {name: gold, pin: '482'}", "f:2: cards[0].pin does not match the required format."},
		{"a PAN too short", "cards:\n  - {name: gold, pan: '999999'}", "f:2: cards[0].pan does not match the required format."},
		{"an item of a list inside", "cards:\n  - name: gold\n    references:\n      - {kind: urn, value: '1'}\n      - {kind: nick, value: '1'}",
			"f:5: cards[0].references[1].kind must be one of: publicToken, urn, identifier, packId, number, alias, hashdtCardId, exid, contractNumber."},
		{"by an alias", "cards:\n  - &gold {name: gold, pin: '1'}\n  - *gold", "f:2: cards[0].pin does not match the required format.\nf:2: cards[1].pin does not match the required format."},
		{"the name of a card of the fixtures", "cards:\n  - {name: gold}\n  - programId: a\n    name: lost", "f:4: cards[1]: a card of the fixtures has this name."},
		{"the name of a client of the fixtures", "clients:\n  - {id: thredd, contract: thredd}", "f:2: clients[0]: a client of the fixtures has this name."},
		{"a card's name twice", "cards:\n  - {name: gold}\n  - programId: a\n    name: gold", "f:4: cards[1]: another one has this name already."},
		{"a key that is no hex", "keys:\n  - {id: k, usage: message, algorithm: AES, hex: 4041424344454647484950515253545Z}", "f:2: keys[0].hex does not match the required format."},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := seed.Read("f", []byte(test.text), known)
			require.Equal(t, test.says, faults(t, err))
		})
	}
}

func TestEmptyFileIsAnEmptySeed(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing", "{}", "cards: []"} {
		_, err := seed.Read("f", []byte(text), schema(t))
		require.NoError(t, err, text)
	}
}

// ground is a vault of a sandbox's keys, with what a seed needs.
func ground(t *testing.T) (seed.Ground, *store.Store, *keyring.Ring) {
	t.Helper()
	db, err := store.Open(t.Context(), storetest.SQLite(t), store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(t.Context()))
	ring := keyring.Open(keyring.Sandbox(), db, nil)
	vault := pin.NewVault(db, ring, nil, nil)
	vault.GrantBy(issuer.Granted)
	documents, err := apptest.Contracts()
	require.NoError(t, err)
	known := issuer.Contracts{Settings: issuer.Settings{thredd.Name: thredd.Settings()},
		Fits: func(context.Context, string, settings.Key) (bool, error) { return true, nil },
		References: func() (contract.References, error) {
			return contract.ReferencesOf(slices.Collect(maps.Values(documents))...), nil
		}}
	return seed.Ground{Vault: vault, Keys: ring, Operator: issuer.OperatorOf(issuer.New(vault, nil, nil, known, nil), documents["issuer"], func(name string) (*contract.Document, error) { return documents[name], nil }),
		ByAPIKey: func(name string) bool { return documents[name].ByAPIKey() }}, db, ring
}

// sandboxOf is a sandbox with a seed, opened; strictly refuses what is there already.
func sandboxOf(t *testing.T, text string, strictly bool) (*sandbox.Sandbox, *pin.Vault, error) {
	t.Helper()
	file, err := seed.Read("f", []byte(text), schema(t))
	require.NoError(t, err)
	g, db, ring := ground(t)
	own := file.On(g)
	if strictly {
		own = file.Strictly(g)
	}
	box := sandbox.New(g.Vault, g.Vault, db, ring, func(pin.Client, time.Duration) (string, error) { return "token", nil }, own)
	return box, g.Vault, box.Open(t.Context())
}

func TestFileThatTheVaultRefusesIsToldWhere(t *testing.T) {
	t.Parallel()
	const program = "fixtures: false\nprograms:\n  - {id: a, name: A}\n"
	for _, test := range []struct{ name, text, says string }{
		{"a program twice", program + "  - {id: a, name: B}", "f:4: programs[1]: another one has this id already."},
		{"a client twice", program + "clients:\n  - {id: c, contract: thredd}\n  - contract: thredd\n    id: c", "f:7: clients[1]: another one has this id already."},
		{"a card of the fixtures", "cards:\n  - {name: a, id: 00000000-0000-7000-8000-000000000001}", "f:2: cards[0]: another one has this id already."},
		{"PIN lengths that cross", "programs:\n  - {id: a, name: A, minPinLength: 6, maxPinLength: 4}", "f:2: programs[0]: maxPinLength has an invalid value."},
		{"a time zone that there is not", "programs:\n  - {id: a, name: A, timeZone: Nowhere}", "f:2: programs[0]: timeZone has an invalid value."},
		{"a card of no program", program + "cards:\n  - name: gold\n    programId: b", "f:6: cards[0]: there is no such program."},
		{"a weak PIN", program + "cards:\n  - name: gold\n    pin: '1234'", "f:6: cards[0]: pin is one that the program's pinPolicy refuses as weak."},
		{"a PIN too long for the program", program + "cards:\n  - name: gold\n    pin: '48261739'", "f:6: cards[0]: pin has more or fewer digits than the program's PINs."},
		{"a reference that no request can hold", program + "cards:\n  - name: gold\n    references:\n      - {kind: publicToken, value: '1'}",
			"f:7: cards[0].references[0].value does not match the required format."},
		{"a reference twice", program + "cards:\n  - {name: a, references: [{kind: publicToken, value: '207000001'}]}\n  - {name: b, references: [{kind: publicToken, value: '207000001'}]}",
			"f:6: cards[1]: another one has this publicToken already."},
		{"a PAN of the fixtures", "cards:\n  - name: gold\n    pan: '9999990000000014'", "f:3: cards[0]: another one has this pan already."},
		{"a key of a length that its algorithm does not have", program + "keys:\n  - {id: k, usage: message, algorithm: AES, hex: 404142434445464748494A4B4C4D4E4F50}", "f:5: keys[0]: key has an invalid value."},
		{"tries used up of a lost card", program + "cards:\n  - {name: gold, pin: '4826', status: lost, blocked: true}", "f:5: cards[0]: no tries can be used up in this status."},
		{"tries used up without a PIN", program + "cards:\n  - {name: gold, assignPin: false, blocked: true}", "f:5: cards[0]: no tries can be used up without a PIN."},
		{"a scope of another contract", program + "clients:\n  - {id: c, contract: thredd, scopes: ['audit:read']}", "f:5: clients[0]: scopes has an invalid value."},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := sandboxOf(t, test.text, true)
			require.Equal(t, test.says, faults(t, err))
		})
	}
}

func exampleOfDocs(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/sandbox/seed.yaml")
	require.NoError(t, err)
	return strings.ReplaceAll(string(text), "accosa", "hashdt") // of which this test knows no settings
}

func TestSeedIsThereBesidesTheFixturesOrInTheirPlace(t *testing.T) {
	t.Parallel()
	const text = `
clients:
  - {id: app, contract: thredd, secret: known}
  - {id: ops, contract: issuer}
  - {id: page, contract: hashdt}
cards:
  - {name: gold, pin: '4826', pan: '9999990000007001', references: [{kind: packId, value: PACK00007001}]}
  - {name: drawn, pin: '7391', pinDrawn: true}
  - {name: worn_out, pin: '7391', blocked: true}
  - {name: unknown, blocked: true}
`
	const likeFixtures = "  - {name: lost, pin: '7391'}\n"
	for _, alone := range []bool{false, true} {
		whole := text
		if alone {
			whole = "fixtures: false\nprograms: [{id: gifts, name: Gifts}]\n" + text + likeFixtures
		}
		box, vault, err := sandboxOf(t, whole, false)
		require.NoError(t, err)
		for range 2 { // at first, and after a reset
			clients, cards, err := box.Fixtures(t.Context())
			require.NoError(t, err)
			require.Equal(t, !alone, clients["thredd"] != nil)
			require.Equal(t, !alone, cards["normal"] != nil)
			require.Equal(t, map[string]any{"client_id": "app", "client_secret": "known"}, clients["app"])
			require.Equal(t, "token", clients["ops"]["token"])
			require.Equal(t, "page.page-secret", clients["page"]["x-api-key"])
			require.Equal(t, "PACK00007001", cards["gold"]["packID"])
			require.Equal(t, "7001", cards["gold"]["last4Digits"])
			for name, want := range map[string]struct {
				state pin.PINState
				left  int
			}{"gold": {pin.PINChosen, 3}, "drawn": {pin.PINAssigned, 3}, "worn_out": {pin.PINChosen, 0}, "unknown": {pin.PINAssigned, 0}} {
				found, err := vault.Card(by(t), pin.Query{CardID: cards[name]["cardId"].(string)})
				require.NoError(t, err, name)
				require.Equal(t, want.state, found.PIN.State, name)
				require.Equal(t, want.left, found.RemainingTries(), name)
			}
			_, err = vault.Authenticate(by(t), "app", "known")
			require.NoError(t, err)
			require.NoError(t, vault.RevokeClient(by(t), "app", pin.Memo{}))
			require.NoError(t, box.Reset(t.Context()))
		}
		states, err := box.Cards(t.Context())
		require.NoError(t, err)
		names := map[string]bool{}
		for _, s := range states {
			names[s.Name] = true
		}
		require.True(t, names["gold"])
		require.NoError(t, box.Open(t.Context()), "what is there already is left as it is")
	}
}

// by is the test's context, called by an operator.
func by(t *testing.T) context.Context {
	t.Helper()
	return pin.WithCaller(t.Context(), pin.Operator(""))
}

func TestKeysAreListedWithTheClientsThatNameThem(t *testing.T) {
	t.Parallel()
	file, err := seed.Read("f", []byte(`
keys:
  - {id: one, usage: message, algorithm: AES, hex: 404142434445464748494A4B4C4D4E4F}
  - {id: two, usage: zone-pin, algorithm: AES, hex: 505152535455565758595A5B5C5D5E5F}
clients:
  - {id: desk, contract: creditplus, creditplus: {messageKeyIds: [elsewhere, one]}}
  - {id: ivr, contract: networkintl, networkintl: {bankId: NIC, pinKeyIds: [two]}}
`), schema(t))
	require.NoError(t, err)
	g, _, _ := ground(t)
	clients := file.On(g).Clients()
	require.Equal(t, "404142434445464748494A4B4C4D4E4F", clients["desk"].Known["next_key_hex"])
	require.NotContains(t, clients["desk"].Known, "key_hex")
	require.Equal(t, "two", clients["ivr"].Known["zpk_id"])
	require.Equal(t, "NIC", clients["ivr"].Known["bankId"])
}

func TestExampleOfTheDocsCanBeSown(t *testing.T) {
	t.Parallel()
	text := exampleOfDocs(t)
	at := strings.Index(text, "    hashdt: {")
	text = text[:at] + text[at+strings.Index(text[at:], "\n")+1:]
	_, _, err := sandboxOf(t, text, true)
	require.NoError(t, err)
}

// Whoever writes a seed sees in an editor what the server would refuse.
func TestJSONSchemaHasAllThatTheFileMayHave(t *testing.T) {
	t.Parallel()
	text, err := schema(t).JSON()
	require.NoError(t, err)
	var read struct {
		Defs map[string]struct {
			Required             []string
			AdditionalProperties *bool
			Properties           map[string]any
		} `json:"$defs"`
	}
	require.NoError(t, json.Unmarshal(text, &read))
	require.NotContains(t, string(text), `"x-`)
	require.NotContains(t, read.Defs, "Program", "what no seed has")
	for name, members := range map[string][]string{
		"Seed":        {"fixtures", "programs", "keys", "clients", "cards"},
		"SeedProgram": {"id", "name", "tryLimit", "hosted"},
		"SeedClient":  {"id", "secret", "contract", "accosa"},
		"SeedCard":    {"id", "name", "pan", "pin", "references", "walletId"},
	} {
		require.Subset(t, keys(read.Defs[name].Properties), members, name)
		require.NotNil(t, read.Defs[name].AdditionalProperties, name)
		require.False(t, *read.Defs[name].AdditionalProperties, name)
	}
	require.Equal(t, []string{"name"}, read.Defs["SeedCard"].Required)
}

func keys(of map[string]any) (all []string) {
	for name := range of {
		all = append(all, name)
	}
	return all
}
