package main

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"

	"pinvault/impl/app"
	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/keyring"
	"pinvault/impl/pinblock"
)

// sampleKeys are the partners' keys in scripts/cluster/sample-keys, by id: two components each, XORed.
func sampleKeys(path string) (map[string][]byte, error) {
	text, err := os.ReadFile(path) //nolint:gosec // of the repository
	if err != nil {
		return nil, err
	}
	keys := map[string][]byte{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line) // id, usage, algorithm, check value, two components
		if len(f) != 6 {
			return nil, fmt.Errorf("%s has a line that is none", path)
		}
		one, errOne := hex.DecodeString(f[4])
		two, errTwo := hex.DecodeString(f[5])
		if err := errors.Join(errOne, errTwo); err != nil {
			return nil, err
		}
		subtle.XORBytes(one, one, two)
		keys[f[0]] = one
	}
	return keys, nil
}

const sealKeyID = "creditplus-1"

// bank is who calls: partners of every contract, with the credentials that scripts/cluster/run made. Each of its replies is held
// against its document.
type bank struct {
	edge    string
	http    *http.Client
	program string
	clients map[string]credentials
	zone    *pinblock.Key
	token   *keyring.TokenKey
	seal    []byte
	checks  *contracttest.Client

	mu     sync.Mutex
	bearer map[string]string // by contract
	broken []string          // replies outside their documents
}

type credentials struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
	APIKey string `json:"api_key"`
}

// patience is how long a client waits for an answer, and persistence how long it repeats what may be repeated.
const (
	patience    = 8 * time.Second
	persistence = 45 * time.Second
)

func newBank(dir, keysAt string) (*bank, error) {
	b := &bank{edge: "https://" + address["edge"], clients: map[string]credentials{}, bearer: map[string]string{}}
	text, err := os.ReadFile(filepath.Join(dir, "clients.json")) //nolint:gosec // of the cluster
	if err != nil {
		return nil, err
	}
	var known map[string]json.RawMessage
	if err := json.Unmarshal(text, &known); err != nil {
		return nil, err
	}
	for name, raw := range known {
		var c credentials
		if name == "program" {
			err = errors.Join(err, json.Unmarshal(raw, &b.program))
			continue
		}
		err = errors.Join(err, json.Unmarshal(raw, &c))
		b.clients[name] = c
	}
	chain, certificateErr := os.ReadFile(filepath.Join(dir, "tls", "chain.pem")) //nolint:gosec // of the cluster
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(chain)
	keys, keysErr := sampleKeys(keysAt)
	if keysErr != nil {
		return nil, keysErr
	}
	var zoneErr, tokenErr error
	b.zone, zoneErr = pinblock.NewTDES(keys["zpk-1"])
	b.token, tokenErr = keyring.NewTokenKey(keys["accosa-1"], nil)
	b.seal = keys[sealKeyID]
	documents, documentsErr := app.Documents()
	specs := make([]*openapi3.T, 0, len(documents))
	for _, d := range documents {
		specs = append(specs, d.Spec())
	}
	b.checks = contracttest.New(&complaints{bank: b}, b.edge, specs...).Over(&http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 64, IdleConnTimeout: 10 * time.Second})
	b.http = &http.Client{Transport: b.checks, Timeout: patience}
	return b, errors.Join(err, certificateErr, zoneErr, tokenErr, documentsErr)
}

// complaints takes the place of a test: what contracttest finds is kept.
type complaints struct {
	testing.TB
	bank *bank
}

// Helper is testing.TB's.
func (*complaints) Helper() {}

// Cleanup is testing.TB's.
func (*complaints) Cleanup(func()) {}

// Fatalf is testing.TB's.
func (*complaints) Fatalf(format string, arguments ...any) { panic(fmt.Sprintf(format, arguments...)) }

// Errorf is testing.TB's.
func (c *complaints) Errorf(format string, arguments ...any) {
	c.bank.mu.Lock()
	defer c.bank.mu.Unlock()
	c.bank.broken = append(c.bank.broken, fmt.Sprintf(format, arguments...))
}

// plastic is a card as partners know it, by its number from 0.
type plastic struct {
	number int
	id     string
}

func (p plastic) pan() string         { return apptest.PAN(1000 + p.number) }
func (p plastic) publicToken() string { return strconv.Itoa(200_000_000 + p.number) }
func (p plastic) urn() string         { return strconv.Itoa(80_000_000_000 + p.number) }
func (p plastic) device() string      { return fmt.Sprintf("CHAOS%011d", p.number) }
func (p plastic) customer() string    { return fmt.Sprintf("IN000013%08d", p.number) }
func (p plastic) holder() string      { return fmt.Sprintf("CH%08d", 1_000_000+p.number) }
func (p plastic) wallet() string      { return fmt.Sprintf("WL%08d", 1_000_000+p.number) }
func (p plastic) hashdt() string      { return fmt.Sprintf("CD%08d", 1_000_000+p.number) }
func (p plastic) firstPIN() string    { return fmt.Sprintf("%04d", p.number%10_000) }

func (b *bank) block(p plastic, digits string) string {
	block, err := b.zone.Encrypt(pinblock.ISO0, []byte(digits), p.pan(), nil)
	if err != nil {
		panic(err) // of digits
	}
	return strings.ToUpper(hex.EncodeToString(block))
}

// portfolio writes the cards as pinvault import takes them.
func (b *bank) portfolio(w io.Writer, cards []plastic) error {
	out := json.NewEncoder(w)
	for _, p := range cards {
		type reference struct{ Kind, Value string }
		references := []map[string]string{}
		for _, r := range []reference{{"publicToken", p.publicToken()}, {"urn", p.urn()}, {"identifier", p.device()}, {"hashdtCardId", p.hashdt()}} {
			references = append(references, map[string]string{"kind": r.Kind, "value": r.Value})
		}
		if err := out.Encode(map[string]any{"cardId": p.id, "pan": p.pan(), "expiry": "3112", "sequence": "01", "references": references,
			"customerId": p.customer(), "cardholderId": p.holder(), "walletId": p.wallet(),
			"pin": map[string]any{"block": map[string]string{"keyId": "zpk-1", "format": "ISO-0", "pinBlock": b.block(p, p.firstPIN())}}}); err != nil {
			return err
		}
	}
	return nil
}

// Actions, as the vault has them, and the contracts that offer them.
type action string

const (
	set     action = "set"
	verify  action = "verify"
	change  action = "change"
	reset   action = "reset" // a new PIN, and all tries
	unblock action = "unblock"
	reveal  action = "reveal"
	status  action = "status"
)

// errand is what somebody wants of a card.
type errand struct {
	Contract string `json:"contract"`
	Do       action `json:"do"`
	Card     int    `json:"card"`
	PIN      string `json:"-"` // offered, or chosen
	Old      string `json:"-"` // offered in a change
}

// answer is what they were told. The zero answer: nothing that says whether anything was done.
type answer struct {
	Told   bool   `json:"told"`
	Result string `json:"result,omitempty"` // done, match, mismatch, blocked, refused
	Left   int    `json:"left"`             // tries; -1 where the contract does not say
	PIN    string `json:"-"`
}

// request is an errand as it is sent, any number of times.
type request struct {
	method, path string
	header       map[string]string
	body         []byte
	repeatable   bool
	read         func(status int, body []byte) answer
}

func marshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // of texts alone
	}
	return text
}

var done = answer{Told: true, Result: "done", Left: -1}

// noContent is the answer of operations that say nothing but that they did it.
func noContent(status int, _ []byte) answer {
	if status == http.StatusNoContent {
		return done
	}
	return answer{}
}

// request is what an errand looks like in its contract.
func (b *bank) request(e errand, p plastic) request {
	jsonBody := map[string]string{"Content-Type": "application/json"}
	keyed := func(name string) map[string]string {
		return map[string]string{"Content-Type": "application/json", name: uuid.NewString()}
	}
	block := func(digits string) []byte {
		return marshal(map[string]string{"pinBlock": b.block(p, digits), "format": "ISO-0", "keyId": "zpk-1"})
	}
	thredd, issuer := "/api/v1/cards/"+p.publicToken()+"/pin", "/issuer/v1/cards/"+p.id+"/pin"
	switch e.Contract + " " + string(e.Do) {
	case "thredd set":
		return request{http.MethodPost, thredd, keyed("IdempotencyKey"), marshal(map[string]string{"pin": e.PIN}), true, noContent}
	case "thredd unblock":
		return request{http.MethodPost, thredd + "/unblock", keyed("IdempotencyKey"), marshal(map[string]string{"description": "chaos", "updatedBy": "chaos"}), true, noContent}
	case "thredd reveal":
		return request{http.MethodGet, thredd, nil, nil, true, func(status int, body []byte) answer {
			var said struct{ PIN string }
			if json.Unmarshal(body, &said) != nil || status != http.StatusOK {
				return answer{}
			}
			return answer{Told: true, Result: "done", Left: -1, PIN: said.PIN}
		}}
	case "thredd status":
		return request{http.MethodGet, thredd + "/status", nil, nil, true, func(status int, body []byte) answer {
			var said struct{ RemainingTries string }
			if json.Unmarshal(body, &said) != nil || status != http.StatusOK {
				return answer{}
			}
			left, err := strconv.Atoi(said.RemainingTries)
			return answer{Told: err == nil, Result: "done", Left: left}
		}}
	case "issuer verify":
		return request{http.MethodPost, issuer + "/verifications", keyed("Idempotency-Key"), block(e.PIN), true, func(status int, body []byte) answer {
			var said struct {
				Result         string
				RemainingTries int
			}
			if json.Unmarshal(body, &said) != nil || status != http.StatusOK {
				return answer{}
			}
			return answer{Told: true, Result: said.Result, Left: said.RemainingTries}
		}}
	case "issuer set":
		return request{http.MethodPut, issuer, jsonBody, block(e.PIN), false, noContent}
	case "issuer unblock":
		return request{http.MethodPost, issuer + "/unblock", keyed("Idempotency-Key"), marshal(map[string]string{"reason": "chaos"}), true, noContent}
	case "creditplus unblock":
		return b.helpdesk(p)
	case "accosa reset":
		return b.wallet(p, e.PIN)
	case "networkintl change":
		return b.ivr(p, e.Old, e.PIN)
	}
	panic("nobody offers " + e.Contract + " " + string(e.Do))
}

// helpdesk resets the tries through Credit+'s contract, by a sealed message that has its effect once.
func (b *bank) helpdesk(p plastic) request {
	now := time.Now()
	text := marshal(map[string]string{"timestamp": now.Format(time.RFC3339), "dataValidUntilTimestamp": now.Add(time.Hour).Format(time.RFC3339), "identifier": p.device()})
	header := jwe.NewHeaders()
	err := header.Set(jwe.KeyIDKey, sealKeyID)
	sealed, sealErr := jwe.Encrypt(text, jwe.WithKey(jwa.DIRECT(), b.seal), jwe.WithContentEncryption(jwa.A256GCM()), jwe.WithProtectedHeaders(header))
	if err = errors.Join(err, sealErr); err != nil {
		panic(err) // the key is fixed
	}
	return request{http.MethodPost, "/deviceapi/apis/v2/services/helpdesk/resetpinretrycounter", map[string]string{"Content-Type": "application/jose"}, sealed, true,
		func(status int, body []byte) answer {
			var said struct{ Code string } // replies are not sealed
			if json.Unmarshal(body, &said) == nil && status == http.StatusOK && said.Code == "OK" {
				return done
			}
			return answer{}
		}}
}

// wallet gives a card a new PIN through Accosa's contract.
func (b *bank) wallet(p plastic, digits string) request {
	text := marshal(map[string]any{"messageCode": "1120", "requestDateTime": time.Now().UTC().Format("20060102150405"), "clientTxnId": uuid.NewString(),
		"newPIN": digits, "urn": p.urn(), "last4Digits": p.pan()[len(p.pan())-4:], "customerId": p.customer()})
	token, err := b.token.Seal(rand.Reader, text)
	if err != nil {
		panic(err) // the key is fixed
	}
	header := map[string]string{"Content-Type": "application/json", "clientId": "2000", "bankId": "7000", "entityId": "100", "secureCode": "open-sesame",
		"x-api-key": b.clients["accosa"].APIKey}
	return request{http.MethodPost, "/mob1/api/onboarding/v1/resetPin", header, marshal(map[string]string{"token": token}), true, func(status int, body []byte) answer {
		var sealed struct{ Token string }
		var said struct{ ResponseCode string }
		if json.Unmarshal(body, &sealed) != nil || status != http.StatusOK {
			return answer{}
		}
		text, ok := b.token.Open(sealed.Token)
		if ok && json.Unmarshal(text, &said) == nil && said.ResponseCode == "00" {
			return done
		}
		return answer{}
	}}
}

// ivr changes a PIN through Network International's contract. 889 is a wrong old PIN, or a card without tries.
func (b *bank) ivr(p plastic, old, chosen string) request {
	header := map[string]any{"msg_id": strings.ReplaceAll(uuid.NewString(), "-", "")[:12], "msg_type": "TRANSACTION", "msg_function": "REQ_CARD_PIN_CHANGE",
		"src_application": "IVR", "target_application": "PCMS", "timestamp": time.Now().Format(time.RFC3339), "bank_id": "NIC"}
	body := map[string]any{"card_number": p.pan(), "card_sequence_number": "01", "card_expiry_date": "3112", "encrypted_old_pin": b.block(p, old),
		"encrypted_new_pin": b.block(p, chosen), "encryption_method": "SYMMETRIC_ENC"}
	return request{http.MethodPost, "/CardServices/Transaction/V1/CardPinChange", map[string]string{"Content-Type": "application/json"},
		marshal(map[string]any{"NISrvRequest": map[string]any{"request_card_pin_change": map[string]any{"header": header, "body": body}}}), true,
		func(status int, body []byte) answer {
			var said struct {
				NISrvResponse struct {
					Change struct {
						Details struct {
							Code string `json:"error_code"`
						} `json:"exception_details"`
					} `json:"response_card_pin_change"`
				}
			}
			if json.Unmarshal(body, &said) != nil || status != http.StatusOK {
				return answer{}
			}
			switch said.NISrvResponse.Change.Details.Code {
			case "000":
				return answer{Told: true, Result: "match", Left: -1}
			case "889":
				return answer{Told: true, Result: "refused", Left: -1}
			}
			return answer{}
		}}
}

// tokensAt is where a contract has its tokens from; one that is not named has API keys.
var tokensAt = map[string]string{ //nolint:gosec // paths, and no tokens
	"thredd": "/connect/token", "issuer": "/oauth2/token", "creditplus": "/oauth2/token", "networkintl": "/oauth2/token"}

// authorize is the bearer token of a contract's client, a new one where stale is the last.
func (b *bank) authorize(ctx context.Context, contract, stale string) (string, error) {
	at := tokensAt[contract]
	if at == "" {
		return "", nil
	}
	b.mu.Lock()
	token := b.bearer[contract]
	b.mu.Unlock()
	if token != "" && token != stale {
		return token, nil
	}
	c := b.clients[contract]
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ID}, "client_secret": {c.Secret}}
	status, body, err := b.send(ctx, http.MethodPost, at, map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, []byte(form.Encode()))
	var said struct {
		Token string `json:"access_token"`
	}
	if err == nil && (status != http.StatusOK || json.Unmarshal(body, &said) != nil) {
		err = fmt.Errorf("no token: %d", status)
	}
	if err != nil {
		return "", err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bearer[contract] = said.Token
	return said.Token, nil
}

// send sends a request to the edge.
func (b *bank) send(ctx context.Context, method, path string, header map[string]string, body []byte) (int, []byte, error) {
	return b.sendTo(ctx, b.edge+path, method, header, body)
}

func (b *bank) sendTo(ctx context.Context, to, method string, header map[string]string, body []byte) (int, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	reply, err := b.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = reply.Body.Close() }() // read only
	body, err = io.ReadAll(reply.Body)
	return reply.StatusCode, body, err
}

// link has a page of the hosted kind for a card, and returns what sets the new PIN there: (nil, nil) where nobody answered well.
func (b *bank) link(ctx context.Context, p plastic, digits string) (*request, error) {
	status, body, err := b.send(ctx, http.MethodGet, "/issuing/api/v1/card/resetpin", map[string]string{"x-api-key": b.clients["hashdt"].APIKey, "x-product-id": b.program,
		"x-cardholder-id": p.holder(), "x-wallet-id": p.wallet(), "x-card-id": p.hashdt(), "x-request-id": uuid.NewString()}, nil)
	var fetched struct {
		Data []struct {
			URL string `json:"set_pin_url"`
		}
	}
	if err != nil || status != http.StatusOK || json.Unmarshal(body, &fetched) != nil || len(fetched.Data) == 0 {
		return nil, errors.Join(err, fmt.Errorf("no link: %d", status))
	}
	at, err := url.Parse(fetched.Data[0].URL)
	if err != nil {
		return nil, err
	}
	status, body, err = b.send(ctx, http.MethodPost, at.Path+"/exchange", map[string]string{"Content-Type": "application/json"}, marshal(map[string]string{"secret": at.Fragment}))
	var session struct {
		Token string
		Key   struct{ X, Y string }
	}
	if err != nil || status != http.StatusOK || json.Unmarshal(body, &session) != nil {
		return nil, errors.Join(err, fmt.Errorf("no session: %d", status))
	}
	x, errX := base64.RawURLEncoding.DecodeString(session.Key.X)
	y, errY := base64.RawURLEncoding.DecodeString(session.Key.Y)
	key, err := ecdh.P256().NewPublicKey(append(append([]byte{4}, x...), y...))
	if err = errors.Join(errX, errY, err); err != nil {
		return nil, err
	}
	message := fmt.Sprintf("%-64s", fmt.Sprintf(`{"for":"new","pin":%q}`, digits))
	sealed, err := jwe.Encrypt([]byte(message), jwe.WithKey(jwa.ECDH_ES(), key), jwe.WithContentEncryption(jwa.A256GCM()))
	if err != nil {
		return nil, err
	}
	return &request{http.MethodPost, at.Path + "/new", map[string]string{"Content-Type": "application/json"},
		marshal(map[string]string{"token": session.Token, "pin": string(sealed)}), false, func(status int, _ []byte) answer {
			switch status {
			case http.StatusNoContent:
				return done
			case http.StatusNotFound, http.StatusConflict: // the PIN was changed since, or the link is over
				return answer{Told: true, Result: "refused", Left: -1}
			}
			return answer{}
		}}, nil
}
