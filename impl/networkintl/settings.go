package networkintl

import (
	"pinvault/impl/contract"
	"pinvault/impl/pin"
	"pinvault/impl/settings"
)

// programSettings are what the contract needs to know of a program.
type programSettings struct {
	CPlus bool `json:"cPlus"` // card_sequence_number is mandatory
}

// clientSettings are what it needs to know of a client.
type clientSettings struct {
	BankID          string   `json:"bankId"`
	PINKeyIDs       []string `json:"pinKeyIds"`                // for requests that name no key: the first that fits
	ApplicationName string   `json:"applicationName,omitzero"` // application_name of replies, "" for the contract's default
	AsymmetricAlias bool     `json:"asymmetricAlias"`          // ASYMMETRIC_ENC is taken for ASYNC_ENC
}

var (
	ofPrograms = settings.Of[programSettings]{Contract: Name}
	ofClients  = settings.Of[clientSettings]{Contract: Name}
)

// Settings are the contract's.
func Settings() settings.Owner {
	return settings.Owner{Program: ofPrograms, Client: ofClients, LongestPIN: maxNewPIN, Suits: suits, Keys: keysOf}
}

// suits refuses a client without what each of its requests is held against, and one of the whole server,
// whose every call would be forbidden.
func suits(c pin.Client) error {
	var missing []string
	if c.Settings == nil {
		missing = append(missing, Name)
	}
	if c.ProgramID == "" {
		missing = append(missing, "programId")
	}
	if missing != nil {
		return contract.Missing(missing...)
	}
	return nil
}

// keysOf are the keys for requests that name none.
func keysOf(c pin.Client) ([]settings.Key, error) {
	s, err := ofClients.Read(c.Settings)
	return settings.KeysOf(Name+".pinKeyIds", s.PINKeyIDs, pin.UsageZonePIN, 0), err
}
