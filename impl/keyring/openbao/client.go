package openbao

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/openbao/openbao/api/v2"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// Options are what a transit engine is opened with.
type Options struct {
	Location Location
	Token    func() ([]byte, error) // reads the token; who asks clears it
	Log      *slog.Logger           // nil: nothing is said
	Wait     time.Duration          // how long a call may take; 0: two seconds
	// Observe hears of every call: encrypt, decrypt, hmac, keys, create, rotate, token. nil: nobody does.
	Observe func(operation string, took time.Duration, err error)
}

// Transit is a transit engine. It is safe for concurrent use and prints as ****.
type Transit struct {
	keyring.Hidden
	at    Location
	token func() ([]byte, error)
	log   *slog.Logger
	wait  time.Duration
	seen  func(operation string, took time.Duration, err error)
	api   *api.Client
	stop  context.CancelFunc

	mu   sync.Mutex
	read time.Time // when the token was
	keys map[pin.Use]*key
}

// Open asks OpenBao whether it takes the token. Whatever is in the way, the error says it to whoever starts the server.
func Open(o Options) (*Transit, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Wait == 0 {
		o.Wait = 2 * time.Second
	}
	if o.Observe == nil {
		o.Observe = func(string, time.Duration, error) {}
	}
	client, err := connect(o)
	if err != nil {
		return nil, err
	}
	t := &Transit{at: o.Location, token: o.Token, log: o.Log, wait: o.Wait, seen: o.Observe, api: client, keys: map[pin.Use]*key{}}
	if err := t.authenticate(); err != nil {
		return nil, err
	}
	if _, err := t.do("token", http.MethodGet, "auth/token/lookup-self", nil); err != nil {
		return nil, t.words(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	go t.renew(ctx)
	return t, nil
}

// Close ends the renewal of the token.
func (t *Transit) Close() error {
	t.stop()
	return nil
}

// connect makes a client that takes nothing from the environment, where another program's token may be.
func connect(o Options) (*api.Client, error) {
	c := api.NewConfig()
	if c == nil {
		return nil, errors.New("openbao: no configuration")
	}
	c.Address, c.Timeout, c.MaxRetries = o.Location.Address, o.Wait, 0
	if o.Location.CACert != "" {
		if err := c.ConfigureTLS(&api.TLSConfig{CACert: o.Location.CACert}); err != nil {
			return nil, fmt.Errorf("ca in the URL of --keys: %w", err)
		}
	}
	c.HttpClient.Transport.(*http.Transport).MaxIdleConnsPerHost = connections
	client, err := api.NewClient(c)
	if err != nil {
		return nil, fmt.Errorf("openbao: %w", err)
	}
	client.ClearToken()
	client.ClearNamespace()
	if o.Location.Namespace != "" {
		client.SetNamespace(o.Location.Namespace)
	}
	return client, nil
}

// connections are kept open.
const connections = 64

// authenticate reads the token.
func (t *Transit) authenticate() error {
	text, err := t.token()
	if err != nil {
		return err
	}
	defer clear(text)
	t.mu.Lock()
	t.read = time.Now()
	t.mu.Unlock()
	t.api.SetToken(string(bytes.TrimSpace(text)))
	return nil
}

// pause is how long a token that was not taken is left alone.
const pause = time.Second

// reauthenticate reads the token again, unless that was just done, and tells whether it is another.
func (t *Transit) reauthenticate() bool {
	t.mu.Lock()
	recent := time.Since(t.read) < pause
	t.mu.Unlock()
	if recent {
		return false
	}
	old := t.api.Token()
	if err := t.authenticate(); err != nil {
		t.log.Error("the token for OpenBao cannot be read", "error", err)
		return false
	}
	return t.api.Token() != old
}

// do asks the API. The error is one of [pin.Unavailable] or [errRefused].
func (t *Transit) do(operation, method, path string, body map[string]any) (_ map[string]any, err error) {
	began := time.Now()
	defer func() { t.seen(operation, time.Since(began), err) }()
	out, err := t.ask(method, path, body)
	if status(err) == http.StatusForbidden && t.reauthenticate() {
		out, err = t.ask(method, path, body)
	}
	if err == nil {
		return out, nil
	}
	if code := status(err); code == http.StatusBadRequest && !strings.Contains(err.Error(), "not found") {
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	return nil, &pin.Error{Code: pin.Unavailable, Err: err}
}

// errRefused is an answer that says that what was asked is wrong.
var errRefused = errors.New("openbao: refused")

func (t *Transit) ask(method, path string, body map[string]any) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), t.wait)
	defer cancel()
	var secret *api.Secret
	var err error
	if method == http.MethodGet {
		secret, err = t.api.Logical().ReadWithContext(ctx, path)
	} else {
		secret, err = t.api.Logical().WriteWithContext(ctx, path, body)
	}
	switch {
	case err != nil:
		return nil, err
	case secret == nil:
		return nil, nil
	}
	return secret.Data, nil
}

// status is that of an answer, 0 where there was none.
func status(err error) int {
	if answer, ok := errors.AsType[*api.ResponseError](err); ok {
		return answer.StatusCode
	}
	return 0
}

// words says what is in the way of a start.
func (t *Transit) words(err error) error {
	switch status(err) {
	case http.StatusForbidden:
		return errors.New("OpenBao does not take the token of --keys, or its policies do not allow what is needed: see the policy in docs/keys.md")
	case http.StatusServiceUnavailable:
		return errors.New("OpenBao is sealed: unseal it, then start the server")
	case http.StatusNotFound:
		return fmt.Errorf("OpenBao has no transit engine at %s: enable one with 'bao secrets enable -path=%s transit'", t.at.Mount, t.at.Mount)
	case 0:
		return fmt.Errorf("OpenBao does not answer at %s: check address in --keys, and that it runs", t.at.Address)
	}
	return fmt.Errorf("OpenBao: %w", err)
}

// renew keeps the token alive until ctx is over: as the token lets itself be renewed, and from where it came from again
// once it does not.
func (t *Transit) renew(ctx context.Context) {
	for ctx.Err() == nil {
		secret, err := t.api.Auth().Token().RenewSelfWithContext(ctx, 0)
		if err != nil || secret == nil || secret.Auth == nil || !secret.Auth.Renewable {
			t.again(ctx)
			continue
		}
		watcher, err := t.api.NewLifetimeWatcher(&api.LifetimeWatcherInput{Secret: secret})
		if err != nil {
			t.again(ctx)
			continue
		}
		go watcher.Start()
		t.watch(ctx, watcher)
		watcher.Stop()
	}
}

// watch returns when the token can be renewed no longer.
func (t *Transit) watch(ctx context.Context, watcher *api.LifetimeWatcher) {
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-watcher.DoneCh():
			if err != nil {
				t.log.Warn("the token for OpenBao is not renewed any more", "error", err)
			}
			t.again(ctx)
			return
		case <-watcher.RenewCh():
			t.log.Debug("the token for OpenBao is renewed")
		}
	}
}

// again waits a while and reads the token from where it came from.
func (t *Transit) again(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(retry):
		t.reauthenticate()
	}
}

// retry is how often a token that cannot be renewed is looked after.
const retry = time.Minute
