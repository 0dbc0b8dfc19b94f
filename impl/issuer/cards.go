package issuer

import (
	"context"
	"slices"
	"strings"

	api "pinvault/generated/issuer"
	"pinvault/impl/pin"
)

// CreateCard makes a card with a random PIN, or without one.
func (a *API) CreateCard(ctx context.Context, r api.CreateCardRequestObject) (api.CreateCardResponseObject, error) {
	made, err := once(ctx, a, call{key: r.Params.IdempotencyKey, endpoint: "createCard", body: r.Body}, pin.Memo{},
		func(m pin.Memo) (pin.Card, error) { return a.createCard(ctx, *r.Body, m) })
	if err != nil {
		return nil, err
	}
	shown, err := a.card(made)
	if err != nil {
		return nil, err
	}
	return api.CreateCard201JSONResponse{Body: shown}, nil
}

// createCard makes the card that a request describes.
func (a *API) createCard(ctx context.Context, n api.CardRequest, m pin.Memo) (pin.Card, error) {
	described, err := a.newCard(n)
	if err != nil {
		return pin.Card{}, err
	}
	return a.vault.CreateCard(ctx, described, m)
}

// newCard is the card that a request describes. What no request could name it by is refused.
func (a *API) newCard(n api.CardRequest) (pin.NewCard, error) {
	if n.References != nil {
		if err := a.contracts.nameable(*n.References); err != nil {
			return pin.NewCard{}, err
		}
	}
	return newCard(n), a.contracts.carried(cardFields(n))
}

// GetCard shows a card.
func (a *API) GetCard(ctx context.Context, r api.GetCardRequestObject) (api.GetCardResponseObject, error) {
	found, err := a.vault.Card(ctx, pin.Query{CardID: r.CardID})
	if err != nil {
		return nil, err
	}
	shown, err := a.card(found.Card)
	if err != nil {
		return nil, err
	}
	return api.GetCard200JSONResponse(shown), nil
}

// UpdateCard changes what the request names.
func (a *API) UpdateCard(ctx context.Context, r api.UpdateCardRequestObject) (api.UpdateCardResponseObject, error) {
	if r.Body.References != nil {
		if err := a.contracts.nameable(*r.Body.References); err != nil {
			return nil, err
		}
	}
	if err := a.contracts.carried(*r.Body); err != nil {
		return nil, err
	}
	patch := func(c *pin.Card) error {
		changeCard(c, *r.Body)
		return nil
	}
	changed, err := a.vault.UpdateCard(ctx, pin.Query{CardID: r.CardID}, patch, pin.Memo{})
	if err != nil {
		return nil, err
	}
	shown, err := a.card(changed)
	if err != nil {
		return nil, err
	}
	return api.UpdateCard200JSONResponse(shown), nil
}

// FindCards shows the cards with a reference.
func (a *API) FindCards(ctx context.Context, r api.FindCardsRequestObject) (api.FindCardsResponseObject, error) {
	shown, err := a.find(ctx, r.Params.ProgramID, pin.Reference{Kind: pin.Kind(r.Params.Kind), Value: r.Params.Value})
	if err != nil {
		return nil, err
	}
	return api.FindCards200JSONResponse{Items: shown}, nil
}

// SearchCards is FindCards for a reference that may be a PAN.
func (a *API) SearchCards(ctx context.Context, r api.SearchCardsRequestObject) (api.SearchCardsResponseObject, error) {
	shown, err := a.find(ctx, r.Body.ProgramID, pin.Reference{Kind: pin.Kind(r.Body.Kind), Value: r.Body.Value})
	if err != nil {
		return nil, err
	}
	return api.SearchCards200JSONResponse{Items: shown}, nil
}

// mostFound bounds how many cards with one reference are shown.
const mostFound = 100

func (a *API) find(ctx context.Context, programID *string, by pin.Reference) ([]api.Card, error) {
	q := pin.Query{References: []pin.Reference{by}}
	set(&q.ProgramID, programID)
	found, err := a.vault.Find(ctx, q, mostFound)
	if err != nil {
		return nil, err
	}
	shown := make([]api.Card, len(found))
	for i, rec := range found {
		if shown[i], err = a.card(rec.Card); err != nil {
			return nil, err
		}
	}
	return shown, nil
}

// newCard is the card that a request describes.
func newCard(n api.CardRequest) pin.NewCard {
	var c pin.Card
	changeCard(&c, cardFields(n))
	made := pin.NewCard{
		ProgramID:     n.ProgramID,
		Expiry:        c.Expiry,
		Sequence:      c.Sequence,
		Status:        c.Status,
		UpgradeStatus: c.UpgradeStatus,
		Attributes:    c.Attributes,
		References:    c.References,
		NoPIN:         n.AssignPin != nil && !*n.AssignPin,
	}
	set(&made.PAN, n.Pan)
	return made
}

// cardFields are those that a request names for a card to be made and that may be changed later.
func cardFields(n api.CardRequest) api.CardChange {
	return api.CardChange{
		Status:            n.Status,
		UpgradeStatus:     n.UpgradeStatus,
		Expiry:            n.Expiry,
		Sequence:          n.Sequence,
		References:        n.References,
		CustomerReference: n.CustomerReference,
		EmbossName:        n.EmbossName,
		CustomerID:        n.CustomerID,
		MobileNumber:      n.MobileNumber,
		EmailAddress:      n.EmailAddress,
		CardProfileID:     n.CardProfileID,
		ProgramCode:       n.ProgramCode,
		DevicePlanCode:    n.DevicePlanCode,
		InstitutionCode:   n.InstitutionCode,
		CardholderID:      n.CardholderID,
		WalletID:          n.WalletID,
	}
}

// changeCard puts what a request names into a card: an empty text clears, and references replace all.
func changeCard(c *pin.Card, named api.CardChange) {
	setText(&c.Status, named.Status)
	setNumber(&c.UpgradeStatus, named.UpgradeStatus)
	set(&c.Expiry, named.Expiry)
	set(&c.Sequence, named.Sequence)
	if named.References != nil {
		c.References = each(*named.References, func(r api.Reference) pin.Reference {
			return pin.Reference{Kind: pin.Kind(r.Kind), Value: r.Value}
		})
	}
	set(&c.CustomerReference, named.CustomerReference)
	set(&c.EmbossName, named.EmbossName)
	set(&c.CustomerID, named.CustomerID)
	set(&c.MobileNumber, named.MobileNumber)
	c.MobileNumber = strings.TrimPrefix(c.MobileNumber, "+")
	set(&c.EmailAddress, named.EmailAddress)
	set(&c.CardProfileID, named.CardProfileID)
	set(&c.ProgramCode, named.ProgramCode)
	set(&c.DevicePlanCode, named.DevicePlanCode)
	set(&c.InstitutionCode, named.InstitutionCode)
	set(&c.CardholderID, named.CardholderID)
	set(&c.WalletID, named.WalletID)
}

// card is a card as the document shows it: its PAN masked, its references in order.
func (a *API) card(c pin.Card) (api.Card, error) {
	masked, err := a.vault.MaskedPAN(c)
	if err != nil {
		return api.Card{}, err
	}
	references := slices.Clone(c.References)
	pin.SortReferences(references)
	return api.Card{
		CardID:        c.ID,
		ProgramID:     c.ProgramID,
		Status:        api.Status(c.Status),
		UpgradeStatus: int32(c.UpgradeStatus),
		Expiry:        text(c.Expiry),
		Sequence:      text(c.Sequence),
		MaskedPan:     text(masked),
		References: each(references, func(r pin.Reference) api.Reference {
			return api.Reference{Kind: api.ReferenceKind(r.Kind), Value: r.Value}
		}),
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
		Version:           c.Version,
		CreatedAt:         c.CreatedAt,
		UpdatedAt:         c.UpdatedAt,
	}, nil
}
