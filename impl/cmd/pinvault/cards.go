package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"pinvault/impl/issuer"
	"pinvault/impl/pin"
)

type cardsCommand struct {
	Create cardsCreateCommand `cmd:"" help:"Create a card with a random PIN. Prints it as a line of JSON, with its PAN masked."`
	Show   cardsShowCommand   `cmd:"" help:"Print a card as a line of JSON, with its PAN masked."`

	Capabilities cardsCapabilitiesCommand `cmd:"" help:"Print what can be done with a card's PIN now, through which contract, and why not, as a line of JSON."`
}

type cardsCreateCommand struct {
	vaultFlags
	Program   string   `required:"" placeholder:"ID" help:"The program that the card belongs to."`
	PANStdin  bool     `name:"pan-stdin" help:"Read the PAN from standard input; everybody on the machine could see an argument. Default: a card without a PAN, for which no PIN block of format 0, 3 or 4 can be opened."`
	Expiry    string   `placeholder:"YYMM" help:"When the card expires."`
	Sequence  string   `placeholder:"NN" help:"Its PAN sequence number."`
	Reference []string `sep:"none" placeholder:"KIND=VALUE" help:"A reference by which contracts find the card, such as publicToken=103169946. Repeat the flag for more."`
	NoPIN     bool     `name:"no-pin" help:"The card has no PIN until one is set."`
}

// Help shows one call.
func (cardsCreateCommand) Help() string {
	return "For example, with the PAN in a file:\n\n    pinvault cards create --program 0190a5c0-7d2e-7c3a-9a57-3f1f2f3c4d5e --pan-stdin --expiry 3112 --reference publicToken=103169946 < pan.txt"
}

// Run makes the card and prints it.
func (c *cardsCreateCommand) Run(ctx context.Context) error {
	request, err := c.request()
	if err != nil {
		return err
	}
	return c.on(ctx, "cards create", "", func(ctx context.Context, o *issuer.Operator) error {
		made, err := o.CreateCard(ctx, request)
		if err != nil {
			return told(err, words{pin.NotFound: "there is no program " + c.Program, pin.Duplicate: "the program already has a card with this {}"})
		}
		return show(made)
	})
}

// request is what the flags say, as a CardRequest.
func (c *cardsCreateCommand) request() (map[string]any, error) {
	request := map[string]any{"programId": c.Program, "expiry": c.Expiry, "sequence": c.Sequence, "assignPin": !c.NoPIN}
	var references []map[string]string
	for _, r := range c.Reference {
		kind, value, ok := strings.Cut(r, "=")
		if !ok {
			return nil, fmt.Errorf("--reference %s has no value: write KIND=VALUE", kind)
		}
		references = append(references, map[string]string{"kind": kind, "value": value})
	}
	if references != nil {
		request["references"] = references
	}
	if !c.PANStdin {
		return request, nil
	}
	pan, err := standardInput()
	if err == nil && pan == "" {
		err = errors.New("there is no PAN on standard input")
	}
	request["pan"] = pan
	return request, err
}

type cardsShowCommand struct {
	vaultFlags
	ID string `arg:"" help:"The card's id."`
}

// Help shows one call.
func (cardsShowCommand) Help() string {
	return "For example:\n\n    pinvault cards show 0190a5c0-7d2e-7c3a-9a57-3f1f2f3c4d5e | jq .maskedPan"
}

// Run prints the card.
func (c *cardsShowCommand) Run(ctx context.Context) error {
	return c.on(ctx, "cards show", "", func(ctx context.Context, o *issuer.Operator) error {
		card, err := o.Card(ctx, c.ID)
		if err != nil {
			return told(err, words{pin.NotFound: "there is no card " + c.ID})
		}
		return show(card)
	})
}

type cardsCapabilitiesCommand struct {
	vaultFlags
	ID       string `arg:"" help:"The card's id."`
	Language string `default:"en" placeholder:"TAG" help:"Language of what the cardholder must do next: one of the hosted page's. Default: en."`
}

// Help shows one call.
func (cardsCapabilitiesCommand) Help() string {
	return "For example:\n\n    pinvault cards capabilities 0190a5c0-7d2e-7c3a-9a57-3f1f2f3c4d5e | jq '.capabilities[] | select(.possible | not)'"
}

// Run prints what can be done.
func (c *cardsCapabilitiesCommand) Run(ctx context.Context) error {
	return c.on(ctx, "cards capabilities", "", func(ctx context.Context, o *issuer.Operator) error {
		all, err := o.Capabilities(ctx, c.ID, c.Language)
		if err != nil {
			return told(err, words{pin.NotFound: "there is no card " + c.ID})
		}
		return show(all)
	})
}
