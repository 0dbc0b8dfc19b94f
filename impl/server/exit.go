package server

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

// fail is the one exit for errors of a contract, wherever they were found: in authorization, the check
// against the document, binding, a handler or a panic, or because no operation has the path or the method.
// The contract renders the reply; here it is noted for the log, and goes out unless another one has begun.
func (ct Contract) fail(c *gin.Context, err error) {
	c.Abort()
	if e, ok := errors.AsType[*gin.Error](err); ok && e.IsType(gin.ErrorTypeBind) {
		err = contract.Unbound // the generated code's own words may quote the request
	}
	if errors.Is(err, contract.Cut) {
		panic(http.ErrAbortHandler)
	}
	o := observationOf(c)
	reply, err := ct.reply(c.Request, o, err)
	if !is(reply.Status) {
		err = &pin.Error{Code: pin.Internal, Err: fmt.Errorf("contract %s has no reply to: %v", ct.Document.Name(), err)} //nolint:errorlint // another error, which must not render as this one
		reply = ct.API.Render(c.Request, o.described, err)
	}
	if !is(reply.Status) {
		reply = contract.Reply{Status: http.StatusInternalServerError}
	}
	if o.answer = reply.Status; reply.Status >= http.StatusBadRequest {
		o.failed = err
	}
	if !c.Writer.Written() {
		retryAfter(c.Writer.Header(), err)
		_ = reply.Send(c.Writer) // who has hung up is told nothing
	}
}

// retryAfter tells callers who must wait for how long, in whole seconds (RFC 9110, 10.2.3).
func retryAfter(h http.Header, err error) {
	if wait := pin.WaitOf(err); wait > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
	}
}

// reply is what the contract answers an error with, or what it was told to. What cannot be sealed is a failure of ours.
func (ct Contract) reply(r *http.Request, o *observation, err error) (contract.Reply, error) {
	told, ok := errors.AsType[*contract.Told](err)
	if !ok {
		return ct.API.Render(r, o.described, err), err
	}
	reply := told.Reply
	o.outside = told.Outside
	if reply.Message == nil {
		return reply, err
	}
	sealer, ok := ct.API.(Sealer)
	if !ok {
		err = &pin.Error{Code: pin.Internal, Err: errNoSealer}
		return ct.API.Render(r, o.described, err), err
	}
	body, err := sealer.Seal(r, reply.Message)
	if err != nil {
		return ct.API.Render(r, o.described, err), err
	}
	reply.Body = body
	return reply, told
}

var errNoSealer = errors.New("a sealed reply of a contract that seals none")

// is tells whether a status is one that HTTP has.
func is(status int) bool { return http.StatusText(status) != "" }

// code names what went wrong: in the vault's terms and, where a contract has a row of its own for it, in
// those that are nearest to the row's status.
func (o *observation) code() string {
	if e, ok := errors.AsType[*pin.Error](o.failed); ok {
		return string(e.Code)
	}
	if _, ok := errors.AsType[contract.Broken](o.failed); ok {
		return "broken" // the request breaks the contract
	}
	switch {
	case o.answer == http.StatusUnauthorized:
		return string(pin.Unauthorized)
	case o.answer == http.StatusForbidden:
		return string(pin.Forbidden)
	case o.answer == http.StatusNotFound:
		return string(pin.NotFound)
	case o.answer == http.StatusServiceUnavailable:
		return string(pin.Unavailable)
	case o.answer >= http.StatusInternalServerError:
		return string(pin.Internal)
	}
	return "refused" // it keeps the contract, which refuses it all the same
}
