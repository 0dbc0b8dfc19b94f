package creditplus

import (
	"pinvault/impl/contract"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/settings"
)

// programSettings are what the contract needs to know of a program.
type programSettings struct {
	AliasCapability bool `json:"aliasCapability"` // cards may be found by alias
}

// clientSettings are what it needs to know of a client.
type clientSettings struct {
	EncryptionRequired     bool     `json:"encryptionRequired"`     // clear messages are refused
	TimestampWindowSeconds int      `json:"timestampWindowSeconds"` // how far from now the timestamp of a request may be, 0: as far as it likes
	MessageKeyIDs          []string `json:"messageKeyIds"`
}

var (
	ofPrograms = settings.Of[programSettings]{Contract: Name}
	ofClients  = settings.Of[clientSettings]{
		Contract: Name,
		UnlessGiven: func() clientSettings {
			return clientSettings{EncryptionRequired: true, TimestampWindowSeconds: 15 * 60}
		},
	}
)

// Settings are the contract's.
func Settings() settings.Owner {
	return settings.Owner{Program: ofPrograms, Client: ofClients, Suits: suits, Keys: keysOf}
}

// suits refuses a client that must encrypt and has nothing to encrypt with.
func suits(c pin.Client) error {
	s, err := ofClients.Read(c.Settings)
	if err == nil && s.EncryptionRequired && len(s.MessageKeyIDs) == 0 {
		err = contract.Missing(Name + ".messageKeyIds")
	}
	return err
}

// keysOf are the keys of a client's messages.
func keysOf(c pin.Client) ([]settings.Key, error) {
	s, err := ofClients.Read(c.Settings)
	return settings.KeysOf(Name+".messageKeyIds", s.MessageKeyIDs, pin.UsageMessage, keyring.MessageKeySize), err
}
