package pin

import (
	"encoding/json"
)

// A contract's settings of programs and clients are its own: they rest under the seal of the program or
// client, and nothing in this package reads them.

// KeepSetting keeps in a client what its setting of that name is compared with, which is secret, such as a code that a
// partner sends beside its credentials. It is bound to the client, whose id is drawn unless it has one.
func (v *Vault) KeepSetting(c *Client, name, value string) error {
	if err := v.identified(c); err != nil {
		return err
	}
	kept, err := KeepSecret(v.keys, value, "setting", c.ID, name)
	if err != nil {
		return err
	}
	if c.Secrets == nil {
		c.Secrets = map[string][]byte{}
	}
	c.Secrets[name] = kept
	return nil
}

// SettingMatches tells whether a value is the client's secret setting of that name, in constant time. The error is for
// what is wrong with us.
func (v *Vault) SettingMatches(c Client, name, value string) (bool, error) {
	return v.secretMatches(c.Secrets[name], value, "setting", c.ID, name)
}

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
