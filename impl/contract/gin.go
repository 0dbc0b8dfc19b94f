package contract

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"
)

// Middleware checks each request before the generated handler binds it. fail answers one that breaks the
// contract, with a [Broken]; the handlers after it do not run. further, unless nil, has the contract's own rules.
//
// The operation is found by the route that gin has already matched, so there is no second router to
// disagree with it. A request that matched no route is passed on to gin's handlers for those. A route
// that the document does not describe is rejected with RuleOperation: nothing is known about it.
func (d *Document) Middleware(fail func(c *gin.Context, err error), further Further) gin.HandlerFunc {
	return func(c *gin.Context) {
		if c.FullPath() == "" {
			return
		}
		if err := d.admit(c, further); err != nil {
			c.Abort()
			fail(c, err)
			return
		}
		c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), exchangeKey{}, exchange{c.Request, c.Writer.Header()}))
	}
}

// admit is the error of a request that is not to reach its handler.
func (d *Document) admit(c *gin.Context, further Further) error {
	op := d.Operation(c.Request.Method, c.FullPath())
	if op == nil {
		return Broken{{In: InPath, Rule: RuleOperation}}
	}
	violations := op.Check(c.Request, pathParams(c.Params))
	if further != nil {
		ctx, more, err := further(c.Request, op)
		c.Request = c.Request.WithContext(ctx)
		if err != nil {
			return err
		}
		violations = op.join(violations, more)
	}
	if len(violations) > 0 {
		return Broken(violations)
	}
	return nil
}

// exchange is what a handler may look at besides what is bound for it. Unlike gin's context, nothing of it
// is given to another request.
type exchange struct {
	request *http.Request
	reply   http.Header
}

type exchangeKey struct{}

// Request is the request that a handler's context comes from, as it was checked: see [Sent]. It is nil
// where [Document.Middleware] has checked none.
func Request(ctx context.Context) *http.Request {
	known, _ := ctx.Value(exchangeKey{}).(exchange)
	return known.request
}

// ReplyHeader are the headers of the reply to the request that a handler's context comes from, for those
// that its reply has no place for.
func ReplyHeader(ctx context.Context) http.Header {
	if known, ok := ctx.Value(exchangeKey{}).(exchange); ok {
		return known.reply
	}
	return http.Header{}
}

func pathParams(params gin.Params) map[string]string {
	if len(params) == 0 {
		return nil
	}
	byName := make(map[string]string, len(params))
	for _, p := range params {
		byName[p.Key] = p.Value
	}
	return byName
}
