package keyring

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"io"
	"slices"
	"strings"

	"pinvault/impl/keyblock"
	"pinvault/impl/keymaterial"
	"pinvault/impl/pin"
)

// How partners' keys come to be: drawn here, out of components, out of key blocks. What is in the clear meanwhile does not
// leave these functions.

// Draw puts fresh material into a row, of its algorithm and size: InvalidField (bits).
func (r *Ring) Draw(row pin.ZoneKey, random io.Reader) (pin.ZoneKey, error) {
	if !row.Usage.Takes(row.Algorithm, row.Size) {
		return row, &pin.Error{Code: pin.InvalidField, Field: "bits"}
	}
	var key []byte
	var err error
	if row.Algorithm == RSA {
		key, err = drawRSA(random, row.Size)
	} else {
		key, err = drawSymmetric(random, blockCiphers[row.Algorithm], row.Size/8)
	}
	if err != nil {
		return row, internal(err)
	}
	defer clear(key)
	return r.wrap(row, key)
}

func drawRSA(random io.Reader, bits int) ([]byte, error) {
	key, err := rsa.GenerateKey(random, bits)
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

// drawSymmetric is a key that is sound, of TDES with odd parity.
func drawSymmetric(random io.Reader, of keymaterial.Cipher, size int) ([]byte, error) {
	drawn := make([]byte, size)
	defer clear(drawn)
	for {
		if _, err := io.ReadFull(random, drawn); err != nil {
			return nil, err
		}
		key, err := of.Combine(drawn)
		if err != nil {
			return nil, err
		}
		if of.Check(key) == nil {
			return key, nil
		}
		clear(key)
	}
}

// WrapComponent is a component of a row's key, under its number: InvalidField (component) for one that its algorithm does
// not take, that is all zeros, weak or semi-weak. The caller clears the component.
func (r *Ring) WrapComponent(row pin.ZoneKey, custodian string, number int, component []byte) (pin.Part, error) {
	of := blockCiphers[row.Algorithm]
	if of.Check(component) != nil {
		return pin.Part{}, &pin.Error{Code: pin.InvalidField, Field: "component"}
	}
	block, err := of.New(component)
	if err != nil {
		return pin.Part{}, internal(err)
	}
	part := pin.Part{Number: number, Custodian: custodian, CheckValue: keymaterial.CheckValue(block)[:shortCheck], Size: 8 * len(component)}
	part.Wrapped, err = r.Seal(pin.UseKeyWrap, component, row.BoundPart(number))
	return part, err
}

// Combine is the row with the key of all its components, which it does not keep: InvalidField (component) where that is not
// sound, as when they cancel each other out, or has a length that its usage does not take.
func (r *Ring) Combine(row pin.ZoneKey) (pin.ZoneKey, error) {
	var parts [][]byte
	defer func() {
		for _, part := range parts {
			clear(part)
		}
	}()
	for _, p := range row.Ceremony.Parts {
		part, err := r.Open(pin.UseKeyWrap, p.Wrapped, row.BoundPart(p.Number))
		if err != nil {
			return row, err
		}
		parts = append(parts, part)
	}
	of := blockCiphers[row.Algorithm]
	key, err := of.Combine(parts...)
	defer clear(key)
	if err != nil || of.Check(key) != nil || !row.Usage.Takes(row.Algorithm, 8*len(key)) {
		return row, &pin.Error{Code: pin.InvalidField, Field: "component"}
	}
	made, err := r.wrap(row, key)
	if err != nil {
		return row, err
	}
	return row.Combined(made.Wrapped, made.CheckValue), nil
}

// What a key block says of keys of a usage: the usages that go with ours, the first for keys that were made here, and the
// modes of use.
var blockUsages = map[pin.KeyUsage]struct {
	usages []keyblock.Usage
	modes  string
	mode   keyblock.Mode // of keys that were made here
}{
	pin.UsageZonePIN:      {[]keyblock.Usage{keyblock.UsagePINEncryption}, "BDEN", keyblock.ModeEncryptDecrypt},
	pin.UsagePINMailer:    {[]keyblock.Usage{keyblock.UsagePINEncryption}, "BEN", keyblock.ModeEncryptDecrypt},
	pin.UsageMessage:      {[]keyblock.Usage{keyblock.UsageData}, "BN", keyblock.ModeEncryptDecrypt},
	pin.UsageZoneMaster:   {[]keyblock.Usage{keyblock.UsageProtection}, "BDEN", keyblock.ModeEncryptDecrypt},
	pin.UsageVerification: {[]keyblock.Usage{"V0", keyblock.UsageIBM3624, keyblock.UsageVisaPVV}, "CGVN", keyblock.ModeGenerateVerify},
}

var blockAlgorithms = map[string]keyblock.Algorithm{TDES: keyblock.AlgorithmTDES, AES: keyblock.AlgorithmAES}

// errBlock is the one answer to a key block that does not open, for whatever reason.
func errBlock() error {
	return &pin.Error{Code: pin.InvalidField, Field: "keyBlock", Err: pin.KeyBlockUnopened}
}

// masterKey finds a zone master key that the keys of a program may rest under: UnknownKey.
func (r *Ring) masterKey(ctx context.Context, programID, id string, may func(pin.ZoneKey) bool) (*keyblock.Key, pin.ZoneKey, error) {
	row, raw, err := r.unwrap(ctx, r.zone, id, []pin.KeyUsage{pin.UsageZoneMaster}, either)
	if err != nil {
		return nil, row, err
	}
	defer clear(raw)
	if !may(row) || !serves(row, programID) {
		return nil, row, &pin.Error{Code: pin.UnknownKey}
	}
	of := map[string]func([]byte) (*keyblock.Key, error){TDES: keyblock.NewTDES, AES: keyblock.NewAES}[row.Algorithm]
	key, err := of(raw)
	if err != nil {
		return nil, row, internal(err)
	}
	return key, row, nil
}

// OpenBlock puts the key of a key block into a row, with what the block says that it may be used for: UnknownKey for the
// zone master key; InvalidField for a block that does not open (keyBlock, with the one reason KeyBlockUnopened), a usage that
// the block's is not (usage), and a key that is not sound or a component (keyBlock).
func (r *Ring) OpenBlock(ctx context.Context, masterID, block string, row pin.ZoneKey) (pin.ZoneKey, error) {
	master, _, err := r.masterKey(ctx, row.ProgramID, masterID, func(m pin.ZoneKey) bool { return m.Opens(r.now()) })
	if err != nil {
		return row, err
	}
	header, key, err := master.Unwrap(block)
	if err != nil {
		return row, errBlock()
	}
	defer clear(key)
	for name, algorithm := range blockAlgorithms {
		if algorithm == header.Algorithm {
			row.Algorithm = name
		}
	}
	row.Block = pin.KeyBlock{Usage: string(header.Usage), Mode: string(header.Mode), Exportability: string(header.Exportability)}
	switch {
	case header.Component(), blockCiphers[row.Algorithm].Check(key) != nil, !knownExportability(header):
		return row, &pin.Error{Code: pin.InvalidField, Field: "keyBlock"}
	case !suits(row, header), !row.Usage.Takes(row.Algorithm, 8*len(key)):
		return row, &pin.Error{Code: pin.InvalidField, Field: "usage"}
	}
	return r.wrap(row, key)
}

// suits tells whether a block's usage and mode are ones of the row's usage.
func suits(row pin.ZoneKey, h keyblock.Header) bool {
	of := blockUsages[row.Usage]
	return slices.Contains(of.usages, h.Usage) && strings.Contains(of.modes, string(h.Mode))
}

// knownExportability tells whether the exportability is one that is held to here, and not proprietary.
func knownExportability(h keyblock.Header) bool {
	return slices.Contains([]keyblock.Exportability{keyblock.Exportable, keyblock.NotExportable, keyblock.Sensitive}, h.Exportability)
}

// SealBlock is the key block of a key under a zone master key, version B under TDES and D under AES: Conflict with
// NotExportable, or KeyStateForbids for one that is neither in use nor about to be; UnknownKey for the zone master key; InvalidField (masterKeyId)
// for one that is weaker than the key.
func (r *Ring) SealBlock(ctx context.Context, masterID string, row pin.ZoneKey, random io.Reader) (string, error) {
	of, state := blockUsages[row.Usage], row.StateAt(r.now())
	switch {
	case !row.Exportable() || blockCiphers[row.Algorithm] == 0:
		return "", &pin.Error{Code: pin.Conflict, Err: pin.NotExportable}
	case state != pin.KeyActive && state != pin.KeyPending || len(row.Wrapped) == 0:
		return "", &pin.Error{Code: pin.Conflict, Err: pin.KeyStateForbids}
	}
	master, zmk, err := r.masterKey(ctx, row.ProgramID, masterID, func(m pin.ZoneKey) bool { return m.Seals(r.now()) && m.ID != row.ID })
	if err != nil {
		return "", err
	}
	h := keyblock.Header{Version: keyblock.VersionB, Usage: of.usages[0], Algorithm: blockAlgorithms[row.Algorithm], Mode: of.mode,
		KeyVersion: keyblock.NoKeyVersion, Exportability: keyblock.Exportability(row.Block.Exportability), Context: keyblock.ContextAny}
	if zmk.Algorithm == AES {
		h.Version = keyblock.VersionD
	}
	if row.Block.Usage != "" {
		h.Usage, h.Mode = keyblock.Usage(row.Block.Usage), keyblock.Mode(row.Block.Mode)
	}
	key, err := r.Open(pin.UseKeyWrap, row.Wrapped, row.Bound())
	switch {
	case err != nil:
		return "", err
	case 8*len(key) != row.Size: // a token has wrapped it, which it never leaves
		return "", &pin.Error{Code: pin.Conflict, Err: pin.NotExportable}
	}
	defer clear(key)
	block, err := master.Wrap(h, key, random)
	switch {
	case errors.Is(err, keyblock.ErrStrength):
		return "", &pin.Error{Code: pin.InvalidField, Field: "masterKeyId"}
	case err != nil:
		return "", internal(err)
	}
	return block, nil
}
