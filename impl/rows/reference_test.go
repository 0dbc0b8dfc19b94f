package rows

import (
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

func TestTheErrorReferenceTellsCodeTextAndAdvice(t *testing.T) {
	t.Parallel()
	doc := &openapi3.T{Info: &openapi3.Info{Extensions: map[string]any{"x-error-reference": map[string]any{
		"code": []any{"/error/code", "/code"}, "text": []any{"/message"}, "advice": map[string]any{"14": "Count.", "503": "Wait."}}}}}
	r, err := ErrorReferenceOf(doc)
	require.NoError(t, err)
	require.Equal(t, "14", r.CodeOf(map[string]any{"code": 14.0, "message": "m"}), "a number is told as it is written")
	require.Equal(t, "7", r.CodeOf(map[string]any{"code": "8", "error": map[string]any{"code": "7"}}), "the first pointer that leads to something")
	require.Empty(t, r.CodeOf("text"))
	require.Equal(t, "m", r.TextOf(map[string]any{"message": "m"}))
	require.Equal(t, "Count.", r.AdviceOn("14", 503))
	require.Equal(t, "Wait.", r.AdviceOn("15", 503))
	require.Empty(t, r.AdviceOn("15", 400))

	r, err = ErrorReferenceOf(&openapi3.T{Info: &openapi3.Info{}})
	require.NoError(t, err)
	require.Empty(t, r)
	_, err = ErrorReferenceOf(&openapi3.T{Info: &openapi3.Info{Extensions: map[string]any{"x-error-reference": map[string]any{"codes": []any{}}}}})
	require.ErrorContains(t, err, "codes")
}
