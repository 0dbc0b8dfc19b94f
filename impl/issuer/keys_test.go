package issuer_test

import (
	"context"
	"time"

	"pinvault/impl/custody"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/pinverification"
)

// fakeKeys fail as the fake vault does.
type fakeKeys struct{ vault *fakeVault }

func (k fakeKeys) key() (pin.ZoneKey, error) { return pin.ZoneKey{}, k.vault.err }

func (k fakeKeys) Make(context.Context, custody.Wanted, pin.Memo) (pin.ZoneKey, error) {
	return k.key()
}

func (k fakeKeys) Import(context.Context, custody.Wanted, string, string, string, pin.Memo) (pin.ZoneKey, error) {
	return k.key()
}

func (k fakeKeys) Rotate(context.Context, string, custody.Wanted, pin.Memo) (pin.ZoneKey, error) {
	return k.key()
}

func (k fakeKeys) Activate(context.Context, string, pin.Memo) (pin.ZoneKey, error) { return k.key() }

func (k fakeKeys) Retire(context.Context, string, time.Time, pin.Memo) (pin.ZoneKey, error) {
	return k.key()
}

func (k fakeKeys) Destroy(context.Context, string, pin.Memo) (pin.ZoneKey, error) { return k.key() }

func (k fakeKeys) Export(context.Context, string, string, pin.Memo) (block, checkValue string, err error) {
	return "", "", k.vault.err
}

func (k fakeKeys) Enter(context.Context, string, int, []byte, pin.Memo) (pin.ZoneKey, error) {
	return k.key()
}

func (k fakeKeys) Confirm(context.Context, string, string, pin.Memo) (pin.ZoneKey, error) {
	return k.key()
}

func (k fakeKeys) Key(context.Context, string) (pin.ZoneKey, error) { return k.key() }

func (k fakeKeys) Keys(context.Context, pin.Page) ([]pin.ZoneKey, error) { return nil, k.vault.err }

func (fakeKeys) StateOf(k pin.ZoneKey) pin.KeyState { return k.State }

// fakeServices fail as the fake vault does.
type fakeServices struct{ vault *fakeVault }

func (s fakeServices) PVV(context.Context, string, string, int, pin.Offer) (pvv string, v pin.Verification, err error) {
	return "", s.vault.result, s.vault.err
}

func (s fakeServices) Offset(context.Context, string, string, pinverification.IBM3624, pin.Offer) (offset string, v pin.Verification, err error) {
	return "", s.vault.result, s.vault.err
}

func (s fakeServices) NaturalPIN(context.Context, string, string, pinverification.IBM3624, int, keyring.Carrier) ([]byte, error) {
	return nil, s.vault.err
}

func (s fakeServices) Mailer(context.Context, string, keyring.Carrier) ([]byte, error) {
	return nil, s.vault.err
}

func (s fakeServices) Translate(context.Context, string, keyring.Carrier, keyring.Carrier, []byte, string) ([]byte, error) {
	return nil, s.vault.err
}
