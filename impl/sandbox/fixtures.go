package sandbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"pinvault/impl/pin"
)

// The programs. One allows everything that a partner may want to try, the other lacks the alias
// capability and is somebody else's as far as the first one's clients are concerned. The last one asks for
// approvals.
const (
	program      = "00000000-0000-7000-8000-00000000a001"
	otherProgram = "00000000-0000-7000-8000-00000000a002"
	dualProgram  = "00000000-0000-7000-8000-00000000a004"
)

// Program is the one that allows everything.
const Program = program

func programs() []pin.Program {
	main, other, dual := pin.NewProgram("Sandbox"), pin.NewProgram("Sandbox without aliases"), pin.NewProgram("Sandbox with approvals")
	main.ID, other.ID, dual.ID = program, otherProgram, dualProgram
	dual.DualUnblock, dual.DualReveal = true, true
	for _, p := range []*pin.Program{&main, &other, &dual} {
		p.MaxPINLength = pin.MaxLength
		p.Policy = pin.PolicyOff // the contracts' own examples use 0000
		p.RetrievalAllowed = true
		p.TimeZone = "Asia/Dubai"
	}
	main.Settings = map[string]json.RawMessage{"creditplus": object(members{"aliasCapability": true})}
	other.Settings = map[string]json.RawMessage{"accosa": object(members{"cardProfileMandatory": true})}
	return []pin.Program{main, other, dual}
}

// members are settings of a contract, as openapi/issuer.yaml names them.
type members map[string]any

// object is settings as a program or client holds them.
func object(m members) json.RawMessage {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // of constants, so it would fail always or never
	}
	return text
}

// client is a partner's credentials and the name under which the fixtures list them.
type client struct {
	name, contract, program string
	scopes                  []string
	settings                members
	keys                    map[string]key    // what the fixtures list as <name>_id and <name>_hex
	secrets                 map[string]string // settings that are secret
	listed                  map[string]any    // what else the fixtures list
	halted                  *pin.Halt
	unlisted                bool // serves tests of what one program must not see of another
}

func (c client) id() string     { return c.name + "-sandbox" }
func (c client) secret() string { return c.name + "-sandbox-secret" }

// known is what the fixtures list of the client.
func (c client) known() map[string]any {
	all := map[string]any{"client_id": c.id(), "client_secret": c.secret()}
	for name, k := range c.keys {
		all[name+"_id"], all[name+"_hex"] = k.id, k.hex
	}
	maps.Copy(all, c.listed)
	return all
}

// timestampWindow is the setting of Credit+'s clients that is off for all but one: the documented examples are good
// at any time.
const timestampWindow = "timestampWindowSeconds"

var (
	threddScopes = []string{"cards:write", "pins:read", "pins:reveal", "pins:write"}
	issuerScopes = []string{"programs:read", "programs:write", "clients:read", "clients:write", "clients:release", "cards:read", "cards:write",
		"pins:read", "pins:verify", "pins:write", "pins:reveal", "pins:translate", "pins:export", "keys:read", "keys:manage", "keys:component", "audit:read",
		"approvals:read", "approvals:request", "approvals:decide", "vaultkeys:read", "vaultkeys:manage", "webhooks:read", "webhooks:write", "events:read"}
	creditplusScopes = []string{"tries:reset"}
	accosaScopes     = []string{"pins:write"}
	hashdtScopes     = []string{"pins:write"}
	networkScopes    = []string{"pins:change"}
)

var clients = []client{
	{name: "issuer", contract: "issuer", scopes: issuerScopes, keys: map[string]key{"zpk": zonePINKey, "zpk_aes": zonePINKeyAES, "zmk": zoneMasterKey, "pvk": verificationKey, "printer": printerKey}},
	{name: "issuer_other", contract: "issuer", program: otherProgram, scopes: issuerScopes, unlisted: true},
	{name: "issuer_approver", contract: "issuer", scopes: []string{"approvals:read", "approvals:request", "approvals:decide", "pins:read", "pins:write"}},
	{name: "issuer_custodian", contract: "issuer", scopes: []string{"keys:read", "keys:component"}, unlisted: true},
	{name: "issuer_halted", contract: "issuer", scopes: []string{"pins:verify"}, halted: alarmed, unlisted: true},
	{name: "thredd", contract: "thredd", program: program, scopes: threddScopes},
	{name: "thredd_other", contract: "thredd", program: otherProgram, scopes: threddScopes, unlisted: true},
	{name: "thredd_dual", contract: "thredd", program: dualProgram, scopes: threddScopes, unlisted: true},
	{name: "creditplus_dual", contract: "creditplus", program: dualProgram, scopes: creditplusScopes,
		settings: members{"encryptionRequired": false, "messageKeyIds": []string{}, timestampWindow: 0}, unlisted: true},
	{name: "creditplus", contract: "creditplus", program: program, scopes: creditplusScopes,
		settings: members{"encryptionRequired": false, "messageKeyIds": []string{creditplusKey.id, creditplusNextKey.id}, timestampWindow: 0},
		keys:     map[string]key{"key": creditplusKey, "next_key": creditplusNextKey}},
	{name: "creditplus_encrypted_only", contract: "creditplus", program: program, scopes: creditplusScopes,
		settings: members{"encryptionRequired": true, "messageKeyIds": []string{creditplusOnlyKey.id}, timestampWindow: 0},
		keys:     map[string]key{"key": creditplusOnlyKey}},
	{name: "creditplus_no_alias", contract: "creditplus", program: otherProgram, scopes: creditplusScopes,
		settings: members{"encryptionRequired": false, "messageKeyIds": []string{creditplusNoAliasKey.id}, timestampWindow: 0},
		keys:     map[string]key{"key": creditplusNoAliasKey}},
	{name: "creditplus_window", contract: "creditplus", program: program, scopes: creditplusScopes,
		settings: members{"encryptionRequired": false, "messageKeyIds": []string{creditplusKey.id}},
		keys:     map[string]key{"key": creditplusKey}},
	accosa("accosa", program, "", accosaKey, accosaNextKey),
	accosa("accosa_fixed_iv", program, accosaIV, accosaFixedKey),
	accosa("accosa_other", otherProgram, "", accosaOtherKey),
	fresh(accosa("accosa_window", program, "", accosaWindowKey)),
	{name: "hashdt", contract: "hashdt", program: program, scopes: hashdtScopes,
		listed: map[string]any{"x-api-key": "hashdt-sandbox.hashdt-sandbox-secret", "x-product-id": program, "x-client-id": "hashdt-sandbox"}},
	{name: "hashdt_other", contract: "hashdt", program: otherProgram, scopes: hashdtScopes, unlisted: true},
	{name: "networkintl", contract: "networkintl", program: program, scopes: networkScopes,
		settings: members{"bankId": "NIC", "pinKeyIds": []string{networkPINKey.id, networkPINKeyAES.id, networkPINKeyRSA.id}},
		keys:     map[string]key{"zpk": networkPINKey, "zpk_aes": networkPINKeyAES},
		listed:   map[string]any{"bank_id": "NIC", "rsa_key_id": networkPINKeyRSA.id}},
	{name: "networkintl_other", contract: "networkintl", program: otherProgram, scopes: networkScopes,
		settings: members{"bankId": "NIC", "pinKeyIds": []string{zonePINKey.id}}, unlisted: true},
	{name: "networkintl_halted", contract: "networkintl", program: program, scopes: networkScopes,
		settings: members{"bankId": "NIC", "pinKeyIds": []string{networkPINKey.id}}, halted: alarmed, unlisted: true},
}

// alarmed is what halts the clients that are to be seen halted.
var alarmed = &pin.Halt{At: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), BIN: "999999", Cards: 101, Mismatches: 120, Verifications: 130}

// Lists tells whether the fixtures list a client under a name.
func Lists(name string) bool {
	return slices.ContainsFunc(clients, func(c client) bool { return !c.unlisted && c.name == name })
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

// Keys of the whole server: the zone master key of TR-31's example, the PIN verification key of Visa's, a printer's.
var (
	zoneMasterKey   = key{"zmk-sandbox", "", pin.UsageZoneMaster, "AES", "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6"}
	verificationKey = key{"pvk-sandbox", "", pin.UsageVerification, "TDES", "0123456789ABCDEFFEDCBA9876543210"}
	printerKey      = key{"printer-sandbox", "", pin.UsagePINMailer, "TDES", "4C3BD5A1F7206E9876AD13E9B05CF482"}
)

// The keys of Network International's client, of its program alone. encryption_key_id takes twenty characters.
var (
	networkPINKey    = key{"zpk-ni-sandbox", program, pin.UsageZonePIN, "TDES", "C1D0F8FB4958670DBA40AB1F3752EF0D"}
	networkPINKeyAES = key{"zpk-ni-sandbox-aes", program, pin.UsageZonePIN, "AES", "2B7E151628AED2A6ABF7158809CF4F3C"}
	networkPINKeyRSA = key{"rsa-ni-sandbox", program, pin.UsageZonePIN, "RSA", rsaPINKey}
)

// The keys of Credit+'s clients. The first client has two, as one that replaces its key has for a while.
var (
	creditplusKey        = key{"creditplus-key", program, pin.UsageMessage, "AES", "60C3A1E5B7F2948D0E6B13C7D85A2F496E1D07B3C94A58F2A7E60D3B915C84FA"}
	creditplusNextKey    = key{"creditplus-key-next", program, pin.UsageMessage, "AES", "B45E0C9A3D7186F25B8E4A90C1D37F620D95E8B7A46C1F3082D9B5E7613AC04F"}
	creditplusOnlyKey    = key{"creditplus-only-key", program, pin.UsageMessage, "AES", "1F8B64D2E90C75A3B6D148F07E2C95AB83F60E1D4A7B29C5D0E8F3761B5C9A42"}
	creditplusNoAliasKey = key{"creditplus-no-alias-key", otherProgram, pin.UsageMessage, "AES", "D7024F8E6B91C3A5E08D5F27B14C96A38E7D1B0F4C2A95E6D378B0F1E64C2A59"}
)

// The keys of Accosa's clients, the first one's as the contract's worked example has it.
var (
	accosaKey       = key{"accosa-key", program, pin.UsageMessage, "AES", "404142434445464748494A4B4C4D4E4F5051525354555657"}
	accosaNextKey   = key{"accosa-key-next", program, pin.UsageMessage, "AES", "1C9E5B7A03D84F62E1B7C40D9A352F8E6D10B3F7A94C2E58"}
	accosaFixedKey  = key{"accosa-fixed-iv-key", program, pin.UsageMessage, "AES", "7A2D94E0C65B13F8D07E4A91B6C3582F1E9D60B74FA8C235"}
	accosaWindowKey = key{"accosa-window-key", program, pin.UsageMessage, "AES", "5B0F9E2D7C416A83F1D4E6097B38C25AA94D1E70F36C82B5"}
	accosaOtherKey  = key{"accosa-other-key", otherProgram, pin.UsageMessage, "AES", "E35F81C70A9D2B64F8170D3E5CA29B46D19E7F0358B4C26A"}
)

// accosaIV is that of the client whose IV is fixed.
const accosaIV = "A1B2C3D4E5F60718293A4B5C6D7E8F90"

// accosa is a client of Accosa's contract, the first of its keys being the current one. An iv of "" means
// that each token has its own.
func accosa(name, program, iv string, current key, next ...key) client {
	own := members{"clientId": "2000", "bankId": "7000", "entityId": "100"}
	c := client{name: name, contract: "accosa", program: program, scopes: accosaScopes, settings: own, secrets: map[string]string{"secureCode": "accosa-sandbox-code"},
		keys: map[string]key{"key": current}}
	ids := []string{current.id}
	for _, k := range next {
		ids, c.keys["next_key"] = append(ids, k.id), k
	}
	c.listed = map[string]any{"x-api-key": c.id() + "." + c.secret(), "secureCode": c.secrets["secureCode"]}
	maps.Copy(c.listed, own)
	own["requestWindowSeconds"] = 0 // the documents' examples are of any time
	if own["messageKeyIds"] = ids; iv != "" {
		own["ivMode"], own["fixedIv"], c.listed["iv_hex"] = "fixed", iv, iv
	}
	return c
}

// fresh is a client whose messages must say the time that it is, as a client's must unless it is set up otherwise.
func fresh(c client) client {
	delete(c.settings, "requestWindowSeconds")
	return c
}

var keys = []key{zonePINKey, zonePINKeyAES, zoneMasterKey, verificationKey, printerKey, networkPINKey, networkPINKeyAES, networkPINKeyRSA,
	accosaKey, accosaNextKey, accosaFixedKey, accosaOtherKey, accosaWindowKey,
	creditplusKey, creditplusNextKey, creditplusOnlyKey, creditplusNoAliasKey,
}

// Key is a key of a client as the fixtures list it, <name>_hex, for whatever makes examples of documents.
func Key(clientName, name string) (hex string, ok bool) {
	for _, c := range clients {
		if c.name == clientName {
			k, ok := c.keys[name]
			return k.hex, ok
		}
	}
	return "", false
}

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
	random  bool   // the PIN counts as drawn at random; one that is "" is none
	blocked bool   // no tries left
	alias   string // "": one of its own
	mobile  string // "": one of its own
	profile string // card profile, "": CP01
	holder  int    // number of the customer, 0: the card's own
	plan    string // device plan code, "": PLAN01, none: without
	device  string // device number, "": one of its own
	expiry  string // YYMM, "": that of all
}

var cards = []card{
	{name: "normal", number: 1, token: "103169946", pan: "9999990000000014", pin: "7010"},
	{name: "second", number: 2, token: "103169947", pan: "9999990000000022", pin: "2846"},
	{name: "third", number: 3, token: "103169948", pan: "9999990000000030", pin: "593817"},
	{name: "number_like_pan", number: 20, token: "103169920", pan: "9999990000000204", pin: "5821", device: "9999990000000030"}, // the third one's PAN
	{name: "unchosen", number: 4, token: "103169901", pan: "9999990000000048", pin: "6183", random: true},
	{name: "lost", number: 5, token: "103169902", pan: "9999990000000055", pin: "4719", status: pin.StatusLost},
	{name: "expired", number: 21, token: "103169921", pan: "9999990000000212", pin: "2485", status: pin.StatusClosed, expiry: "2501"},
	{name: "closed", number: 6, token: "103169903", pan: "9999990000000063", pin: "8305", status: pin.StatusClosed},
	{name: "blocked", number: 7, token: "103169904", pan: "9999990000000071", pin: "2904", blocked: true},
	{name: "upgrade_pending", number: 8, token: "103169905", pan: "9999990000000089", pin: "5172", status: pin.StatusUpgrade},
	{name: "shared_alias_a", number: 9, token: "103169906", pan: "9999990000000097", pin: "9047", alias: "SHARED_ALIAS"},
	{name: "shared_alias_b", number: 10, token: "103169907", pan: "9999990000000105", pin: "3618", alias: "SHARED_ALIAS", plan: "PLAN02", mobile: "971500000009"},
	{name: "alias_disabled", number: 11, token: "103169908", pan: "9999990000000113", pin: "7435", program: otherProgram},
	{name: "invalid", number: 12, token: "103169911", pan: "9999990000000121", pin: "1597", status: pin.StatusInvalid},
	{name: "stolen", number: 13, token: "103169912", pan: "9999990000000139", pin: "8260", status: pin.StatusStolen},
	{name: "restricted", number: 14, token: "103169913", pan: "9999990000000147", pin: "6391", status: pin.StatusRestricted, profile: "CP02"},
	{name: "no_plan", number: 15, token: "103169914", pan: "9999990000000154", pin: "3947", plan: none, holder: 14},
	{name: "no_pin", number: 16, token: "103169915", pan: "9999990000000162"},
	{name: "blocked_unchosen", number: 17, token: "103169916", pan: "9999990000000170", pin: "6042", random: true, blocked: true},
	{name: "dual", number: 25, token: "103169925", pan: "9999990000000253", pin: "6274", program: dualProgram},
	// Cards with a fate that is not in their state: see x-fates in openapi/sandbox.yaml.
	{name: "slow", number: 22, token: "103169922", pan: "9999990000000220", pin: "3852"},
	{name: "database_gone", number: 23, token: "103169923", pan: "9999990000000238", pin: "7169"},
	{name: "internal_fault", number: 24, token: "103169924", pan: "9999990000000246", pin: "4690"},
}

const (
	laterExpiry = "3112" // of all cards but one
	sequence    = "01"
)

// none is the code of what a card does not have.
const none = "-"

// serviceRequest is one that was logged before the sandbox was opened.
var serviceRequest = members{
	"number": "SR0000000000", "programId": program, "cardId": card{number: 1}.id(), "clientId": "creditplus-sandbox", "contract": "creditplus",
	"version": "v2", "serviceCode": "109", "notes": "Caller verified", "source": "CALL_CENTRE", "loggedAt": time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC),
}

// webhook is one that is there to be looked at. It is paused, since nobody receives there.
const webhook = "00000000-0000-7000-8000-00000000f001"

// pinSession is a session of the hosted page that is there to be asked for, for as long as a sandbox lives.
const pinSession = "00000000-0000-7000-8000-00000000e001"

// approvals are some that wait for a decision, for as long as a sandbox lives: what the one client asks for the other one decides.
var approvals = []struct {
	id, client string
	action     pin.ApprovalAction
}{
	{"00000000-0000-7000-8000-00000000d001", "issuer_approver-sandbox", pin.ApproveUnblock},
	{"00000000-0000-7000-8000-00000000d002", "issuer-sandbox", pin.ApproveReveal},
}

// lasting is how long something is good that ends in production, and in a sandbox does not.
const lasting = 10 * 365 * 24 * time.Hour

// spoken is the number in the names of the first cards, for the embossed name.
var spoken = map[int]string{1: "FIRST", 2: "SECOND", 3: "THIRD"}

// PINs are those of the cards of the fixtures.
func PINs() (all []string) {
	for _, c := range cards {
		all = append(all, c.pin)
	}
	return all
}

// CardID is the id of a card of the fixtures, "" where none has the name.
func CardID(name string) string {
	for _, c := range cards {
		if c.name == name {
			return c.id()
		}
	}
	return ""
}

func (c card) id() string { return fmt.Sprintf("00000000-0000-7000-8000-%012d", c.number) }

func (c card) programID() string {
	if c.program != "" {
		return c.program
	}
	return program
}

func (c card) attributes() pin.Attributes {
	plan, embossed := c.plan, spoken[c.number]
	switch plan {
	case "":
		plan = "PLAN01"
	case none:
		plan = ""
	}
	if embossed == "" {
		embossed = fmt.Sprintf("NUMBER %d", c.number)
	}
	return pin.Attributes{
		CustomerReference: fmt.Sprintf("C-%04d", c.number),
		EmbossName:        embossed + " CARD",
		CustomerID:        fmt.Sprintf("IN00001201%06d", cmp.Or(c.holder, c.number)),
		MobileNumber:      cmp.Or(c.mobile, fmt.Sprintf("971500%06d", c.number)),
		EmailAddress:      c.name + "@cards.example",
		CardProfileID:     cmp.Or(c.profile, "CP01"),
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
		{Kind: pin.KindNumber, Value: cmp.Or(c.device, fmt.Sprintf("5%013d", c.number))},
		{Kind: pin.KindAlias, Value: alias},
		{Kind: pin.KindHashdtCardID, Value: fmt.Sprintf("CD%08d", c.number)},
		{Kind: pin.KindEXID, Value: fmt.Sprintf("EX%08d", c.number)},
		{Kind: pin.KindContractNumber, Value: fmt.Sprintf("CN%08d", c.number)},
	}
}

// described is the card as it is made, except for its PIN.
func (c card) described() pin.NewCard {
	return pin.NewCard{ID: c.id(), ProgramID: c.programID(), PAN: c.pan, Expiry: cmp.Or(c.expiry, laterExpiry), Sequence: sequence,
		Status: cmp.Or(c.status, pin.StatusNormal), UpgradeStatus: c.upgrade, Attributes: c.attributes(), References: c.references()}
}

// listed is the card as /sandbox/fixtures shows it.
func (c card) listed() map[string]any { return ListCard(c.described(), c.pin) }

// listedAs are the names of references whose kinds have others.
var listedAs = map[pin.Kind]string{pin.KindPackID: "packID"}

// ListCard is a card as /sandbox/fixtures shows it. Its PIN is "" where none is known.
func ListCard(n pin.NewCard, digits string) map[string]any {
	a := n.Attributes
	all := map[string]any{
		"cardId": n.ID, "programId": n.ProgramID, "pan": n.PAN, "expiry": n.Expiry, "sequence": n.Sequence, "pin": digits,
		"status": n.Status, "upgradeStatus": n.UpgradeStatus, "last4Digits": n.PAN[max(0, len(n.PAN)-4):],
		"customerReference": a.CustomerReference, "embossName": a.EmbossName,
		"customerId": a.CustomerID, "mobileNumber": a.MobileNumber, "emailAddress": a.EmailAddress, "cardProfileId": a.CardProfileID,
		"programCode": a.ProgramCode, "devicePlanCode": a.DevicePlanCode, "institutionCode": a.InstitutionCode,
		"cardholderId": a.CardholderID, "walletId": a.WalletID,
	}
	for _, r := range n.References {
		all[cmp.Or(listedAs[r.Kind], string(r.Kind))] = r.Value
	}
	return all
}
