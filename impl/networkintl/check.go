package networkintl

import (
	"context"
	"fmt"
	"slices"
	"time"

	"pinvault/generated/networkintl"
	"pinvault/impl/contract"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// tenant is what depends on who asks.
type tenant struct {
	program  pin.Program
	settings pin.ClientSettings
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
	return tenant{program, client.Settings}, nil
}

// zone is the program's time zone, that of the United Arab Emirates where there is no program to ask.
func (t tenant) zone() *time.Location {
	if t.program.TimeZone != "" {
		if zone, err := time.LoadLocation(t.program.TimeZone); err == nil {
			return zone
		}
	}
	return time.FixedZone("", 4*60*60)
}

// fields are broken rules in the words of the contract check, so that one table renders them all.
type fields struct{ broken contract.Broken }

func (f *fields) add(in string, name string, rule contract.Rule) {
	f.broken = append(f.broken, contract.Violation{In: contract.InBody, Rule: rule, Label: name,
		Pointer: "/NISrvRequest/request_card_pin_change/" + in + "/" + name})
}

// check finds the key of a request, and what is wrong with the request beyond its document: what depends
// on the program, the client's settings and the keys. It is all answered before a card is sought, so that
// none of it tells of one.
func (a *API) check(ctx context.Context, t tenant, r change) (chosenKey, error) {
	var f fields
	if t.program.CPlus && r.sequence == nil {
		f.add("body", "card_sequence_number", contract.RuleRequired)
	}
	if !isTime(r.header.Timestamp, t.zone()) {
		f.add("header", "timestamp", contract.RuleFormat)
	}
	if r.header.BankID != t.settings.BankID {
		f.add("header", "bank_id", contract.RuleEnum)
	}
	if r.method == networkintl.EncryptionMethodASYMMETRICENC && !t.settings.AsymmetricAlias {
		f.add("body", "encryption_method", contract.RuleEnum)
	}
	key, err := a.key(ctx, t, r, &f)
	if err != nil {
		return chosenKey{}, err
	}
	if key.id != "" {
		for _, block := range []struct{ name, hex string }{{"encrypted_old_pin", r.old}, {"encrypted_new_pin", r.chosen}} {
			if len(block.hex) != 2*key.BlockSize {
				f.add("body", block.name, contract.RuleMaxLength)
			}
		}
	}
	if f.broken != nil {
		return chosenKey{}, f.broken
	}
	return key, nil
}

// isTime tells whether a text of one of the two forms is a time that there was.
func isTime(text string, zone *time.Location) bool {
	for _, layout := range []string{"02/01/2006 15:04:05", time.RFC3339Nano} {
		if _, err := time.ParseInLocation(layout, text, zone); err == nil {
			return true
		}
	}
	return false
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

// types are the encryption_key_types.
var types = map[networkintl.EncryptionKeyType]wanted{
	networkintl.EncryptionKeyTypeTDES: {keyring.TDES},
	networkintl.EncryptionKeyTypeAES:  {keyring.AES},
	networkintl.EncryptionKeyTypeRSA:  {keyring.RSA},
	networkintl.EncryptionKeyTypeZPK:  symmetric,
}

// key is the key that a request names, or else the client's first one that fits.
func (a *API) key(ctx context.Context, t tenant, r change, f *fields) (chosenKey, error) {
	byMethod, byType := asymmetric, slices.Concat(symmetric, asymmetric)
	if r.method == networkintl.EncryptionMethodSYMMETRICENC {
		byMethod = symmetric
	}
	if r.keyType != nil {
		byType = types[*r.keyType]
	}
	fits := byMethod.and(byType)
	if len(fits) == 0 {
		f.add("body", "encryption_key_type", contract.RuleEnum)
		return chosenKey{}, nil
	}
	if r.keyID == nil {
		key, err := a.defaultKey(ctx, t, fits)
		if err == nil && key.id == "" {
			f.add("body", "encryption_key_id", contract.RuleRequired)
		}
		return key, err
	}
	described, err := a.keys.PINKey(ctx, t.program.ID, *r.keyID)
	switch {
	case pin.CodeOf(err) == pin.UnknownKey, err == nil && !slices.Contains(byMethod, described.Algorithm):
		f.add("body", "encryption_key_id", contract.RuleEnum)
		return chosenKey{}, nil
	case err != nil:
		return chosenKey{}, err
	case !slices.Contains(byType, described.Algorithm):
		f.add("body", "encryption_key_type", contract.RuleEnum)
		return chosenKey{}, nil
	}
	return chosenKey{*r.keyID, described}, nil
}

func (w wanted) and(other wanted) wanted {
	return slices.DeleteFunc(slices.Clone(w), func(algorithm string) bool { return !slices.Contains(other, algorithm) })
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
