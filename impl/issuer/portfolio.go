package issuer

import (
	"cmp"
	"encoding/hex"
	"strings"

	"github.com/oapi-codegen/runtime"

	api "pinvault/generated/issuer"
	"pinvault/impl/contract"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
)

// portfolioCard is the schema of a card that moves in or out.
const portfolioCard = "PortfolioCard"

// PortfolioMembers are those of a card that moves in or out.
func (o *Operator) PortfolioMembers() ([]contract.Member, error) {
	document, err := o.document()
	if err != nil {
		return nil, err
	}
	return document.Members(portfolioCard), nil
}

// ReferenceKinds are the kinds of references that a card may have.
func (o *Operator) ReferenceKinds() ([]string, error) {
	document, err := o.document()
	if err != nil {
		return nil, err
	}
	for _, m := range document.Members("Reference") {
		if m.Name == "kind" {
			return m.Enum, nil
		}
	}
	return nil, nil
}

// Arrival is the card of a PortfolioCard, which has not moved in yet. It keeps the rules of a card that is made.
func (o *Operator) Arrival(text []byte) (pin.Arrival, error) {
	document, err := o.document()
	if err != nil {
		return pin.Arrival{}, err
	}
	value, violations := document.CheckMessage(portfolioCard, text)
	if len(violations) > 0 {
		return pin.Arrival{}, contract.Broken(violations)
	}
	var row api.PortfolioCard
	var request api.CardRequest // whose members it has, too
	if runtime.BindJSONValue(value, &row) != nil || runtime.BindJSONValue(value, &request) != nil {
		return pin.Arrival{}, contract.Unbound
	}
	card, err := o.api.newCard(request)
	if err != nil {
		return pin.Arrival{}, err
	}
	if row.MaskedPan != nil {
		return pin.Arrival{}, &pin.Error{Code: pin.InvalidField, Field: "maskedPan"}
	}
	a := pin.Arrival{NewCard: card}
	set(&a.ID, row.CardID)
	a.PINChosen = row.PinState == nil || *row.PinState == api.PortfolioCardPinStateChosen
	if row.RemainingTries != nil {
		left := int(*row.RemainingTries)
		a.Tries = &left
	}
	err = arrivingPIN(&a, row.Pin)
	return a, err
}

// arrivingPIN puts a PIN, or what stands in its place, into an arrival.
func arrivingPIN(a *pin.Arrival, p *api.PortfolioPin) error {
	switch {
	case p == nil:
		return nil
	case a.PAN == "": // to which each of them is bound
		return &pin.Error{Code: pin.InvalidField, Field: "pan"}
	case p.Block != nil:
		format, err := pinblock.ParseFormat(string(p.Block.Format))
		if err != nil {
			return contract.Unbound
		}
		block, err := hex.DecodeString(p.Block.PinBlock)
		if err != nil { // whose text would quote the block
			return contract.Unbound
		}
		a.Block = &pin.Block{KeyID: p.Block.KeyID, Format: format, Bytes: block}
	case p.Pvv != nil:
		a.Brought = pin.VerificationValue{KeyID: p.Pvv.KeyID, PVV: p.Pvv.Pvv, Index: int(p.Pvv.Pvki), Length: pin.MinLength}
		setNumber(&a.Brought.Length, p.Pvv.PinLength)
	case p.Offset != nil:
		pad := "F"
		set(&pad, p.Offset.ValidationPad)
		how := pin.IBM3624{Table: p.Offset.DecimalizationTable, Digits: 16, Pad: pad[0]}
		setNumber(&how.Start, p.Offset.ValidationStart)
		setNumber(&how.Digits, p.Offset.ValidationDigits)
		a.Brought = pin.VerificationValue{KeyID: p.Offset.KeyID, Offset: p.Offset.Offset, IBM3624: how}
	}
	return nil
}

// Departure is a card that moves out as a PortfolioCard, with its PAN or without.
func (o *Operator) Departure(d pin.Departure, withPAN bool) api.PortfolioCard {
	c := d.Card
	references := each(c.References, func(r pin.Reference) api.Reference {
		return api.Reference{Kind: api.ReferenceKind(r.Kind), Value: r.Value}
	})
	status, upgrade, tries := api.Status(c.Status), int32(c.UpgradeStatus), int32(d.RemainingTries())
	row := api.PortfolioCard{
		CardID:            &c.ID,
		ProgramID:         c.ProgramID,
		Status:            &status,
		Expiry:            text(c.Expiry),
		Sequence:          text(c.Sequence),
		CustomerReference: text(c.CustomerReference),
		EmbossName:        text(c.EmbossName),
		CustomerID:        text(c.CustomerID),
		MobileNumber:      text(c.MobileNumber),
		EmailAddress:      text(c.EmailAddress),
		CardProfileID:     text(c.CardProfileID),
		ProgramCode:       text(c.ProgramCode),
		DevicePlanCode:    text(c.DevicePlanCode),
		InstitutionCode:   text(c.InstitutionCode),
		CardholderID:      text(c.CardholderID),
		WalletID:          text(c.WalletID),
		Pin:               leavingPIN(d),
	}
	if upgrade != 0 {
		row.UpgradeStatus = &upgrade
	}
	if len(references) > 0 {
		row.References = &references
	}
	if withPAN {
		row.Pan = text(d.PAN)
	} else {
		row.MaskedPan = text(pin.MaskPAN(d.PAN))
	}
	if row.Pin != nil {
		state := api.PortfolioCardPinState(d.PIN.State)
		row.PinState = &state
	}
	if int(tries) < d.Program.TryLimit {
		row.RemainingTries = &tries
	}
	return row
}

func leavingPIN(d pin.Departure) *api.PortfolioPin {
	value := d.Brought
	switch {
	case d.Block != nil:
		return &api.PortfolioPin{Block: &api.PinBlock{KeyID: d.Block.KeyID, Format: api.PinBlockFormat(d.Block.Format.String()),
			PinBlock: strings.ToUpper(hex.EncodeToString(d.Block.Bytes))}}
	case value.PVV != "":
		length := int32(cmp.Or(value.Length, pin.MinLength))
		return &api.PortfolioPin{Pvv: &api.PortfolioPvv{KeyID: value.KeyID, Pvv: value.PVV, Pvki: int32(value.Index), PinLength: &length}}
	case value.Offset != "":
		start, digits, pad := int32(value.Start), int32(value.Digits), string(rune(value.Pad))
		return &api.PortfolioPin{Offset: &api.PortfolioOffset{KeyID: value.KeyID, Offset: value.Offset, DecimalizationTable: value.Table,
			ValidationStart: &start, ValidationDigits: &digits, ValidationPad: &pad}}
	}
	return nil
}
