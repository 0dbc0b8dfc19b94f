package thredd

import (
	"slices"

	"pinvault/impl/contract"
	"pinvault/impl/pin"
	"pinvault/impl/settings"
)

const (
	pinLength  = 4             // digits of every PIN that can be set
	makesCards = "cards:write" // the scope of createCard
)

// Settings are the contract's: there are none, but not every client could work.
func Settings() settings.Owner { return settings.Owner{LongestPIN: pinLength, Suits: suits} }

// suits refuses a client of the whole server that is to make cards: the request names no program.
func suits(c pin.Client) error {
	if c.ProgramID == "" && slices.Contains(c.Scopes, makesCards) {
		return contract.Missing("programId")
	}
	return nil
}
