package contract_test

import (
	"bufio"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/openapi"
)

func TestOperationsAreInTheDocumentsOrder(t *testing.T) {
	d := load(t)
	var ids []string
	for _, op := range d.Operations() {
		ids = append(ids, op.ID)
	}
	require.Equal(t, []string{
		"setPin", "getPin", "unblock", "addNote", "search", "issueToken", "reset", "everyType", "tree",
	}, ids)
	require.Equal(t, "cards", d.Name())
	require.Equal(t, "Cards", d.Spec().Info.Title)
}

func TestAnOperationIsFoundByMethodAndGinPath(t *testing.T) {
	d := load(t)
	op := d.Operation("POST", "/zeta/:publicToken/pin")
	require.NotNil(t, op)
	require.Equal(t, "setPin", op.ID)
	require.Equal(t, "POST", op.Method)
	require.Equal(t, "/zeta/{publicToken}/pin", op.Path)
	require.Equal(t, "/zeta/:publicToken/pin", op.GinPath)
	require.Equal(t, "setPin", op.Spec.OperationID)

	require.Nil(t, d.Operation("PUT", "/zeta/:publicToken/pin"))
	require.Nil(t, d.Operation("POST", "/zeta/103169946/pin"))
	require.Nil(t, d.Operation("BREW", "/"))
}

func TestSecurityIsTheOperationsOwnOrElseTheDocuments(t *testing.T) {
	d := load(t)
	for _, c := range []struct {
		id     string
		scopes []string
		public bool
	}{
		{"setPin", []string{"cards", "pin:write"}, false},
		{"getPin", []string{"cards"}, false},
		{"issueToken", nil, true},
	} {
		op := operation(t, d, c.id)
		require.Equal(t, c.scopes, op.Scopes, c.id)
		require.Equal(t, c.public, op.Public, c.id)
	}
}

// Each document in testdata/refused breaks one rule, in the ways that its "# want:" lines say.
func TestLoadRefusesADocumentWithAllItsFindings(t *testing.T) {
	files, err := filepath.Glob("testdata/refused/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			_, err := contract.Load(os.DirFS("testdata/refused"), name)
			require.Error(t, err)
			heading, list, _ := strings.Cut(err.Error(), "\n")
			findings := strings.Split(list, "\n")
			wants := wantLines(t, file)
			require.Contains(t, heading, "contract "+name+" is refused; findings: ")
			require.Len(t, findings, len(wants), "%v", err)
			for _, want := range wants {
				require.Contains(t, list, want)
			}
		})
	}
}

func wantLines(t *testing.T, file string) []string {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	var wants []string
	for s := bufio.NewScanner(f); s.Scan(); {
		if want, ok := strings.CutPrefix(s.Text(), "# want: "); ok {
			wants = append(wants, want)
		}
	}
	require.NotEmpty(t, wants)
	return wants
}

func TestAFindingNamesFileAndLine(t *testing.T) {
	_, err := contract.Load(os.DirFS("testdata/refused"), "text")
	require.Regexp(t, `(?m)^  text\.yaml:\d+: doThing, body application/json /free: `, err.Error())

	_, err = contract.Load(fstest.MapFS{"main.yaml": {Data: []byte(
		`{"openapi":"3.0.3","info":{"title":"T","version":"1"},"paths":{"/a":{"get":{"operationId":"a","responses":{"200":{"description":"done"}}}}}}`,
	)}}, "main")
	require.ErrorContains(t, err, "\n  a: has no security", "of a document in JSON nobody knows the line")
}

func TestWhatOperationsShareIsReportedOnce(t *testing.T) {
	_, err := contract.Load(os.DirFS("testdata/refused"), "shared-schema")
	require.ErrorContains(t, err, "findings: 3\n")
}

func TestLoadReadsNothingOutsideItsFiles(t *testing.T) {
	document := func(ref string) fs.FS {
		return fstest.MapFS{
			"main.yaml": {Data: []byte("openapi: 3.0.3\ninfo: {title: T, version: '1'}\npaths: {}\ncomponents: {schemas: {A: {$ref: '" + ref + "'}}}\n")},
			"good.yaml": {Data: []byte("openapi: 3.0.3\ninfo: {title: T, version: '1'}\npaths: {}\ncomponents: {schemas: {A: {type: string}}}\n")},
		}
	}
	const elsewhere = "only files beside the document may be referred to"
	for ref, why := range map[string]string{
		"../secret.yaml#/components/schemas/A":    fs.ErrNotExist.Error(),
		"/etc/passwd":                             fs.ErrNotExist.Error(),
		"file:///etc/passwd":                      elsewhere,
		"http://169.254.169.254/latest/meta-data": elsewhere,
		"//host/share.yaml#/A":                    elsewhere,
		"absent.yaml#/components/schemas/A":       fs.ErrNotExist.Error(),
	} {
		t.Run(ref, func(t *testing.T) {
			_, err := contract.Load(document(ref), "main")
			require.ErrorContains(t, err, why)
		})
	}
	_, err := contract.Load(document("good.yaml#/components/schemas/A"), "main")
	require.NoError(t, err)
	_, err = contract.Load(document("good.yaml#/components/schemas/A"), "absent")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestADocumentInJSONHasItsOperationsInThePathsOrder(t *testing.T) {
	operation := func(id string) string {
		return `{"get":{"operationId":"` + id + `","responses":{"200":{"description":"done"}}}}`
	}
	d, err := contract.Load(fstest.MapFS{"main.yaml": {Data: []byte(
		`{"openapi":"3.0.3","info":{"title":"T","version":"1"},"security":[],"x-public":"a test","paths":{"/b":` + operation("b") + `,"/a":` + operation("a") + `}}`,
	)}}, "main")
	require.NoError(t, err)
	require.Equal(t, "a", d.Operations()[0].ID)
	require.Equal(t, "b", d.Operations()[1].ID)
}

func TestAMessageSchemaIsTiedByNameOrReference(t *testing.T) {
	for tie, want := range map[string]any{
		"name":      "Reset",
		"pointer":   "#/components/schemas/Reset",
		"reference": map[string]any{"$ref": "#/components/schemas/Reset"},
	} {
		require.Equal(t, "Reset", contract.MessageSchema(map[string]any{"x-decrypted-schema": want}), tie)
	}
	require.Empty(t, contract.MessageSchema(nil))
}

// Security is not lost by a slip: wherever somebody writes security: [], the document is refused.
func TestNoOperationIsMadePublicByASlip(t *testing.T) {
	t.Parallel()
	names, err := contract.Names(openapi.Documents)
	require.NoError(t, err)
	demanded := regexp.MustCompile(`(?m)^(      )security: \[\{.*$`)
	slips := 0
	for _, name := range names {
		document, err := contract.Load(openapi.Documents, name)
		require.NoError(t, err)
		text, err := fs.ReadFile(openapi.Documents, name+".yaml")
		require.NoError(t, err)
		files := fstest.MapFS{name + ".yaml": {Data: demanded.ReplaceAll(text, []byte("${1}security: []"))}}
		if name != "common" {
			common, err := fs.ReadFile(openapi.Documents, "common.yaml")
			require.NoError(t, err)
			files["common.yaml"] = &fstest.MapFile{Data: common}
		}
		_, err = contract.Load(files, name)
		for _, op := range document.Operations() {
			if !op.Public {
				slips++
				require.ErrorContains(t, err, op.ID+": is open to everybody: say in x-public why, or demand authorization", name)
			}
		}
	}
	require.Greater(t, slips, 30)
}
