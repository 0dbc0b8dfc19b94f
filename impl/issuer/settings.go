package issuer

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	api "pinvault/generated/issuer"
	"pinvault/impl/capability"
	"pinvault/impl/contract"
	"pinvault/impl/pin"
	"pinvault/impl/pinsession"
	"pinvault/impl/settings"
)

// Settings are the contracts by name, as far as programs and clients go: members of the document's requests
// and replies that this package hands through as they are.
type Settings map[string]settings.Owner

// Contracts are what this package asks of the contracts, which it does not know itself.
type Contracts struct {
	Settings Settings
	// Fits tells whether a partner's key is of use to clients of a program, "" for the whole server. One that is not
	// there yet may be imported later.
	Fits func(ctx context.Context, programID string, k settings.Key) (bool, error)
	// ServiceRequest finds what a helpdesk did for a cardholder, as the document shows it, by its number:
	// NotFound, Ambiguous.
	ServiceRequest func(ctx context.Context, number string) (json.RawMessage, error)
	// PINSession finds a session of the hosted page in the caller's reach, and tells how it fares: NotFound.
	PINSession func(ctx context.Context, id string) (pin.Session, pinsession.Status, error)
	// References are those by which requests of the contracts can name a card.
	References func() (contract.References, error)
	// Capabilities foretell what can be done with a card's PIN now. clients are those that reach its program.
	Capabilities func(rec pin.Record, clients []pin.Client) ([]capability.Capability, error)
	// Steps are what a cardholder must do next, by capability's words for it, in a language that is accepted.
	Steps func(acceptLanguage string) (language string, steps map[string]string)
	// Outbox is what sends events to webhooks.
	Outbox Outbox
}

// named are the members of a request that are contracts' settings.
func (k Contracts) named(request any) (map[string]json.RawMessage, error) {
	text, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	members := map[string]json.RawMessage{}
	err = json.Unmarshal(text, &members)
	maps.DeleteFunc(members, func(name string, _ json.RawMessage) bool {
		_, ours := k.Settings[name]
		return !ours
	})
	return members, err
}

// setProgram puts the settings that a request names into a program: InvalidField.
func (k Contracts) setProgram(p *pin.Program, request any) error {
	named, err := k.named(request)
	for _, name := range slices.Sorted(maps.Keys(named)) {
		kind := k.Settings[name].Program
		if kind == nil {
			return &pin.Error{Code: pin.InvalidField, Field: name}
		}
		kept, _, err := kind.Set(p.Settings[name], named[name])
		if err != nil {
			return err
		}
		if p.Settings == nil {
			p.Settings = map[string]json.RawMessage{}
		}
		p.Settings[name] = kept
	}
	return err
}

// setClient puts the settings that a request names into a client to be made, of what is secret what the vault keeps:
// InvalidField for those of another contract than the client's.
func (a *API) setClient(c *pin.Client, request any) error {
	named, err := a.contracts.named(request)
	for _, name := range slices.Sorted(maps.Keys(named)) {
		kind := a.contracts.Settings[name].Client
		if kind == nil || name != c.Contract {
			return &pin.Error{Code: pin.InvalidField, Field: name}
		}
		var secrets map[string]string
		if c.Settings, secrets, err = kind.Set(nil, named[name]); err != nil {
			return err
		}
		for name, secret := range secrets {
			if err := a.vault.KeepSetting(c, name, secret); err != nil {
				return err
			}
		}
	}
	return err
}

// suits tells what keeps a client from ever working. That there is no such program is the vault's to say.
func (a *API) suits(ctx context.Context, c pin.Client) error {
	owner := a.contracts.Settings[c.Contract]
	if owner.Suits != nil {
		if err := owner.Suits(c); err != nil {
			return err
		}
	}
	if err := a.keysFit(ctx, owner, c); err != nil || c.ProgramID == "" {
		return err
	}
	p, err := a.vault.Program(ctx, c.ProgramID)
	switch {
	case pin.CodeOf(err) == pin.NotFound:
		return nil
	case err == nil && !owner.Carries(p.MinPINLength):
		return &pin.Error{Code: pin.InvalidField, Field: "programId"}
	}
	return err
}

// keysFit refuses a client that names keys which are of no use to it.
func (a *API) keysFit(ctx context.Context, owner settings.Owner, c pin.Client) error {
	if owner.Keys == nil {
		return nil
	}
	keys, err := owner.Keys(c)
	if err != nil {
		return err
	}
	for _, k := range keys {
		fits, err := a.contracts.Fits(ctx, c.ProgramID, k)
		if err != nil {
			return err
		}
		if !fits {
			return &pin.Error{Code: pin.InvalidField, Field: k.Field}
		}
	}
	return nil
}

// stillSuits refuses PINs so long that a client which the program has could set none any more.
func (a *API) stillSuits(ctx context.Context, before, after pin.Program) error {
	if after.MinPINLength <= before.MinPINLength {
		return nil
	}
	within := pin.WithCaller(ctx, pin.CallerFrom(ctx).In(before.ID))
	for c, err := range every(func(p pin.Page) ([]pin.Client, error) { return a.vault.Clients(within, p) },
		func(c pin.Client) string { return c.ID }, func(c pin.Client) (pin.Client, error) { return c, nil }) {
		if err != nil {
			return err
		}
		if owner := a.contracts.Settings[c.Contract]; owner.Carries(before.MinPINLength) && !owner.Carries(after.MinPINLength) {
			return &pin.Error{Code: pin.InvalidField, Field: "minPinLength"}
		}
	}
	return nil
}

// ofProgram are all contracts' settings of a program, as they are shown.
func (k Contracts) ofProgram(p pin.Program) (map[string]json.RawMessage, error) {
	shown := map[string]json.RawMessage{}
	for name, owner := range k.Settings {
		if owner.Program == nil {
			continue
		}
		var err error
		if shown[name], err = owner.Program.Show(p.Settings[name]); err != nil {
			return nil, err
		}
	}
	return shown, nil
}

// ofClient are the settings of a client, as they are shown.
func (k Contracts) ofClient(c pin.Client) (map[string]json.RawMessage, error) {
	kind := k.Settings[c.Contract].Client
	if kind == nil {
		return nil, nil
	}
	shown, err := kind.Show(c.Settings)
	return map[string]json.RawMessage{c.Contract: shown}, err
}

// carried refuses attributes that no request could hold. One that is empty clears.
func (k Contracts) carried(n api.CardChange) error {
	named := []struct {
		name  string
		value *string
	}{{"customerId", n.CustomerID}, {"mobileNumber", n.MobileNumber}, {"emailAddress", n.EmailAddress}, {"cardProfileId", n.CardProfileID}}
	var broken contract.Broken
	for _, attribute := range named {
		if attribute.value == nil || *attribute.value == "" {
			continue
		}
		can, err := k.References()
		if err != nil {
			return err
		}
		if !can.Name(attribute.name, *attribute.value) {
			broken = append(broken, contract.Violation{In: contract.InBody, Pointer: "/" + attribute.name, Rule: contract.RulePattern, Limit: can.Patterns(attribute.name), Label: attribute.name})
		}
	}
	if broken == nil {
		return nil
	}
	return broken
}

// nameable refuses references that no request could name the card by.
func (k Contracts) nameable(references []api.Reference) error {
	if len(references) == 0 {
		return nil
	}
	can, err := k.References()
	if err != nil {
		return err
	}
	var broken contract.Broken
	for i, r := range references {
		if !can.Name(string(r.Kind), r.Value) {
			broken = append(broken, contract.Violation{In: contract.InBody, Pointer: fmt.Sprintf("/references/%d/value", i), Rule: contract.RulePattern, Limit: can.Patterns(string(r.Kind)), Label: "value"})
		}
	}
	if broken == nil {
		return nil
	}
	return broken
}

// with adds members to a reply.
func with[T any](reply T, members map[string]json.RawMessage) (T, error) {
	text, err := json.Marshal(members)
	if err == nil {
		err = json.Unmarshal(text, &reply)
	}
	return reply, err
}
