package app_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/capability"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/pin"
)

// deeds are what is done through each contract with a card of the fixtures whose PIN is the one that they list: one or more
// calls, any of which may do it. They tell whether it was done.
var deeds = map[string]func(p *partners, card map[string]any) bool{
	"issuer set":    func(p *partners, c map[string]any) bool { return p.issuing(c, "PUT", "", p.blockOf(c)) },
	"issuer verify": func(p *partners, c map[string]any) bool { return p.issuing(c, "POST", "/verifications", p.blockOf(c)) },
	"issuer unblock": func(p *partners, c map[string]any) bool {
		return p.issuing(c, "POST", "/unblock", map[string]any{"reason": "x"})
	},
	"issuer mail": func(p *partners, c map[string]any) bool {
		return p.issuing(c, "POST", "/mailer", map[string]any{"keyId": "printer-sandbox", "format": "ISO-0"})
	},
	"thredd set": func(p *partners, c map[string]any) bool {
		return p.thredd(c, "POST", "", map[string]any{"pin": c["pin4"]})
	},
	"thredd reveal":  func(p *partners, c map[string]any) bool { return p.thredd(c, "GET", "", nil) },
	"thredd unblock": func(p *partners, c map[string]any) bool { return p.thredd(c, "POST", "/unblock", map[string]any{}) },
	"creditplus unblock": func(p *partners, c map[string]any) bool {
		return p.post("creditplus", "/deviceapi/apis/v2/services/helpdesk/resetpinretrycounter", map[string]any{"identifier": c["identifier"],
			"timestamp": "2099-12-31T12:00:00.000+00:00", "dataValidUntilTimestamp": "2099-12-31T23:59:59.000+00:00"})
	},
	"networkintl change": func(p *partners, c map[string]any) bool { return p.changes(c) },
	"hashdt set":         func(p *partners, c map[string]any) bool { return p.links(c, "setpin") },
	"hashdt change":      func(p *partners, c map[string]any) bool { return p.links(c, "changepin") },
	"hashdt reset":       func(p *partners, c map[string]any) bool { return p.links(c, "resetpin") },
	"accosa reset":       func(p *partners, c map[string]any) bool { return p.resets(c) },
}

// What is foretold is what comes out: a walk over cards in every state, through every contract, in programs that keep PINs, that do not, and
// that ask for approvals, some of which are granted, by clients that may unblock a card only so often. Before each step it is asked what can be
// done.
func TestCapabilitiesAreWhatTheContractsDo(t *testing.T) {
	t.Parallel()
	p := newPartners(t, "")
	for name, client := range p.clients {
		contract, _, _ := strings.Cut(name, "_") // of which there may be several clients
		if limit := map[string]int{"issuer": 3, "thredd": 2, "creditplus": 4}[contract]; limit > 0 {
			p.do("issuer", http.MethodPut, fmt.Sprint("/issuer/v1/clients/", client["client_id"], "/limits"), map[string]any{"unblocksPerCardAndDay": limit}).ExpectStatus(http.StatusOK)
		}
	}
	card := func(name string) map[string]any {
		c := maps.Clone(p.cards[name])
		if c["pin4"] = c["pin"]; len(c["pin"].(string)) != 4 { // Thredd's have four digits
			c["pin4"] = "4826"
		}
		if c["pin"] == "" {
			c["pin"] = "4826"
		}
		return c
	}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(p.cards)), func(name string) bool {
		return p.cards[name]["programId"] != p.cards["normal"]["programId"] || // fates aside, and the PIN that a contract's are too short for
			slices.Contains([]string{"slow", "database_gone", "internal_fault", "number_like_pan", "third", "shared_alias_a", "shared_alias_b", "restricted", "no_plan"}, name)
	})
	last := func(deed string) int { // what gives a card tries, and then what gives it a PIN; links alone change nothing
		if strings.HasPrefix(deed, "hashdt") {
			return 0
		}
		return strings.Count(deed, "unblock") + 2*strings.Count(deed, "set")
	}
	order := slices.SortedFunc(maps.Keys(deeds), func(a, b string) int { return cmp.Or(cmp.Compare(last(a), last(b)), cmp.Compare(a, b)) })
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a walk that can be walked again
	met := map[string]int{}
	for round, settings := range []string{`{}`, `{"dualUnblock":true,"dualReveal":true}`, `{"retrievalAllowed":false}`, `{"dualUnblock":false,"retrievalAllowed":true}`} {
		p.program(settings)
		for _, name := range names {
			for _, deed := range order {
				c := card(name)
				if round > 0 && random.IntN(3) > 0 { // the first round is whole
					continue
				}
				contract, operation, _ := strings.Cut(deed, " ")
				if random.IntN(4) == 0 {
					p.approve(c, contract, operation)
				}
				foretold := p.foretold(c, contract, operation)
				require.Equal(t, len(foretold) == 0, deeds[deed](p, c), "round %d: %s of %s: %v", round, deed, name, foretold)
				met[fmt.Sprint(deed, foretold)]++
			}
		}
	}
	for _, reason := range []capability.Reason{capability.CardStatus, capability.PINChosen, capability.NoPIN, capability.Blocked, capability.RetrievalOff, capability.UnblocksUsedUp, capability.ApprovalNeeded} {
		require.True(t, slices.ContainsFunc(slices.Collect(maps.Keys(met)), func(m string) bool { return strings.Contains(m, string(reason)) }), "never met: %s", reason)
	}
	for deed := range deeds {
		require.NotZero(t, met[deed+"[]"], "%s was never possible", deed)
	}
}

// program changes the settings of the cards' program.
func (p *partners) program(settings string) {
	p.do("issuer", http.MethodPatch, "/issuer/v1/programs/"+p.cards["normal"]["programId"].(string), json.RawMessage(settings)).ExpectStatus(http.StatusOK)
}

// approve grants the contract's client an approval of an operation, if the program asks for one.
func (p *partners) approve(card map[string]any, contract, operation string) {
	action := map[string]pin.ApprovalAction{"unblock": pin.ApproveUnblock, "reveal": pin.ApproveReveal, "mail": pin.ApproveReveal}[operation]
	if action == "" {
		return
	}
	as := func(client string) pin.Caller { return pin.Caller{ClientID: client, Everywhere: true} }
	a, err := p.Vault.RequestApproval(pin.WithCaller(p.t.Context(), as("somebody")), pin.Query{CardID: card["cardId"].(string)},
		pin.NewApproval{Action: action, ClientID: contract + "-sandbox"}, pin.Memo{})
	if err == nil {
		_, err = p.Vault.DecideApproval(pin.WithCaller(p.t.Context(), as("somebody else")), a.ID, true, pin.Memo{})
		require.NoError(p.t, err)
	}
}

// foretold are the reasons why an operation cannot be done through a contract.
func (p *partners) foretold(card map[string]any, contract, operation string) (reasons []string) {
	var all struct {
		Capabilities []struct {
			Operation string
			Through   []struct {
				Contract string
				Possible bool
				Reasons  []string
			}
		}
	}
	reply := p.do("issuer", http.MethodGet, "/issuer/v1/cards/"+card["cardId"].(string)+"/pin/capabilities", nil).ExpectStatus(http.StatusOK)
	require.NoError(p.t, json.Unmarshal(reply.Body, &all))
	for _, c := range all.Capabilities {
		for _, through := range c.Through {
			if c.Operation == operation && through.Contract == contract {
				require.Equal(p.t, through.Possible, len(through.Reasons) == 0)
				return through.Reasons
			}
		}
	}
	require.Fail(p.t, "nothing is foretold", "%s through %s", operation, contract)
	return nil
}

// do calls a contract as its client of the fixtures, with a body unless it is nil.
func (p *partners) do(contract, method, path string, body any, more ...contracttest.Option) *contracttest.Reply {
	if client := p.clients[contract]; client["x-api-key"] != nil {
		more = append(more, contracttest.Header("x-api-key", client["x-api-key"].(string)))
	} else {
		if p.tokens[contract] == "" {
			p.tokens[contract] = p.Mint(p.t, client["client_id"].(string), 24*time.Hour)
		}
		more = append(more, contracttest.Bearer(p.tokens[contract]))
	}
	if body != nil {
		more = append(more, contracttest.JSON(body))
	}
	return p.Client.For(p.t).Do(method, path, more...)
}

func (p *partners) post(contract, path string, body any) bool {
	return p.do(contract, http.MethodPost, path, body).Status < 300
}

// blockOf is the card's PIN in a block.
func (p *partners) blockOf(card map[string]any) map[string]any {
	return map[string]any{"pinBlock": p.block("issuer", card["pin"].(string), card["pan"].(string)), "format": "ISO-0", "keyId": "zpk-sandbox"}
}

func (p *partners) issuing(card map[string]any, method, path string, body any) bool {
	reply := p.do("issuer", method, "/issuer/v1/cards/"+card["cardId"].(string)+"/pin"+path, body)
	return reply.Status < 300 && !strings.Contains(string(reply.Body), `"result":"blocked"`)
}

func (p *partners) thredd(card map[string]any, method, path string, body any) bool {
	return p.do("thredd", method, "/api/v1/cards/"+card["publicToken"].(string)+"/pin"+path, body).Status < 300
}

func (p *partners) links(card map[string]any, action string) bool {
	p.calls++
	return p.do("hashdt", http.MethodGet, "/issuing/api/v1/card/"+action, nil, contracttest.Header("x-product-id", card["programId"].(string)),
		contracttest.Header("x-cardholder-id", card["cardholderId"].(string)), contracttest.Header("x-wallet-id", card["walletId"].(string)),
		contracttest.Header("x-card-id", card["hashdtCardId"].(string)), contracttest.Header("x-request-id", fmt.Sprint("call-", p.calls))).Status < 300
}

// changes has the card's PIN changed to itself.
func (p *partners) changes(card map[string]any) bool {
	p.calls++
	block := p.block("networkintl", card["pin"].(string), card["pan"].(string))
	reply := p.do("networkintl", http.MethodPost, "/CardServices/Transaction/V1/CardPinChange", map[string]any{"NISrvRequest": map[string]any{"request_card_pin_change": map[string]any{
		"header": map[string]any{"msg_id": fmt.Sprint(p.calls), "msg_type": "TRANSACTION", "msg_function": "REQ_CARD_PIN_CHANGE", "src_application": "IVR",
			"target_application": "PCMS", "timestamp": "2020-05-21T15:13:18.853+04:00", "bank_id": "NIC"},
		"body": map[string]any{"card_number": card["pan"], "card_sequence_number": card["sequence"], "card_expiry_date": card["expiry"], "encrypted_old_pin": block,
			"encrypted_new_pin": block, "encryption_method": "SYMMETRIC_ENC", "encryption_key_id": "zpk-ni-sandbox"}}}})
	return strings.Contains(string(reply.Body), `"error_description":"Success"`)
}

// resets puts the card's PIN in the place of itself.
func (p *partners) resets(card map[string]any) bool {
	return p.reset("accosa", card, p.clients["accosa"]["secureCode"].(string)).Status < 300
}

// reset does so as a client of Accosa's contract, with a secure code.
func (p *partners) reset(client string, card map[string]any, secureCode string) *contracttest.Reply {
	p.calls++
	message, err := json.Marshal(map[string]any{"messageCode": "1120", "requestDateTime": "20160715025837", "clientTxnId": fmt.Sprint("TXN-", p.calls),
		"newPIN": card["pin"], "urn": card["urn"], "last4Digits": card["last4Digits"]})
	require.NoError(p.t, err)
	more := []contracttest.Option{contracttest.Header("secureCode", secureCode)}
	for _, name := range []string{"clientId", "bankId", "entityId"} {
		more = append(more, contracttest.Header(name, p.clients[client][name].(string)))
	}
	return p.do(client, http.MethodPost, "/mob1/api/onboarding/v1/resetPin", json.RawMessage(p.sealed(client, string(message))), more...)
}

// What a document says of itself is read whole, or not at all.
func TestEveryContractSaysWhatItDoes(t *testing.T) {
	t.Parallel()
	documents, err := apptest.Contracts()
	require.NoError(t, err)
	ways, err := capability.Ways(documents)
	require.NoError(t, err)
	said := map[string]bool{}
	for _, w := range ways {
		said[w.Contract+" "+string(w.Operation)] = true
	}
	for deed := range deeds {
		require.True(t, said[deed], deed)
	}
	require.Len(t, said, len(deeds))
}
