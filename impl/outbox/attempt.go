package outbox

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"pinvault/impl/pin"
)

// How long a delivery is tried, and how long is waited between attempts.
const (
	lastsFor  = 72 * time.Hour // from the first attempt
	firstWait = 5 * time.Second
	maxWait   = 4 * time.Hour
)

// wait is how long is waited after so many attempts: twice as long each time, give or take a quarter.
func wait(attempts int64, uniform float64) time.Duration {
	d := maxWait
	if attempts < 13 {
		d = min(firstWait<<(max(attempts, 1)-1), maxWait)
	}
	return time.Duration(float64(d) * (0.75 + uniform/2))
}

// answer is how a receiver answered.
type answer struct {
	status  int           // 0: not at all
	failure string        // in a word, "" where it has taken the message
	after   time.Duration // for how long it does not want to be asked
}

func (a answer) taken() bool { return a.failure == "" }

// settle is what becomes of a delivery by an answer.
func settle(c pin.Delivery, a answer, now time.Time, uniform float64) pin.Delivery {
	c.Status, c.Failure = int64(a.status), a.failure
	switch {
	case a.taken():
		c.State, c.DoneAt = pin.DeliveryDelivered, now.UnixMicro()
	case now.Sub(time.UnixMicro(c.FirstAt)) >= lastsFor:
		c.State, c.DoneAt = pin.DeliveryParked, now.UnixMicro()
	default:
		c.State, c.DueAt = pin.DeliveryPending, now.Add(max(wait(c.Attempts, uniform), min(a.after, maxWait))).UnixMicro()
	}
	return c
}

// maxReply is how much is read of what a receiver answers, which is not kept.
const maxReply = 64 << 10

// send sends an event to a webhook once.
func (d *Dispatcher) send(ctx context.Context, w pin.Webhook, e pin.AuditEvent, keys []pin.SigningKeys) answer {
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	r, err := request(w.URL, e, keys, d.Now())
	if err != nil {
		return answer{failure: "unsendable"}
	}
	reply, err := d.client.Do(r.WithContext(ctx))
	if err != nil {
		return answer{failure: failureOf(err)}
	}
	defer func() { _ = reply.Body.Close() }()
	_, err = io.Copy(io.Discard, io.LimitReader(reply.Body, maxReply))
	a := answer{status: reply.StatusCode}
	switch {
	case reply.StatusCode/100 != 2:
		a.failure = "answer"
		if seconds, err := strconv.Atoi(reply.Header.Get("Retry-After")); err == nil && seconds > 0 {
			a.after = time.Duration(min(seconds, int(maxWait/time.Second))) * time.Second
		}
	case err != nil:
		a.failure = failureOf(err)
	}
	return a
}

// failureOf is why a receiver was not reached, in a word: the error's own text may hold the URL, which may be a secret.
func failureOf(err error) string {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.Is(err, errRefused):
		return "refused"
	case errors.As(err, &dns):
		return "lookup"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	return "connection"
}

// request is an event as it is sent to a URL at a time, signed.
func request(url string, e pin.AuditEvent, keys []pin.SigningKeys, now time.Time) (*http.Request, error) {
	k, ok := kinds[e.Announced()]
	if !ok {
		return nil, fmt.Errorf("no webhook is told of %s", e.Type)
	}
	body, err := json.Marshal(k.message(e))
	if err != nil {
		return nil, err
	}
	signature, err := sign(keys, e.ID, now, body)
	if err != nil {
		return nil, err
	}
	r, err := k.request(url, headers{WebhookID: e.ID, WebhookTimestamp: strconv.FormatInt(now.Unix(), 10), WebhookSignature: signature}, bytes.NewReader(body))
	if err == nil {
		r.Header.Set("User-Agent", "PinVault")
	}
	return r, err
}

// sign is the header webhook-signature: of every key, old ones while they overlap, an HMAC (v1) and an Ed25519 signature (v1a).
func sign(keys []pin.SigningKeys, id string, at time.Time, body []byte) (string, error) {
	var all []string
	for _, k := range keys {
		shared, err := standardwebhooks.NewWebhookRaw(k.Secret)
		if err != nil {
			return "", err
		}
		v1, err := shared.Sign(id, at, body)
		if err != nil {
			return "", err
		}
		v1a := ed25519.Sign(k.Private, fmt.Appendf(nil, "%s.%d.%s", id, at.Unix(), body))
		all = append(all, v1, "v1a,"+base64.StdEncoding.EncodeToString(v1a))
	}
	return strings.Join(all, " "), nil
}

// PublicKey is a webhook's key as its receiver is shown it.
func PublicKey(k pin.WebhookKeys) string {
	return "whpk_" + base64.StdEncoding.EncodeToString(k.Public)
}
