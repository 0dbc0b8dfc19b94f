package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// healthcheckCommand is what an image without a shell is asked by.
type healthcheckCommand struct {
	URL     string        `arg:"" optional:"" env:"PINVAULT_HEALTHCHECK_URL" default:"http://127.0.0.1:8080" help:"The server. Default: ${default}."`
	Timeout time.Duration `default:"5s" help:"How long it may take to answer. Default: ${default}."`
}

// Run fails where the server is not ready.
func (c *healthcheckCommand) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	asked, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.URL, "/")+"/readyz", nil)
	if err != nil {
		return err
	}
	reply, err := http.DefaultClient.Do(asked)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(reply.Body, maxInput))
	if err = errors.Join(err, reply.Body.Close()); err == nil && reply.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s is not ready: %s", c.URL, reply.Status)
	}
	return err
}
