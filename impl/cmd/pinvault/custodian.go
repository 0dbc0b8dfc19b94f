package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"pinvault/impl/config"
)

// custodian is how a custodian reaches a server: through its issuer API, as a client of their own. Neither the database nor
// the vault's keys are theirs.
type custodian struct {
	Server           string `required:"" placeholder:"URL" env:"PINVAULT_SERVER" help:"The server, such as https://pin.bank.example."`
	ClientID         string `required:"" placeholder:"ID" env:"PINVAULT_CLIENT_ID" help:"The custodian's own client, with the scope keys:component."`
	ClientSecretFile string `required:"" type:"existingfile" placeholder:"FILE" env:"PINVAULT_CLIENT_SECRET_FILE" help:"A file with its secret."`
	ID               string `arg:"" name:"key" help:"The key's id."`
}

// Validate refuses a server to which a component would travel in the clear.
func (c *custodian) Validate() error {
	if !config.SecureOrigin(strings.TrimSuffix(c.Server, "/")) {
		return errors.New("--server must begin with https://, except for this machine's own")
	}
	return nil
}

// patience is how long a server may take to answer.
const patience = 30 * time.Second

// maxAnswer bounds how much of an answer is read, in bytes.
const maxAnswer = 64 << 10

// send makes a request of the key, and prints the answer.
func (c *custodian) send(ctx context.Context, operation string, body any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	token, err := c.token(ctx)
	if err != nil {
		return err
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	defer clear(text)
	answer, err := c.post(ctx, "/issuer/v1/keys/"+url.PathEscape(c.ID)+"/"+operation, "application/json", "Bearer "+token, text)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(answer)
	return err
}

// token asks for an access token.
func (c *custodian) token(ctx context.Context) (string, error) {
	secret, err := private(c.ClientSecretFile)
	if err != nil {
		return "", err
	}
	defer clear(secret)
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ClientID}, "client_secret": {string(bytes.TrimSpace(secret))}}
	answer, err := c.post(ctx, "/oauth2/token", "application/x-www-form-urlencoded", "", []byte(form.Encode()))
	if err != nil {
		return "", err
	}
	var token struct {
		Access string `json:"access_token"`
	}
	if json.Unmarshal(answer, &token) != nil || token.Access == "" {
		return "", errors.New("the server's answer holds no token")
	}
	return token.Access, nil
}

// post sends a request and returns the body of a success.
func (c *custodian) post(ctx context.Context, path, contentType, authorization string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.Server, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", contentType)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(io.LimitReader(reply.Body, maxAnswer))
	if err = errors.Join(err, reply.Body.Close()); err == nil && reply.StatusCode/100 != 2 {
		err = refusal(reply.Status, answer)
	}
	return answer, err
}

// refusal is an error of a problem that the server has answered with.
func refusal(status string, answer []byte) error {
	var problem struct {
		Title  string
		Errors []struct{ Detail string }
	}
	if json.Unmarshal(answer, &problem) != nil || problem.Title == "" {
		return errors.New("the server answered " + status)
	}
	if len(problem.Errors) > 0 {
		return fmt.Errorf("%s %s", problem.Title, problem.Errors[0].Detail)
	}
	return errors.New(problem.Title)
}

// private reads a file that holds a secret, unless others can read it. The caller clears it.
func private(path string) ([]byte, error) {
	if config.SharedFile(path) {
		return nil, fmt.Errorf("others on this machine can read or change %s: chmod 600 it", path)
	}
	return os.ReadFile(path)
}

type componentCommand struct {
	custodian
	Number        int    `required:"" placeholder:"N" help:"Which component it is, from 1."`
	ComponentFile string `type:"existingfile" placeholder:"FILE" help:"A file with the component in hexadecimal, which nobody else may read. Default: you are asked for it, without echo."`
}

// Help shows one call.
func (componentCommand) Help() string {
	return "For example:\n\n    pinvault keys partner component zpk-1 --number 1 --server https://pin.bank.example --client-id 0190a5c0-7d2e-7c3a-9a57-3f1f2f3c4d5e --client-secret-file secret"
}

// Run sends the component and prints the key and its ceremony.
func (c *componentCommand) Run(ctx context.Context) error {
	text, err := c.text()
	if err != nil {
		return err
	}
	defer clear(text)
	digits := bytes.Join(bytes.Fields(text), nil) // people write them in groups
	defer clear(digits)
	if len(bytes.Trim(digits, "0123456789abcdefABCDEF")) > 0 {
		return errors.New("the component is not hexadecimal")
	}
	return c.send(ctx, "components", map[string]any{"number": c.Number, "component": string(digits)})
}

func (c *componentCommand) text() ([]byte, error) {
	if c.ComponentFile != "" {
		return private(c.ComponentFile)
	}
	return newConsole(os.Stdin, os.Stderr).secret(fmt.Sprintf("component %d: ", c.Number))
}

type confirmCommand struct {
	custodian
	CheckValue string `required:"" placeholder:"XXXXXX" help:"The check value that the key must have, six hexadecimal digits."`
}

// Help shows one call.
func (confirmCommand) Help() string {
	return "For example:\n\n    pinvault keys partner confirm zpk-1 --check-value D1E491 --server https://pin.bank.example --client-id 0190a5c0-7d2e-7c3a-9a57-3f1f2f3c4d5e --client-secret-file secret"
}

// Run confirms and prints the key and its ceremony.
func (c *confirmCommand) Run(ctx context.Context) error {
	return c.send(ctx, "confirmations", map[string]any{"checkValue": plainCheckValue(c.CheckValue)})
}
