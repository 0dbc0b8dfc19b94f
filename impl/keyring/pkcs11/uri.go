package pkcs11

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Scheme is that of the URIs (RFC 7512).
const Scheme = "pkcs11"

// URI is a PKCS#11 URI, as far as it is used here.
type URI struct {
	Token, Manufacturer, Model, Serial string // of the token; "" is any
	Slot                               *uint  // nil is any
	Object                             string // what the labels of the vault's keys begin with

	Module    string // path of the library
	PINSource string // where the PIN is: not read here
	Keyset    string // path of the file with the keys that are not in the token
	Sessions  int    // how many may work at once
}

// Defaults of a URI, and its bounds.
const (
	defaultObject   = "pinvault"
	defaultSessions = 8
	maxSessions     = 256
)

var errPINValue = errors.New("the URI of --keys has the token's PIN in it (pin-value), where everybody can read it: use pin-source=env:NAME, file:PATH or credential:NAME")

// ParseURI reads a URI. Errors name the attribute and no value.
func ParseURI(text string) (URI, error) {
	u := URI{Object: defaultObject, Sessions: defaultSessions}
	rest, ok := strings.CutPrefix(text, Scheme+":")
	if !ok {
		return u, errors.New("a PKCS#11 URI begins with pkcs11:")
	}
	path, query, _ := strings.Cut(rest, "?")
	of := map[string]func(string) error{
		"token": text1(&u.Token), "manufacturer": text1(&u.Manufacturer), "model": text1(&u.Model), "serial": text1(&u.Serial),
		"object": text1(&u.Object), "slot-id": u.slot,
	}
	if err := attributes(path, ";", of); err != nil {
		return u, err
	}
	of = map[string]func(string) error{
		"module-path": text1(&u.Module), "pin-source": text1(&u.PINSource), "keyset": text1(&u.Keyset), "sessions": u.sessions,
		"pin-value": func(string) error { return errPINValue },
	}
	if err := attributes(query, "&", of); err != nil {
		return u, err
	}
	for _, needed := range []struct{ name, value string }{{"module-path", u.Module}, {"pin-source", u.PINSource}, {"keyset", u.Keyset}} {
		if needed.value == "" {
			return u, fmt.Errorf("the URI of --keys has no %s, as in pkcs11:token=pinvault?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=env:NAME&keyset=PATH", needed.name)
		}
	}
	if u.Token == "" && u.Serial == "" && u.Slot == nil {
		return u, errors.New("the URI of --keys says not which token: add token=LABEL, serial= or slot-id=")
	}
	return u, nil
}

func text1(into *string) func(string) error {
	return func(value string) error {
		*into = value
		return nil
	}
}

func (u *URI) slot(value string) error {
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return errors.New("slot-id in the URI of --keys is not a number")
	}
	id := uint(n)
	u.Slot = &id
	return nil
}

func (u *URI) sessions(value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxSessions {
		return fmt.Errorf("sessions in the URI of --keys is not a number from 1 to %d", maxSessions)
	}
	u.Sessions = n
	return nil
}

// attributes hands each attribute to the function of its name. RFC 7512, 2.3: none twice.
func attributes(text, separator string, of map[string]func(string) error) error {
	if text == "" {
		return nil
	}
	seen := map[string]bool{}
	for part := range strings.SplitSeq(text, separator) {
		name, value, ok := strings.Cut(part, "=")
		set, known := of[name]
		value, err := url.PathUnescape(value)
		switch {
		case !ok || !known:
			return fmt.Errorf("the URI of --keys has an attribute that means nothing here; before the ? it may have token, manufacturer, model, serial, slot-id and object, after it module-path, pin-source, keyset and sessions")
		case err != nil || seen[name]:
			return fmt.Errorf("%s in the URI of --keys is there twice, or not percent-encoded", name)
		}
		if err := set(value); err != nil {
			return err
		}
		seen[name] = true
	}
	return nil
}
