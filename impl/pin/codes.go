package pin

// CodeMAC is what is kept of a code that a partner sends beside its credentials, such as Accosa's
// secure code.
func (v *Vault) CodeMAC(code string) ([]byte, error) {
	return v.keys.MAC(UseSecret, codeInput(code))
}

// CodeMatches tells whether mac is what CodeMAC made of the code, in constant time.
func (v *Vault) CodeMatches(code string, mac []byte) bool {
	return v.keys.VerifyMAC(UseSecret, codeInput(code), mac)
}

// codeInput has three parts and a client secret's two, so that neither passes for the other.
func codeInput(code string) []byte { return frame("code", code, "") }
