package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"pinvault/generated/common"
	"pinvault/impl/contract"
	"pinvault/impl/oauth"
	"pinvault/impl/pin"
)

// system answers openapi/common.yaml: health, tokens, the sandbox.
type system struct {
	tokens  Tokens
	ready   func(ctx context.Context) error
	sandbox Sandbox
}

const (
	tokenTTL     = time.Hour
	readyTimeout = 3 * time.Second // load balancers do not wait longer
)

// Mount registers the operations.
func (s *system) Mount(r gin.IRouter) {
	unbound := func(c *gin.Context, _ error) { s.Fail(c, contract.Unbound) }
	common.RegisterHandlersWithOptions(r,
		common.NewStrictHandlerWithOptions(s, nil, common.StrictGinServerOptions{
			RequestErrorHandlerFunc: unbound, HandlerErrorFunc: s.Fail, ResponseErrorHandlerFunc: s.Fail,
		}),
		common.GinServerOptions{ErrorHandler: func(c *gin.Context, err error, _ int) { unbound(c, err) }})
}

// GetLiveness says that the process serves.
func (*system) GetLiveness(context.Context, common.GetLivenessRequestObject) (common.GetLivenessResponseObject, error) {
	return common.GetLiveness200JSONResponse{Status: common.HealthStatusOk}, nil
}

// GetReadiness asks what the server cannot do without.
func (s *system) GetReadiness(ctx context.Context, _ common.GetReadinessRequestObject) (common.GetReadinessResponseObject, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := s.ready(ctx); err != nil {
		return common.GetReadiness503JSONResponse{Status: common.HealthStatusUnavailable, Failing: &[]string{"database"}}, nil
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
	r := ctx.(*gin.Context).Request
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

// GetSandboxFixtures lists the sandbox's clients and cards.
func (s *system) GetSandboxFixtures(ctx context.Context, _ common.GetSandboxFixturesRequestObject) (common.GetSandboxFixturesResponseObject, error) {
	if s.sandbox == nil {
		return nil, contract.NoRoute
	}
	clients, cards, err := s.sandbox.Fixtures(ctx)
	return common.GetSandboxFixtures200JSONResponse{Clients: clients, Cards: cards}, err
}

// ResetSandbox puts the sandbox back.
func (s *system) ResetSandbox(ctx context.Context, _ common.ResetSandboxRequestObject) (common.ResetSandboxResponseObject, error) {
	if s.sandbox == nil {
		return nil, contract.NoRoute
	}
	return common.ResetSandbox204Response{}, s.sandbox.Reset(ctx)
}

// row is one line of the error table.
type row struct {
	status      int
	code, title string
}

// faults is the error table of our own pages; broken, that of requests that break the contract.
var (
	faults = map[pin.Code]row{
		pin.Unavailable: {http.StatusServiceUnavailable, "unavailable", "The service is temporarily unavailable. Please try again."},
		pin.Internal:    {http.StatusInternalServerError, "internal", "Internal server error."},
	}
	broken = map[int]row{
		http.StatusNotFound:              {http.StatusNotFound, "not_found", "No such endpoint."},
		http.StatusMethodNotAllowed:      {http.StatusMethodNotAllowed, "method_not_allowed", "Method not allowed."},
		http.StatusRequestEntityTooLarge: {http.StatusRequestEntityTooLarge, "too_large", "The body is too large."},
		http.StatusUnsupportedMediaType:  {http.StatusUnsupportedMediaType, "unsupported_media_type", "The body has a type or an encoding that is not documented."},
		http.StatusBadRequest:            {http.StatusBadRequest, "invalid_request", "The request breaks the contract."},
	}
)

// Fail is where every error of common.yaml goes out.
func (s *system) Fail(c *gin.Context, err error) {
	violations, isBroken := errors.AsType[contract.Broken](err)
	if c.FullPath() == "/oauth2/token" && !(isBroken && violations[0].In == contract.InPath) {
		failToken(c, err)
		return
	}
	r := cmp.Or(faults[pin.CodeOf(err)], faults[pin.Internal])
	if isBroken {
		r = broken[violations.Status()]
	} else {
		_ = c.Error(err)
	}
	c.Header("Content-Type", "application/problem+json")
	c.AbortWithStatusJSON(r.status, common.Problem{Type: "about:blank", Title: r.title, Status: int32(r.status), Code: r.code,
		TraceID: pin.CallerFrom(c.Request.Context()).TraceID})
}

// failToken answers errors of the token endpoint in OAuth2's shape (RFC 6749, 5.2).
func failToken(c *gin.Context, err error) {
	status, code := http.StatusInternalServerError, string(common.TokenErrorErrorServerError)
	if refused, ok := errors.AsType[*oauth.Error](err); ok {
		status, code = refused.Status, string(refused.Code)
		if challenge := refused.Challenge(); challenge != "" {
			c.Header("WWW-Authenticate", challenge)
		}
	} else if _, ok := errors.AsType[contract.Broken](err); ok {
		status, code = http.StatusBadRequest, string(common.TokenErrorErrorInvalidRequest)
	} else if pin.CodeOf(err) == pin.Unavailable {
		status, code = http.StatusServiceUnavailable, string(common.TokenErrorErrorTemporarilyUnavailable)
	}
	_ = c.Error(err)
	c.AbortWithStatusJSON(status, common.TokenError{Error: common.TokenErrorError(code)})
}
