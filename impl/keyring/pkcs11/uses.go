package pkcs11

import "pinvault/impl/pin"

// Uses are those whose keys are in the token.
var Uses = []pin.Use{pin.UseVerifier, pin.UsePIN, pin.UsePAN, pin.UseSecret, pin.UseKeyWrap}
