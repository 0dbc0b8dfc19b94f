package pin_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// Every constant of type Code that the package's source declares, in any of its files, is listed, in the
// order of the declarations.
func TestCodesAreAllThatAreDeclared(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(os.DirFS("."), "*.go")
	require.NoError(t, err)
	var declared []pin.Code
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range file.Decls {
			constants, ok := d.(*ast.GenDecl)
			if !ok || constants.Tok != token.CONST {
				continue
			}
			for _, s := range constants.Specs {
				spec := s.(*ast.ValueSpec)
				if of, ok := spec.Type.(*ast.Ident); !ok || of.Name != "Code" {
					continue
				}
				for _, value := range spec.Values {
					text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
					require.NoError(t, err)
					declared = append(declared, pin.Code(text))
				}
			}
		}
	}
	require.NotEmpty(t, declared)
	require.Equal(t, declared, pin.Codes())
}

func TestAnErrorTableHasARowForEachCodeAndNoOther(t *testing.T) {
	t.Parallel()
	rows := func() map[pin.Code]int {
		all := map[pin.Code]int{}
		for i, code := range pin.Codes() {
			all[code] = i
		}
		return all
	}
	table := pin.MustErrorTable(rows())
	for i, code := range pin.Codes() {
		require.Equal(t, i, table.Row(code))
		require.Equal(t, i, table.Of(fmt.Errorf("wrapped: %w", &pin.Error{Code: code})))

		lacking := rows()
		delete(lacking, code)
		require.PanicsWithValue(t, `the error table has no row for the code "`+string(code)+`"`, func() { pin.MustErrorTable(lacking) })
	}
	foreign := rows()
	foreign["unheard_of"] = 99
	require.PanicsWithValue(t, `the error table has a row for "unheard_of", which is no code of pin.Codes`, func() { pin.MustErrorTable(foreign) })

	require.Equal(t, table.Row(pin.Internal), table.Row("unheard_of"))
	require.Equal(t, table.Row(pin.Internal), table.Of(errors.New("our own fault")))
}
