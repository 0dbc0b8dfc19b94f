package keyring

// What tests need to know of the inside.
const (
	ZoneKeyLife = zoneKeyLife
	MaxZoneKeys = maxZoneKeys

	MessageKeyLife = messageKeyLife
)
