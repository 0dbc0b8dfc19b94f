package sandbox

import (
	"fmt"

	"pinvault/impl/pin"
)

// The programs. One allows everything that a partner may want to try, the other lacks the alias
// capability and is somebody else's as far as the first one's clients are concerned.
const (
	program      = "00000000-0000-7000-8000-00000000a001"
	otherProgram = "00000000-0000-7000-8000-00000000a002"
)

func programs() []pin.Program {
	main, other := pin.NewProgram("Sandbox"), pin.NewProgram("Sandbox without aliases")
	main.ID, other.ID = program, otherProgram
	for _, p := range []*pin.Program{&main, &other} {
		p.MaxPINLength = pin.MaxLength
		p.Policy = pin.PolicyOff // the contracts' own examples use 0000
		p.RetrievalAllowed = true
		p.TimeZone = "Asia/Dubai"
	}
	main.AliasCapability = true
	return []pin.Program{main, other}
}

// client is a partner's credentials and the name under which the fixtures list them.
type client struct {
	name, contract, program string
	scopes                  []string
	settings                pin.ClientSettings
	keys                    map[string]key // what the fixtures list as <name>_id and <name>_hex
	listed                  map[string]any // what else the fixtures list
	unlisted                bool           // serves tests of what one program must not see of another
}

func (c client) id() string     { return c.name + "-sandbox" }
func (c client) secret() string { return c.name + "-sandbox-secret" }

var (
	threddScopes = []string{"cards:write", "pins:read", "pins:reveal", "pins:write"}
	issuerScopes = []string{"programs:read", "programs:write", "clients:read", "clients:write", "cards:read", "cards:write",
		"pins:read", "pins:verify", "pins:write", "audit:read"}
)

var clients = []client{
	{name: "issuer", contract: "issuer", scopes: issuerScopes, keys: map[string]key{"zpk": zonePINKey, "zpk_aes": zonePINKeyAES}},
	{name: "issuer_other", contract: "issuer", program: otherProgram, scopes: issuerScopes, unlisted: true},
	{name: "thredd", contract: "thredd", program: program, scopes: threddScopes},
	{name: "thredd_other", contract: "thredd", program: otherProgram, scopes: threddScopes, unlisted: true},
}

// key is a partner's key. A program of "" means that it serves every program.
type key struct {
	id, program    string
	usage          pin.KeyUsage
	algorithm, hex string
}

var (
	zonePINKey    = key{"zpk-sandbox", "", pin.UsageZonePIN, "TDES", "E8DD93B8AF13999C7644C0FE11F5D2A7"}
	zonePINKeyAES = key{"zpk-sandbox-aes", "", pin.UsageZonePIN, "AES", "00112233445566778899AABBCCDDEEFF"}
)

var keys = []key{zonePINKey, zonePINKeyAES}

// card is one fixture. What is not said here follows from its number.
type card struct {
	name    string
	number  int
	token   string // public token
	pan     string
	pin     string
	status  pin.Status
	program string

	upgrade int
	random  bool   // the PIN counts as drawn at random
	blocked bool   // no tries left
	alias   string // "": one of its own
	plan    string // device plan code, "": PLAN01
}

var cards = []card{
	{name: "normal", number: 1, token: "103169946", pan: "9999990000000014", pin: "7010"},
	{name: "second", number: 2, token: "103169947", pan: "9999990000000022", pin: "2846"},
	{name: "third", number: 3, token: "103169948", pan: "9999990000000030", pin: "593817"},
	{name: "unchosen", number: 4, token: "103169901", pan: "9999990000000048", pin: "6183", random: true},
	{name: "lost", number: 5, token: "103169902", pan: "9999990000000055", pin: "4719", status: pin.StatusLost},
	{name: "closed", number: 6, token: "103169903", pan: "9999990000000063", pin: "8305", status: pin.StatusClosed},
	{name: "blocked", number: 7, token: "103169904", pan: "9999990000000071", pin: "2904", blocked: true},
	{name: "upgrade_pending", number: 8, token: "103169905", pan: "9999990000000089", pin: "5172", status: pin.StatusUpgrade},
	{name: "shared_alias_a", number: 9, token: "103169906", pan: "9999990000000097", pin: "9047", alias: "SHARED_ALIAS"},
	{name: "shared_alias_b", number: 10, token: "103169907", pan: "9999990000000105", pin: "3618", alias: "SHARED_ALIAS", plan: "PLAN02"},
	{name: "alias_disabled", number: 11, token: "103169908", pan: "9999990000000113", pin: "7435", program: otherProgram},
	{name: "invalid", number: 12, token: "103169911", pan: "9999990000000121", pin: "1597", status: pin.StatusInvalid},
	{name: "stolen", number: 13, token: "103169912", pan: "9999990000000139", pin: "8260", status: pin.StatusStolen},
	{name: "restricted", number: 14, token: "103169913", pan: "9999990000000147", pin: "6391", status: pin.StatusRestricted},
}

const (
	expiry   = "3112"
	sequence = "01"
)

// spoken is the number in the names of the first cards, for the embossed name.
var spoken = map[int]string{1: "FIRST", 2: "SECOND", 3: "THIRD"}

func (c card) id() string { return fmt.Sprintf("00000000-0000-7000-8000-%012d", c.number) }

func (c card) programID() string {
	if c.program != "" {
		return c.program
	}
	return program
}

func (c card) attributes() pin.Attributes {
	plan, embossed := c.plan, spoken[c.number]
	if plan == "" {
		plan = "PLAN01"
	}
	if embossed == "" {
		embossed = fmt.Sprintf("NUMBER %d", c.number)
	}
	return pin.Attributes{
		CustomerReference: fmt.Sprintf("C-%04d", c.number),
		EmbossName:        embossed + " CARD",
		CustomerID:        fmt.Sprintf("IN00001201%06d", c.number),
		MobileNumber:      fmt.Sprintf("971500%06d", c.number),
		EmailAddress:      c.name + "@cards.example",
		CardProfileID:     "CP01",
		ProgramCode:       "PROG01",
		DevicePlanCode:    plan,
		InstitutionCode:   "INST01",
		CardholderID:      fmt.Sprintf("CH%08d", c.number),
		WalletID:          fmt.Sprintf("WL%08d", c.number),
	}
}

func (c card) references() []pin.Reference {
	alias := c.alias
	if alias == "" {
		alias = fmt.Sprintf("ALIAS_%04d", c.number)
	}
	return []pin.Reference{
		{Kind: pin.KindPublicToken, Value: c.token},
		{Kind: pin.KindURN, Value: fmt.Sprintf("7%010d", c.number)},
		{Kind: pin.KindIdentifier, Value: fmt.Sprintf("DEVICE%010d", c.number)},
		{Kind: pin.KindPackID, Value: fmt.Sprintf("PACK%08d", c.number)},
		{Kind: pin.KindNumber, Value: fmt.Sprintf("5%013d", c.number)},
		{Kind: pin.KindAlias, Value: alias},
		{Kind: pin.KindHashdtCardID, Value: fmt.Sprintf("CD%08d", c.number)},
		{Kind: pin.KindEXID, Value: fmt.Sprintf("EX%08d", c.number)},
		{Kind: pin.KindContractNumber, Value: fmt.Sprintf("CN%08d", c.number)},
	}
}

// listed is the card as /sandbox/fixtures shows it.
func (c card) listed() map[string]any {
	by := map[pin.Kind]string{}
	for _, r := range c.references() {
		by[r.Kind] = r.Value
	}
	a, status := c.attributes(), c.status
	if status == "" {
		status = pin.StatusNormal
	}
	return map[string]any{
		"cardId": c.id(), "programId": c.programID(), "pan": c.pan, "expiry": expiry, "sequence": sequence, "pin": c.pin,
		"status": status, "upgradeStatus": c.upgrade,
		"publicToken": c.token, "urn": by[pin.KindURN], "last4Digits": c.pan[len(c.pan)-4:],
		"customerReference": a.CustomerReference, "embossName": a.EmbossName,
		"customerId": a.CustomerID, "mobileNumber": a.MobileNumber, "emailAddress": a.EmailAddress, "cardProfileId": a.CardProfileID,
		"identifier": by[pin.KindIdentifier], "packID": by[pin.KindPackID], "number": by[pin.KindNumber], "alias": by[pin.KindAlias],
		"programCode": a.ProgramCode, "devicePlanCode": a.DevicePlanCode, "institutionCode": a.InstitutionCode,
		"cardholderId": a.CardholderID, "walletId": a.WalletID, "hashdtCardId": by[pin.KindHashdtCardID],
		"exid": by[pin.KindEXID], "contractNumber": by[pin.KindContractNumber],
	}
}
