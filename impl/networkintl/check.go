package networkintl

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"pinvault/generated/networkintl"
	"pinvault/impl/contract"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/timestamps"
)

// tenant is what depends on who asks.
type tenant struct {
	program  pin.Program
	cPlus    bool // card_sequence_number is mandatory
	settings clientSettings
}

// tenant finds the caller's program and settings. A client of this contract belongs to a program:
// Forbidden.
func (a *API) tenant(ctx context.Context) (tenant, error) {
	who := pin.CallerFrom(ctx)
	if who.ClientID == "" {
		return tenant{}, &pin.Error{Code: pin.Unauthorized}
	}
	client, err := a.vault.Client(ctx, who.ClientID)
	if pin.CodeOf(err) == pin.NotFound { // revoked since its token was verified
		err = &pin.Error{Code: pin.Unauthorized}
	}
	if err == nil && client.ProgramID == "" {
		err = &pin.Error{Code: pin.Forbidden}
	}
	if err != nil {
		return tenant{}, err
	}
	program, err := a.vault.Program(ctx, client.ProgramID)
	if err != nil {
		return tenant{}, err
	}
	ofProgram, err := ofPrograms.Read(program.Settings[Name])
	if err != nil {
		return tenant{}, err
	}
	ofClient, err := ofClients.Read(client.Settings)
	return tenant{program, ofProgram.CPlus, ofClient}, err
}

// zone is the program's time zone, that of the United Arab Emirates where it has none or nobody is known.
func (t tenant) zone() *time.Location {
	if t.program.TimeZone != "" {
		if zone, err := time.LoadLocation(t.program.TimeZone); err == nil {
			return zone
		}
	}
	return time.FixedZone("", 4*60*60)
}

// checked is what the check has found out, for the handler.
type checked struct {
	tenant tenant
	key    chosenKey
}

type checkedKey struct{}

// checkedFrom is that of a handler's request.
func checkedFrom(ctx context.Context) checked { return ctx.Value(checkedKey{}).(checked) }

// Check is server.Checker's: what is wrong with a request beyond its document, which depends on the program,
// the client's settings and the keys. It is all answered before a card is sought, so that none of it tells
// of one.
func (a *API) Check(r *http.Request, op *contract.Operation) (context.Context, []contract.Violation, error) {
	ctx := r.Context()
	t, err := a.tenant(ctx)
	if err != nil {
		return ctx, nil, err
	}
	c := check{op: op, tenant: t, header: membersAt(r, headerPointer), body: membersAt(r, bodyPointer)}
	c.checkHeader()
	key, err := a.checkBody(ctx, &c)
	return context.WithValue(ctx, checkedKey{}, checked{t, key}), c.broken, err
}

// check is one under way. Of header and body it has what was sent, nil for what is no object.
type check struct {
	op           *contract.Operation
	tenant       tenant
	header, body members
	broken       []contract.Violation
}

func (c *check) breaks(pointer, name string, rule contract.Rule) {
	c.broken = append(c.broken, c.op.Violation(pointer+"/"+name, rule))
}

// members are those of an object in a request.
type members map[string]any

func membersAt(r *http.Request, pointer string) members {
	object, _ := sent(r, pointer).(map[string]any)
	return object
}

// text is a field that is a text, "" for any other: the document says what is wrong with that.
func (m members) text(name string) string {
	text, _ := m[name].(string)
	return text
}

// absent tells of a field that counts as not sent.
func (m members) absent(name string) bool { return m[name] == nil || m[name] == "" }

func (c *check) checkHeader() {
	if text := c.header.text("timestamp"); text != "" && !isTime(text) {
		c.breaks(headerPointer, "timestamp", contract.RuleFormat)
	}
	if bank := c.header.text("bank_id"); bank != "" && bank != c.tenant.settings.BankID {
		c.breaks(headerPointer, "bank_id", contract.RuleEnum)
	}
}

// isTime tells whether a text of one of the two forms is a time that there was.
func isTime(text string) bool {
	at, err := time.Parse("02/01/2006 15:04:05", text)
	if err != nil {
		at, err = timestamps.Read(text)
	}
	return err == nil && at.Year() > 0
}

// checkBody finds the key that the PIN blocks are under.
func (a *API) checkBody(ctx context.Context, c *check) (chosenKey, error) {
	if c.body == nil {
		return chosenKey{}, nil
	}
	if c.tenant.cPlus && c.body.absent("card_sequence_number") {
		c.breaks(bodyPointer, "card_sequence_number", contract.RuleRequired)
	}
	methods := c.methods()
	key, err := a.key(ctx, c, slices.Concat(methods...))
	sizes := sizesUnder(key, methods)
	for _, name := range []string{"encrypted_old_pin", "encrypted_new_pin"} {
		if block := c.body.text(name); block != "" && !sizes.fit(utf8.RuneCountInString(block)) {
			c.breaks(bodyPointer, name, contract.RuleMaxLength)
		}
	}
	return key, err
}

// methods are the algorithms that the encryption_method asks for: where it is none, those of either.
func (c *check) methods() []wanted {
	method := networkintl.EncryptionMethod(c.body.text("encryption_method"))
	switch {
	case method == networkintl.EncryptionMethodASYMMETRICENC && !c.tenant.settings.AsymmetricAlias:
		c.breaks(bodyPointer, "encryption_method", contract.RuleEnum)
	case method == networkintl.EncryptionMethodSYMMETRICENC:
		return []wanted{symmetric}
	case method == networkintl.EncryptionMethodASYNCENC, method == networkintl.EncryptionMethodASYMMETRICENC:
		return []wanted{asymmetric}
	}
	return []wanted{symmetric, asymmetric} // the document says what is wrong
}

// chosenKey is a key and its id, "" for none.
type chosenKey struct {
	id string
	keyring.PINKey
}

// wanted is what a request asks of a key that it may not name.
type wanted []string // algorithms

var (
	symmetric  = wanted{keyring.TDES, keyring.AES}
	asymmetric = wanted{keyring.RSA}
)

// types are the encryption_key_types that choose. The partner's document has none, so any other is taken and means
// nothing.
var types = map[string]wanted{
	"TDES": {keyring.TDES},
	"AES":  {keyring.AES},
	"RSA":  {keyring.RSA},
	"ZPK":  symmetric,
}

// sizes are how many bytes a PIN block may have, each from the least to the most.
type sizes [][2]int

// blocks are the sizes of PIN blocks under an algorithm's keys.
var blocks = map[string][2]int{keyring.TDES: {8, 8}, keyring.AES: {16, 16}, keyring.RSA: {keyring.MinRSA / 8, keyring.MaxRSA / 8}}

// sizesUnder are those under a key and, in the place of one that is unknown or none of a method's, under whatever
// key of that method could have been meant: what is wrong is the key then, and not also the blocks.
func sizesUnder(key chosenKey, methods []wanted) sizes {
	var all sizes
	if key.id != "" {
		all = append(all, [2]int{key.BlockSize, key.BlockSize})
	}
	for _, method := range methods {
		if !slices.Contains(method, key.Algorithm) {
			for _, algorithm := range method {
				all = append(all, blocks[algorithm])
			}
		}
	}
	return all
}

// fit tells whether a block of so many hexadecimal digits has one of the sizes.
func (s sizes) fit(digits int) bool {
	return digits%2 == 0 && slices.ContainsFunc(s, func(bounds [2]int) bool { return digits/2 >= bounds[0] && digits/2 <= bounds[1] })
}

// key is the key that a request names, or else the client's first one that fits method and type, unless
// that cannot be.
func (a *API) key(ctx context.Context, c *check, byMethod wanted) (chosenKey, error) {
	byType, chooses := types[c.body.text("encryption_key_type")]
	if !chooses {
		byType = slices.Concat(symmetric, asymmetric)
	}
	id := c.body.text("encryption_key_id")
	if id == "" {
		return a.unnamedKey(ctx, c, byMethod, byType)
	}
	described, err := a.keys.PINKey(ctx, c.tenant.program.ID, id)
	switch {
	case pin.CodeOf(err) == pin.UnknownKey:
		c.breaks(bodyPointer, "encryption_key_id", contract.RuleEnum)
		return chosenKey{}, nil
	case err != nil:
		return chosenKey{}, err
	case !slices.Contains(byMethod, described.Algorithm):
		c.breaks(bodyPointer, "encryption_key_id", contract.RuleEnum)
	case !slices.Contains(byType, described.Algorithm):
		c.breaks(bodyPointer, "encryption_key_type", contract.RuleEnum)
	}
	return chosenKey{id, described}, nil
}

func (a *API) unnamedKey(ctx context.Context, c *check, byMethod, byType wanted) (chosenKey, error) {
	fits := slices.DeleteFunc(slices.Clone(byMethod), func(algorithm string) bool { return !slices.Contains(byType, algorithm) })
	if len(fits) == 0 {
		c.breaks(bodyPointer, "encryption_key_type", contract.RuleEnum)
		return chosenKey{}, nil
	}
	key, err := a.defaultKey(ctx, c.tenant, fits)
	if err == nil && key.id == "" && c.body.absent("encryption_key_id") {
		c.breaks(bodyPointer, "encryption_key_id", contract.RuleRequired)
	}
	return key, err
}

// defaultKey is the first of the client's keys that is of a wanted algorithm. One that was retired is
// passed over.
func (a *API) defaultKey(ctx context.Context, t tenant, w wanted) (chosenKey, error) {
	for _, id := range t.settings.PINKeyIDs {
		described, err := a.keys.PINKey(ctx, t.program.ID, id)
		if err != nil && pin.CodeOf(err) != pin.UnknownKey {
			return chosenKey{}, fmt.Errorf("default key: %w", err)
		}
		if err == nil && slices.Contains(w, described.Algorithm) {
			return chosenKey{id, described}, nil
		}
	}
	return chosenKey{}, nil
}
