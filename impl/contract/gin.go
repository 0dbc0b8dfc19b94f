package contract

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"
)

// Middleware checks each request before the generated handler binds it. fail answers one that breaks the
// contract, with a [Broken]; the handlers after it do not run.
//
// The operation is found by the route that gin has already matched, so there is no second router to
// disagree with it. A request that matched no route is passed on to gin's handlers for those. A route
// that the document does not describe is rejected with RuleOperation: nothing is known about it.
func (d *Document) Middleware(fail func(c *gin.Context, err error)) gin.HandlerFunc {
	return func(c *gin.Context) {
		if c.FullPath() == "" {
			return
		}
		violations := []Violation{{In: InPath, Rule: RuleOperation}}
		if op := d.Operation(c.Request.Method, c.FullPath()); op != nil {
			violations = op.Check(c.Request, pathParams(c.Params))
		}
		if len(violations) > 0 {
			c.Abort()
			fail(c, Broken(violations))
			return
		}
		c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), exchangeKey{}, exchange{c.Request, c.Writer.Header()}))
	}
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
