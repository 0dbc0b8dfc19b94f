package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"pinvault/generated/common"
	"pinvault/impl/contract"
	"pinvault/impl/docs"
	"pinvault/impl/oauth"
	"pinvault/impl/pin"
	"pinvault/impl/problem"
)

// system answers openapi/common.yaml: health and tokens.
type system struct {
	tokens   Tokens
	ready    func(ctx context.Context) (failing []string)
	stopping <-chan struct{}
	fixtures Fixtures   // nil but in a sandbox
	docs     *docs.Site // nil: none are served
}

const (
	tokenTTL     = time.Hour
	readyTimeout = 3 * time.Second // load balancers do not wait longer
)

// Mount registers the operations.
func (s *system) Mount(r gin.IRouter, fail func(*gin.Context, error)) { common.Mount(r, s, fail) }

// GetLiveness says that the process serves.
func (*system) GetLiveness(context.Context, common.GetLivenessRequestObject) (common.GetLivenessResponseObject, error) {
	return common.GetLiveness200JSONResponse{Status: common.HealthStatusOk}, nil
}

// GetReadiness asks what the server cannot do without. Who has been told to stop is to be sent nothing more.
func (s *system) GetReadiness(ctx context.Context, _ common.GetReadinessRequestObject) (common.GetReadinessResponseObject, error) {
	if over(s.stopping) {
		return common.GetReadiness503JSONResponse{Status: common.HealthStatusUnavailable, Failing: &[]string{"stopping"}}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if failing := s.ready(ctx); len(failing) > 0 {
		return common.GetReadiness503JSONResponse{Status: common.HealthStatusUnavailable, Failing: &failing}, nil
	}
	return common.GetReadiness200JSONResponse{Status: common.HealthStatusOk}, nil
}

// GetTokenKeys publishes the keys under which tokens are signed.
func (s *system) GetTokenKeys(context.Context, common.GetTokenKeysRequestObject) (common.GetTokenKeysResponseObject, error) {
	raw, err := s.tokens.JWKS()
	if err != nil {
		return nil, err
	}
	var set common.GetTokenKeys200JSONResponse
	err = json.Unmarshal(raw, &set)
	return set, err
}

// IssueToken exchanges client credentials, from the form or HTTP Basic, for a bearer token.
func (s *system) IssueToken(ctx context.Context, _ common.IssueTokenRequestObject) (common.IssueTokenResponseObject, error) {
	r := contract.Request(ctx)
	request, err := oauth.ParseRequest(r.Header.Get("Authorization"), r.PostForm)
	if err != nil {
		return nil, err
	}
	token, err := s.tokens.Exchange(ctx, request, "", tokenTTL)
	if err != nil {
		return nil, err
	}
	return common.IssueToken200JSONResponse{
		Body: common.TokenResponse{AccessToken: token.AccessToken, TokenType: common.TokenResponseTokenTypeBearer,
			ExpiresIn: int32(token.ExpiresIn.Seconds()), Scope: strings.Join(token.Scopes, " ")},
		Headers: common.IssueToken200ResponseHeaders{CacheControl: "no-store"},
	}, nil
}

// Render says how an error is answered.
func (s *system) Render(r *http.Request, op *contract.Operation, err error) contract.Reply {
	if op != nil && op.ID == "issueToken" {
		return tokenReply(err)
	}
	broken, isBroken := errors.AsType[contract.Broken](err)
	row := problem.Internal
	switch {
	case isBroken:
		row = problem.Breach(broken)
	case pin.CodeOf(err) == pin.Unavailable:
		row = problem.Unavailable
	case pin.CodeOf(err) == pin.TooMany:
		row = problem.TooMany
	}
	if op == nil && row.Status == http.StatusNotFound && s.docs != nil && contract.TakesPages(r.Header) {
		if page, err := s.docs.Missing(r.URL.EscapedPath()); err == nil {
			return contract.Reply{Status: row.Status, Header: http.Header{}, Body: page}.With("Content-Type", "text/html; charset=utf-8").
				With("Content-Security-Policy", docsPolicy).With("Referrer-Policy", "no-referrer")
		}
	}
	return row.Reply(r.Context(), broken)
}

// tokenReply answers errors of the token endpoint in OAuth2's shape (RFC 6749, 5.2).
func tokenReply(err error) contract.Reply {
	status, code, challenge := http.StatusInternalServerError, string(common.TokenErrorErrorServerError), ""
	if refused, ok := errors.AsType[*oauth.Error](err); ok {
		status, code, challenge = refused.Status, string(refused.Code), refused.Challenge()
	} else if _, ok := errors.AsType[contract.Broken](err); ok {
		status, code = http.StatusBadRequest, string(common.TokenErrorErrorInvalidRequest)
	} else if pin.CodeOf(err) == pin.TooMany {
		status, code = http.StatusTooManyRequests, string(common.TokenErrorErrorTemporarilyUnavailable)
	} else if pin.CodeOf(err) == pin.Unavailable {
		status, code = http.StatusServiceUnavailable, string(common.TokenErrorErrorTemporarilyUnavailable)
	}
	return contract.JSON(status, "application/json", common.TokenError{Error: common.TokenErrorError(code)}).
		With("Www-Authenticate", challenge)
}
