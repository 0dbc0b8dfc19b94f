package main

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"
	"golang.org/x/sync/errgroup"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
	"pinvault/impl/pinsession"
	"pinvault/scripts/bench/cards"
)

// request is what is sent: a path and a body.
type request struct{ path, body string }

// sealer makes the n-th request, which is for a card.
type sealer func(ctx context.Context, n int, c cards.Card) (request, error)

// writes are the contracts' writes, each of which leaves a card's PIN what it was, so that they can be made over and over.
var writes = map[string]func(v vault, ctx context.Context, program string) (sealer, error){
	"accosa":     vault.accosa,
	"creditplus": vault.creditplus,
	"tdes":       vault.networkTDES,
	"rsa":        vault.networkRSA,
	"hosted":     vault.hosted,
}

// seal writes requests of a contract to a file.
func seal(ctx context.Context, url, contract, file string, from, count, workers int, out string) (err error) {
	of, known := writes[contract]
	if !known {
		return fmt.Errorf("--requests knows no %s", contract)
	}
	all, err := cards.Read(file)
	if err != nil {
		return err
	}
	v, err := open(ctx, url, workers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.store.Close()) }()
	first, err := v.Card(v.operator(ctx), pin.Query{CardID: all[0].ID})
	if err != nil {
		return err
	}
	make1, err := of(v, v.operator(ctx), first.Program.ID)
	if err != nil {
		return err
	}
	made := make([]request, count)
	var next atomic.Int64
	g, inTime := errgroup.WithContext(v.operator(ctx))
	for range workers {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= count {
					return nil
				}
				n := from + i
				if made[i], err = make1(inTime, n, all[n%len(all)]); err != nil {
					return fmt.Errorf("request %d: %w", n, err)
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return writeLines(out, count, func(i int) string { return made[i].path + " " + made[i].body })
}

// numberOf is the card's, which its token follows from.
func numberOf(c cards.Card) (n int) {
	_, _ = fmt.Sscan(c.Token, &n)
	return n - firstToken
}

func text(v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		panic(err) // of maps of texts
	}
	return string(out)
}

// accosa is Reset PIN.
func (vault) accosa(context.Context, string) (sealer, error) {
	key, err := keyring.NewTokenKey(accosaKeyBytes, nil)
	return func(_ context.Context, n int, c cards.Card) (request, error) {
		token, err := key.Seal(rand.Reader, []byte(text(members{
			"messageCode": "1120", "requestDateTime": time.Now().UTC().Format("20060102150405"), "clientTxnId": fmt.Sprint("BENCH", n),
			"newPIN": c.PIN, "urn": urnOf(numberOf(c)), "last4Digits": c.PAN[len(c.PAN)-4:],
		})))
		return request{"/mob1/api/onboarding/v1/resetPin", text(members{"token": token})}, err
	}, err
}

// creditplus is Reset PIN Retry Counter, encrypted.
func (vault) creditplus(context.Context, string) (sealer, error) {
	const form = "2006-01-02T15:04:05.000Z07:00"
	return func(_ context.Context, n int, c cards.Card) (request, error) {
		header := jwe.NewHeaders()
		if err := header.Set(jwe.KeyIDKey, creditplusKey); err != nil {
			return request{}, err
		}
		now := time.Now()
		sealed, err := jwe.Encrypt([]byte(text(members{"timestamp": now.Format(form), "dataValidUntilTimestamp": now.Add(time.Hour).Format(form),
			"identifier": identifierOf(numberOf(c)), "source": "ONLINE_BANKING"})),
			jwe.WithKey(jwa.DIRECT(), creditplusKeyBytes), jwe.WithContentEncryption(jwa.A256GCM()), jwe.WithProtectedHeaders(header))
		return request{"/deviceapi/apis/v2/services/helpdesk/resetpinretrycounter", string(sealed)}, err
	}, nil
}

// networkTDES is Change PIN with blocks under the zone PIN key.
func (vault) networkTDES(context.Context, string) (sealer, error) {
	return func(_ context.Context, n int, c cards.Card) (request, error) {
		return networkChange(n, c, "SYMMETRIC_ENC", c.Block, c.Block), nil
	}, nil
}

// networkRSA is Change PIN with blocks that are encrypted to a public key.
func (v vault) networkRSA(ctx context.Context, program string) (sealer, error) {
	der, err := v.ring.PINCertificate(ctx, program, rsaKey)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	to, ok := certificate.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("the certificate has no RSA key")
	}
	return func(_ context.Context, n int, c cards.Card) (request, error) {
		clearBlock, err := pinblock.Encode(pinblock.ISO0, []byte(c.PIN), c.PAN, nil)
		if err != nil {
			return request{}, err
		}
		var blocks [2]string
		for i := range blocks {
			//lint:ignore SA1019 the contract has this padding
			block, err := rsa.EncryptPKCS1v15(rand.Reader, to, clearBlock) //nolint:staticcheck // see above
			if err != nil {
				return request{}, err
			}
			blocks[i] = fmt.Sprintf("%X", block)
		}
		return networkChange(n, c, "ASYNC_ENC", blocks[0], blocks[1]), nil
	}, nil
}

func networkChange(n int, c cards.Card, method, old, chosen string) request {
	return request{"/CardServices/Transaction/V1/CardPinChange", text(members{"NISrvRequest": members{"request_card_pin_change": members{
		"header": members{"msg_id": fmt.Sprintf("B%010d", n), "msg_type": "TRANSACTION", "msg_function": "REQ_CARD_PIN_CHANGE", "src_application": "IVR",
			"target_application": "PCMS", "timestamp": time.Now().Format("2006-01-02T15:04:05.000Z07:00"), "tracking_id": fmt.Sprint("T", n), "bank_id": networkBankID},
		"body": members{"card_number": c.PAN, "card_sequence_number": "01", "card_expiry_date": expiry,
			"encrypted_old_pin": old, "encrypted_new_pin": chosen, "encryption_method": method},
	}}})}
}

// hosted is the page's last call. A session is good for the PIN that the card has when it is made: until it is used nothing else may
// set that card's. It is opened in the name of the contract's client, whose limits count for whoever holds it.
func (v vault) hosted(of context.Context, program string) (sealer, error) {
	sessions := pinsession.New(v, v.ring, time.Hour, nil, nil)
	client := pin.CallerFrom(of).In(program)
	client.ClientID = hostedClient
	return func(ctx context.Context, n int, c cards.Card) (request, error) {
		ctx = pin.WithCaller(ctx, client)
		session, err := sessions.Open(ctx, pin.Query{CardID: c.ID}, pin.ActionReset, fmt.Sprint("bench-", n), pin.Memo{})
		if err != nil {
			return request{}, err
		}
		link, err := sessions.Secret(session.ID)
		if err != nil {
			return request{}, err
		}
		grant, err := sessions.Exchange(ctx, session.ID, link, "")
		if err != nil {
			return request{}, err
		}
		to, err := pointOf(grant.Key)
		if err != nil {
			return request{}, err
		}
		message := fmt.Sprintf("%-64s", text(members{"for": "new", "pin": c.PIN}))
		sealed, err := jwe.Encrypt([]byte(message), jwe.WithKey(jwa.ECDH_ES(), to), jwe.WithContentEncryption(jwa.A256GCM()))
		return request{"/hosted/pin/" + session.ID + "/new", text(members{"token": grant.Token, "pin": string(sealed)})}, err
	}, nil
}

func pointOf(k pinsession.Key) (*ecdh.PublicKey, error) {
	point := []byte{4} // uncompressed
	for _, coordinate := range []string{k.X, k.Y} {
		raw, err := base64.RawURLEncoding.DecodeString(coordinate)
		if err != nil {
			return nil, err
		}
		point = append(point, raw...)
	}
	return ecdh.P256().NewPublicKey(point)
}
