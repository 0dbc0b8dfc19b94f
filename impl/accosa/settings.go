package accosa

import (
	"encoding/hex"
	"time"

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

	RequestWindowSeconds int `json:"requestWindowSeconds"` // how far requestDateTime may be from now, each way; 0: however far
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
		UnlessGiven: func() clientSettings { return clientSettings{IVMode: prependedIV, RequestWindowSeconds: 900} },
		Secrets:     []string{secureCode},
	}
)

// Settings are the contract's.
func Settings() settings.Owner {
	return settings.Owner{Program: ofPrograms, Client: ofClients, LongestPIN: longestPIN, Suits: suits, Keys: keysOf}
}

// suits refuses a client without what its headers must say or without keys, and one whose IV is not said or not used.
func suits(c pin.Client) error {
	if c.Settings == nil {
		return contract.Missing(Name)
	}
	s, err := ofClients.Read(c.Settings)
	if err != nil {
		return err
	}
	var absent []string
	for _, needed := range []struct {
		name  string
		there bool
	}{
		{"clientId", s.ClientID != ""}, {"bankId", s.BankID != ""}, {"entityId", s.EntityID != ""},
		{secureCode, len(c.Secrets[secureCode]) > 0}, {"messageKeyIds", len(s.MessageKeyIDs) > 0},
	} {
		if !needed.there {
			absent = append(absent, Name+"."+needed.name)
		}
	}
	switch fixed := s.IVMode == fixedIV; {
	case absent != nil:
		return contract.Missing(absent...)
	case fixed && s.FixedIV == "":
		return contract.Missing(Name + ".fixedIv")
	case !fixed && s.FixedIV != "":
		return &pin.Error{Code: pin.InvalidField, Field: Name + ".ivMode"}
	}
	return nil
}

// keysOf are the keys of a client's tokens.
func keysOf(c pin.Client) ([]settings.Key, error) {
	s, err := ofClients.Read(c.Settings)
	return settings.KeysOf(Name+".messageKeyIds", s.MessageKeyIDs, pin.UsageMessage, keyring.TokenKeySize), err
}

// window is how far requestDateTime may be from now.
func (s clientSettings) window() time.Duration {
	return time.Duration(s.RequestWindowSeconds) * time.Second
}

// remembered is how long a clientTxnId is kept: two days, and longer than a message may be sent. From the first use of one
// that was ahead by the window to the last moment at which it may be sent are two windows.
func (s clientSettings) remembered() time.Duration { return 48*time.Hour + 2*s.window() }

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
