package pin

import (
	"encoding/json"
)

// A contract's settings of programs and clients are its own: they rest under the seal of the program or
// client, and nothing in this package reads them.

// SettingMAC is all that is kept of a client's setting that is secret, such as a code that a partner sends
// beside its credentials.
func (v *Vault) SettingMAC(name, value string) ([]byte, error) {
	return v.keys.MAC(UseSecret, settingInput(name, value))
}

// SettingMatches tells whether a value is the client's secret setting of that name, in constant time.
func (v *Vault) SettingMatches(c Client, name, value string) bool {
	return v.keys.VerifyMAC(UseSecret, settingInput(name, value), c.Secrets[name])
}

// settingInput has three parts and a client secret's two, so that neither passes for the other.
func settingInput(name, value string) []byte { return frame("setting", name, value) }

// audited are the members of a program or client as text, and among them those of contracts' settings, as
// contract.member: the trail tells them one by one.
func audited(of any, settings map[string]json.RawMessage) map[string]string {
	all := fields(of)
	delete(all, "settings")
	for contract, own := range settings {
		for name, value := range fields(own) {
			all[contract+"."+name] = value
		}
	}
	return all
}
