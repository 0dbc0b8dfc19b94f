package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// What callers know of the clients and of their keys. The keys are those of the sandbox.
const (
	secret        = "bench-secret"
	secureCode    = "bench-code"
	bankID        = "7000"
	networkBankID = "NIC"
	clientID      = "2000"
	entityID      = "100"

	zoneKey       = "zpk-bench"
	rsaKey        = "rsa-bench"
	accosaKey     = "accosa-bench"
	creditplusKey = "creditplus-bench"

	hostedClient = "hosted-bench"
)

var (
	zoneKeyBytes       = fromHex("E8DD93B8AF13999C7644C0FE11F5D2A7")
	accosaKeyBytes     = fromHex("404142434445464748494A4B4C4D4E4F5051525354555657")
	creditplusKeyBytes = fromHex("60C3A1E5B7F2948D0E6B13C7D85A2F496E1D07B3C94A58F2A7E60D3B915C84FA")
)

func fromHex(digits string) []byte {
	b, err := hex.DecodeString(digits)
	if err != nil {
		panic(err) // of constants
	}
	return b
}

// key is a partner's; one without bytes is an RSA key, which is drawn.
type key struct {
	id        string
	usage     pin.KeyUsage
	algorithm string
	bytes     []byte
}

var keys = []key{
	{zoneKey, pin.UsageZonePIN, keyring.TDES, zoneKeyBytes},
	{rsaKey, pin.UsageZonePIN, keyring.RSA, nil},
	{accosaKey, pin.UsageMessage, keyring.AES, accosaKeyBytes},
	{creditplusKey, pin.UsageMessage, keyring.AES, creditplusKeyBytes},
}

func (v vault) makeKey(ctx context.Context, program string, k key) error {
	var row pin.ZoneKey
	var err error
	if k.bytes != nil {
		row, err = v.ring.WrapZoneKey(k.id, program, k.usage, k.algorithm, k.bytes)
	} else {
		row, err = v.ring.Draw(pin.ZoneKey{ID: k.id, ProgramID: program, Usage: k.usage, Algorithm: k.algorithm, Size: keyring.MinRSA, Version: 1}, rand.Reader)
	}
	if err != nil {
		return err
	}
	return v.ImportZoneKey(ctx, row, pin.Memo{})
}

type members map[string]any

// client is one of a contract, whose name its id begins with.
type client struct {
	id, contract, scope string
	settings            members
	secrets             map[string]string
}

var clients = []client{
	{"thredd-bench", "thredd", "pins:read pins:write", nil, nil},
	{"issuer-bench", "issuer", "pins:verify", nil, nil},
	{"accosa-bench", "accosa", "pins:write",
		members{"clientId": clientID, "bankId": bankID, "entityId": entityID, "messageKeyIds": []string{accosaKey}}, map[string]string{"secureCode": secureCode}},
	{"creditplus-bench", "creditplus", "tries:reset", members{"messageKeyIds": []string{creditplusKey}}, nil},
	{"networkintl-bench", "networkintl", "pins:change", members{"bankId": networkBankID, "pinKeyIds": []string{zoneKey, rsaKey}}, nil},
	{hostedClient, "hashdt", "pins:write", nil, nil},
}

func (v vault) makeClient(ctx context.Context, program string, c client) (err error) {
	made := pin.Client{ID: c.id, ProgramID: program, Contract: c.contract, Name: "Load", Scopes: strings.Fields(c.scope)}
	if c.settings != nil {
		if made.Settings, err = json.Marshal(c.settings); err != nil {
			return err
		}
	}
	for name, value := range c.secrets {
		err = errors.Join(err, v.KeepSetting(&made, name, value))
	}
	if err == nil {
		_, _, err = v.CreateClient(ctx, made, secret, pin.Memo{})
	}
	return err
}

// expiry is that of all cards, YYMM.
const expiry = "3112"

// referencesOf are those by which partners name the n-th card.
func referencesOf(n int) []pin.Reference {
	return []pin.Reference{{Kind: pin.KindURN, Value: urnOf(n)}, {Kind: pin.KindIdentifier, Value: identifierOf(n)}}
}

func urnOf(n int) string        { return fmt.Sprintf("7%010d", n) }
func identifierOf(n int) string { return fmt.Sprintf("DEVICE%010d", n) }
