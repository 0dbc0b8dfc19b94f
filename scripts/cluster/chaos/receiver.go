package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// arrival is a message that the receiver took.
type arrival struct {
	ID, Card string
	Sequence int64
}

// receiver takes webhooks.
type receiver struct {
	at               string
	certificate, key string // files

	mu       sync.Mutex
	verifier *standardwebhooks.Webhook
	server   *http.Server
	arrivals []arrival
	forged   int // messages whose signature was not right
}

func (r *receiver) start() error {
	listener, err := net.Listen("tcp", r.at) //nolint:noctx // it ends with the server
	if err != nil {
		return err
	}
	server := &http.Server{Handler: r, ReadHeaderTimeout: 5 * time.Second}
	r.mu.Lock()
	r.server = server
	r.mu.Unlock()
	go func() { _ = server.ServeTLS(listener, r.certificate, r.key) }() // until it is closed
	return nil
}

func (r *receiver) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.server.Close()
}

// ServeHTTP is http.Handler's.
func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	raw, err := io.ReadAll(q.Body)
	var message struct {
		ID   string
		Data struct {
			CardID   string
			Sequence int64
		}
	}
	if err != nil || json.Unmarshal(raw, &message) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.verifier.Verify(raw, q.Header) != nil || q.Header.Get("webhook-id") != message.ID {
		r.forged++
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	r.arrivals = append(r.arrivals, arrival{message.ID, message.Data.CardID, message.Data.Sequence})
}

// asked is a request to the issuer API that has to be answered with the status; it is sent until it is.
func (b *bank) asked(ctx context.Context, method, path string, body any, want int, into any) error {
	var last error
	for range 60 {
		token, err := b.authorize(ctx, "issuer", "")
		if err == nil {
			var text []byte
			if body != nil {
				text = marshal(body)
			}
			var status int
			var said []byte
			if status, said, err = b.send(ctx, method, path, map[string]string{"Content-Type": "application/json", "Authorization": "Bearer " + token}, text); err == nil {
				if status == want {
					return json.Unmarshal(said, into)
				}
				err = errors.New(method + " " + path + ": " + string(said))
			}
			if status == http.StatusUnauthorized {
				_, _ = b.authorize(ctx, "issuer", token)
			}
		}
		last = err
		time.Sleep(500 * time.Millisecond)
	}
	return last
}

// subscribe has every event sent to the receiver.
func (b *bank) subscribe(ctx context.Context, r *receiver) (id string, err error) {
	var hook struct{ WebhookID, Secret string }
	if err := b.asked(ctx, http.MethodPost, "/issuer/v1/webhooks", map[string]string{"url": "https://" + r.at + "/"}, http.StatusCreated, &hook); err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.verifier, err = standardwebhooks.NewWebhook(hook.Secret)
	return hook.WebhookID, err
}
