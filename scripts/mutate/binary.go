package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/printer"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// variable names the mutant that a test binary is to be.
const variable = "MUTANT"

// whole is all mutants of a package in one test binary. Each function that has mutants becomes one that asks which
// of them it is today, the function as it was, and a copy for each of its mutants:
//
//	func (c card) blocked() bool {
//		switch mutant {
//		case 7:
//			return c.blocked_3_7()
//		}
//		return c.blocked_3_0()
//	}
//
// What was stays where it was in its file, with a name that is longer, so that coverage still tells of its lines.
type whole struct {
	numbers map[*mutant]int // those that the binary can be, from 1
	path    string          // of the binary
}

// build compiles the mutants of a package that stand in functions, in a folder. The coverage tool reads no overlay,
// so the package's own files are changed meanwhile: this is for a copy of the tree.
func build(ctx context.Context, pkg string, src *source, mutants []*mutant, dir string) (_ *whole, err error) {
	w := &whole{numbers: map[*mutant]int{}, path: filepath.Join(dir, "whole.test")}
	for i, f := range src.files {
		name := src.fset.File(f.Package).Name()
		text, err := os.ReadFile(name) //nolint:gosec // a file of the package
		if err != nil {
			return nil, err
		}
		woven, err := w.weave(src, f, text, mutants, i)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.WriteFile(name, text, 0o600)) }() //nolint:gosec // as above
		if err := os.WriteFile(name, woven, 0o600); err != nil {
			return nil, err
		}
	}
	today := filepath.Join(pkg, "mutant_of_today.go")
	defer func() { err = errors.Join(err, os.Remove(today)) }()
	if err := os.WriteFile(today, fmt.Appendf(nil, "package %s\n\nimport (\n\t\"os\"\n\t\"strconv\"\n)\n\n"+
		"var mutantOfToday, _ = strconv.Atoi(os.Getenv(%q))\n", src.files[0].Name.Name, variable), 0o600); err != nil {
		return nil, err
	}
	return w, compile(ctx, pkg, "-cover", "-o", w.path)
}

// compile makes a test binary of a package.
func compile(ctx context.Context, pkg string, flags ...string) error {
	said, err := command(ctx, "go", append(append([]string{"test", "-c"}, flags...), "./"+pkg)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, said)
	}
	return nil
}

// weave puts the mutants of a file into its text. What it renames moves the columns of the rest of that line, which
// the mutants' own columns follow.
func (w *whole) weave(src *source, f *ast.File, text []byte, mutants []*mutant, file int) ([]byte, error) {
	var out, copies bytes.Buffer
	done := 0
	for i, decl := range f.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Body == nil || fn.Name.Name == "_" || recovers(fn) {
			continue
		}
		name := fn.Name.Name
		as := func(n int) string { return fmt.Sprintf("%s_%d_%d_%d", name, file, i, n) }
		var numbers []int
		for _, m := range mutants {
			if m.in != fn || m.status == notViable {
				continue
			}
			n := len(w.numbers) + 1
			w.numbers[m], numbers = n, append(numbers, n)
			one := *fn
			one.Doc, one.Name = nil, ast.NewIdent(as(n))
			if err := m.mutated(func() error { return printer.Fprint(&copies, src.fset, &one) }); err != nil {
				return nil, err
			}
			copies.WriteString("\n\n")
		}
		if len(numbers) == 0 {
			continue
		}
		at, line := src.fset.Position(fn.Name.Pos()), src.fset.Position(fn.Name.Pos()).Line
		out.Write(text[done:at.Offset])
		out.WriteString(as(0))
		done = at.Offset + len(name)
		for _, m := range mutants {
			if m.in == fn && m.line == line {
				m.shift = len(as(0)) - len(name)
			}
		}
		chooser(&copies, fn, numbers, as)
	}
	out.Write(text[done:])
	out.WriteString("\n")
	out.Write(copies.Bytes())
	return out.Bytes(), nil
}

// chooser writes the function that has the name of another one and calls the mutant of today, or it.
func chooser(to *bytes.Buffer, fn *ast.FuncDecl, numbers []int, as func(int) string) {
	call := as
	to.WriteString("func ")
	if fn.Recv != nil {
		fmt.Fprintf(to, "(mutantR %s) ", types.ExprString(fn.Recv.List[0].Type))
		call = func(n int) string { return "mutantR." + as(n) }
	}
	to.WriteString(fn.Name.Name)
	if list := fn.Type.TypeParams; list != nil {
		var names, all []string
		for _, field := range list.List {
			for _, name := range field.Names {
				names, all = append(names, name.Name), append(all, name.Name+" "+types.ExprString(field.Type))
			}
		}
		fmt.Fprintf(to, "[%s]", strings.Join(all, ", "))
		of := call
		call = func(n int) string { return of(n) + "[" + strings.Join(names, ", ") + "]" }
	}
	var taken, given []string
	for _, field := range fn.Type.Params.List {
		for range max(1, len(field.Names)) {
			name := "mutantP" + strconv.Itoa(len(taken))
			taken = append(taken, name+" "+types.ExprString(field.Type))
			if _, variadic := field.Type.(*ast.Ellipsis); variadic {
				name += "..."
			}
			given = append(given, name)
		}
	}
	var results []string
	if fn.Type.Results != nil {
		for _, field := range fn.Type.Results.List {
			for range max(1, len(field.Names)) {
				results = append(results, types.ExprString(field.Type))
			}
		}
	}
	fmt.Fprintf(to, "(%s) (%s) {\n\tswitch mutantOfToday {\n", strings.Join(taken, ", "), strings.Join(results, ", "))
	returned := func(n int) {
		line := call(n) + "(" + strings.Join(given, ", ") + ")"
		if len(results) > 0 {
			fmt.Fprintf(to, "\t\treturn %s\n", line)
		} else {
			fmt.Fprintf(to, "\t\t%s\n", line)
		}
	}
	for _, n := range numbers {
		fmt.Fprintf(to, "\tcase %d:\n", n)
		returned(n)
	}
	to.WriteString("\tdefault:\n")
	returned(0)
	to.WriteString("\t}\n}\n\n")
}

// recovers tells a function that calls recover, which must be deferred itself.
func recovers(fn *ast.FuncDecl) (found bool) {
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			name, ok := call.Fun.(*ast.Ident)
			found = found || ok && name.Name == "recover"
		}
		return !found
	})
	return found
}

// alone compiles one mutant by itself, which is how one is tried that stands in no function. It returns the path of
// the binary, or "" where the code, or its tests with it, does not compile.
func alone(ctx context.Context, pkg string, src *source, m *mutant, dir string) (string, error) {
	var text bytes.Buffer
	if err := m.mutated(func() error { return printer.Fprint(&text, src.fset, m.syntax) }); err != nil {
		return "", err
	}
	root, err := os.Getwd()
	if err != nil {
		return "", err
	}
	changed, overlay, binary := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "alone.test")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, m.file): changed}})
	if err != nil {
		return "", err
	}
	if err := errors.Join(os.WriteFile(changed, text.Bytes(), 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil {
		return "", err
	}
	err = compile(ctx, pkg, "-overlay", overlay, "-o", binary)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return "", nil
	}
	return binary, err
}
