package accosa

import (
	"encoding/hex"

	"pinvault/impl/contract"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/settings"
)

// programSettings are what the contract needs to know of a program.
type programSettings struct {
	CardProfileMandatory bool `json:"cardProfileMandatory"` // requests must name the card profile
}

// clientSettings are what it needs to know of a client: what its headers must say besides the API key, and
// how its tokens are sealed.
type clientSettings struct {
	ClientID      string   `json:"clientId"`
	BankID        string   `json:"bankId"`
	EntityID      string   `json:"entityId"`
	MessageKeyIDs []string `json:"messageKeyIds"`    // the current one first
	IVMode        string   `json:"ivMode"`           // prepended or fixed
	FixedIV       string   `json:"fixedIv,omitzero"` // 16 bytes in hex, where the mode is fixed
}

// secureCode is the header that is a secret.
const secureCode = "secureCode"

// longestPIN is how many digits a newPIN has at the most.
const longestPIN = 6

// The IV modes.
const (
	prependedIV = "prepended"
	fixedIV     = "fixed"
)

var (
	ofPrograms = settings.Of[programSettings]{Contract: Name}
	ofClients  = settings.Of[clientSettings]{
		Contract:    Name,
		UnlessGiven: func() clientSettings { return clientSettings{IVMode: prependedIV} },
		Secrets:     []string{secureCode},
	}
)

// Settings are the contract's.
func Settings() settings.Owner {
	return settings.Owner{Program: ofPrograms, Client: ofClients, LongestPIN: longestPIN, Suits: suits}
}

// suits refuses a client without what its headers must say, and one whose IV is not said or not used.
func suits(c pin.Client) error {
	if c.Settings == nil {
		return contract.Missing(Name)
	}
	s, err := ofClients.Read(c.Settings)
	switch fixed := s.IVMode == fixedIV; {
	case err != nil:
		return err
	case fixed && s.FixedIV == "":
		return contract.Missing(Name + ".fixedIv")
	case !fixed && s.FixedIV != "":
		return &pin.Error{Code: pin.InvalidField, Field: Name + ".ivMode"}
	}
	return nil
}

// iv is the IV that all tokens of the client have, nil where each has its own.
func (s clientSettings) iv() ([]byte, error) {
	if s.IVMode != fixedIV {
		return nil, nil
	}
	iv, err := hex.DecodeString(s.FixedIV)
	if err != nil {
		return nil, &pin.Error{Code: pin.Internal, Err: keyring.ErrTokenKey}
	}
	return iv, nil
}
