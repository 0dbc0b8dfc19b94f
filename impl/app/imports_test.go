package app_test

import (
	"encoding/json"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rule says what a package may import of this module and must never import of others.
type rule struct {
	may   string // packages of ours, blanks between; "all" but the command line
	never string // libraries
}

// rules has a line for every package but those of contracts, which are named below.
var rules = map[string]rule{
	"pinvault":                   {"", "gin gorm kin"},
	"openapi":                    {"", "gin gorm kin"},
	"generated/common":           {"", "gorm"},
	"generated/served":           {"", "gin gorm kin"},
	"models":                     {"", "gin gorm kin"},
	"impl/cmac":                  {"", "gin gorm kin"},
	"impl/jose":                  {"", "gin gorm kin"},
	"impl/keymaterial":           {"impl/cmac", "gin gorm kin"},
	"impl/keyblock":              {"impl/cmac impl/keymaterial", "gin gorm kin"},
	"impl/pinblock":              {"impl/keymaterial", "gin gorm kin"},
	"impl/pinverification":       {"impl/keymaterial", "gin gorm kin"},
	"impl/pin":                   {"impl/pinblock impl/pinverification", "gin gorm kin"},
	"impl/custody":               {"impl/pin", "gin gorm kin"},
	"impl/pinservices":           {"impl/pin impl/pinblock impl/pinverification impl/keyring", "gin gorm kin"},
	"impl/keyring":               {"impl/jose impl/pin impl/pinblock impl/keyblock impl/keymaterial impl/pinverification", "gin gorm kin"},
	"impl/keyring/openbao":       {"impl/keyring impl/pin", "gin gorm kin"},
	"impl/keyring/pkcs11":        {"impl/keyring impl/pin", "gin gorm kin"},
	"impl/keyring/backend":       {"impl/keyring impl/keyring/openbao impl/keyring/pkcs11 impl/pin", "gin gorm kin"},
	"impl/keyring/keyringtest":   {"impl/keyring impl/keyring/backend impl/pin", "gin gorm kin"},
	"impl/keylife":               {"impl/pin impl/keyring", "gin gorm kin"},
	"impl/checkpoint":            {"impl/pin impl/keyring", "gin gorm kin"},
	"impl/auditlog":              {"impl/checkpoint impl/keyring impl/pin", "gin gorm kin"},
	"impl/siem":                  {"impl/pin", "gin gorm kin"},
	"impl/store":                 {"impl/pin models", "gin kin"},
	"impl/store/storetest":       {"impl/pin", "gin gorm kin"},
	"impl/store/memory":          {"impl/pin", "gin gorm kin"},
	"impl/simulation":            {"impl/idempotency impl/pin impl/store/memory", "gin gorm kin"},
	"impl/contract":              {"impl/timestamps", "gorm"},
	"impl/rows":                  {"", "gin gorm"},
	"impl/outbox":                {"generated/events impl/pin", "gin gorm kin"},
	"generated/events":           {"", "gin gorm kin"},
	"impl/ondemand":              {"impl/contract impl/rows", "gin gorm"},
	"impl/journal":               {"impl/contract impl/pin impl/rows generated/sandbox", "gin gorm"},
	"impl/contract/contracttest": {"impl/rows", "gin gorm"},
	"impl/bundle":                {"", "gin gorm kin"},
	"impl/docs":                  {"impl/bundle impl/contract impl/rows", "gin gorm"},
	"impl/idempotency":           {"impl/pin", "gin gorm kin"},
	"impl/limits":                {"impl/pin", "gin gorm kin"},
	"impl/pinsession":            {"impl/jose impl/pin", "gin gorm kin"},
	"impl/settings":              {"impl/pin", "gin gorm kin"},
	"impl/timestamps":            {"", "gin gorm kin"},
	"impl/oauth":                 {"impl/pin", "gorm kin"},
	"impl/config":                {"", "gin gorm kin"},
	"impl/sandbox":               {"impl/pin impl/keyring", "gin gorm kin"},
	"impl/capability":            {"impl/contract impl/pin", "gin gorm kin"},
	"impl/seed":                  {"impl/contract impl/issuer impl/pin impl/sandbox", "gin gorm kin"},
	"impl/space":                 {"impl/contract impl/journal impl/limits impl/metrics impl/ondemand impl/outbox impl/pin impl/problem impl/sandbox impl/scratch impl/store", "gin gorm kin"},
	"impl/scratch":               {"", "gin gorm kin"},
	"impl/portfolio":             {"impl/contract impl/issuer impl/pin", "gin gorm kin"},
	"impl/sandboxapi":            {"generated/sandbox impl/contract impl/docs impl/journal impl/ondemand impl/pin impl/problem impl/sandbox impl/space impl/store", "gorm kin"},
	"generated/sandbox":          {"generated/common", "gorm"},
	"impl/problem":               {"impl/contract impl/pin generated/common", "gorm"},
	"impl/server":                {"impl/contract impl/docs impl/metrics impl/oauth impl/pin impl/problem generated/common", "gorm"},
	"impl/tracing":               {"impl/pin", "gin gorm kin"},
	"impl/metrics":               {"impl/pin", "gin gorm kin"},
	"impl/app":                   {"all", "gin gorm kin"},
	"impl/doctor":                {"impl/app impl/config impl/keyring impl/keyring/backend impl/metrics impl/pin impl/store", "gin gorm kin"},
	"impl/app/apptest":           {"all", "gin gorm"},
	"impl/cmd/pinvault":          {"impl/app impl/auditlog impl/checkpoint impl/config impl/contract impl/custody impl/doctor impl/issuer impl/keylife impl/keymaterial impl/keyring impl/metrics impl/pin impl/pinblock impl/pinverification impl/portfolio impl/scratch impl/siem impl/store", "gin gorm kin"},

	"scripts/bench/footprint":  {"", "gin gorm kin"},
	"scripts/bench/floor":      {"", "gin gorm kin"}, // what it is a floor of must not be in it
	"scripts/bench/cards":      {"", "gin gorm kin"},
	"scripts/bench/load":       {"impl/app/apptest impl/pin impl/pinblock impl/pinsession impl/keyring impl/store scripts/bench/cards", "gin gorm kin"},
	"scripts/bench/run":        {"impl/keyring scripts/bench/cards", "gin gorm kin"},
	"scripts/cluster/chaos":    {"impl/app impl/app/apptest impl/contract/contracttest impl/keyring impl/pin impl/pinblock", "gin gorm"},
	"scripts/cover":            {"", "gin gorm kin"},
	"scripts/judges/fresh":     {"scripts/proxy", "gin gorm kin"},
	"scripts/mutate":           {"", "gin gorm kin"},
	"scripts/openapi/changes":  {"", "gin gorm"},
	"scripts/openapi/examples": {"impl/contract", "gin gorm"},
	"scripts/openapi/messages": {"impl/bundle impl/contract impl/docs", "gin gorm"},
	"scripts/openapi/served":   {"impl/contract", "gin gorm kin"},
	"scripts/openapi/tokens":   {"impl/keyring impl/sandbox", "gin gorm kin"},
	"scripts/proxy":            {"", "gin gorm kin"},
	"scripts/psec":             {"impl/keyblock impl/keymaterial impl/pinblock impl/pinverification", "gin gorm kin"},
	"scripts/sdk":              {"", "gin gorm kin"},
	"scripts/sdk/facts":        {"impl/contract impl/rows", "gin gorm"},
	"scripts/sdk/gateway":      {"scripts/proxy", "gin gorm kin"},
}

// contracts are those with a package: impl/NAME may import the same, and generated/NAME.
var contracts = []string{"accosa", "creditplus", "hashdt", "hosted", "issuer", "networkintl", "thredd"}

const contractMay = "impl/pin impl/pinblock impl/pinsession impl/idempotency impl/keylife impl/keyring impl/contract impl/problem impl/settings impl/timestamps impl/capability impl/custody impl/pinservices impl/pinverification "

var libraries = map[string]string{"gin": "github.com/gin-gonic/", "gorm": "gorm.io/", "kin": "github.com/getkin/"}

func TestPackagesImportOnlyWhatTheHouseAllows(t *testing.T) {
	t.Parallel()
	known := maps.Clone(rules)
	for _, name := range contracts {
		known["impl/"+name] = rule{contractMay + "generated/" + name, "gorm"}
		known["generated/"+name] = rule{"generated/common", "gorm"}
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "pinvault/...").Output()
	require.NoError(t, err)
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		err := d.Decode(&p)
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		name := strings.TrimPrefix(p.ImportPath, "pinvault/")
		r, ok := known[name]
		require.Truef(t, ok, "%s has no line among the rules: say what it may import", name)
		delete(known, name)
		for _, path := range p.Imports {
			require.Truef(t, r.allows(path), "%s imports %s", name, path)
		}
	}
	require.Empty(t, known, "lines of packages that there are not")
}

// allows tells whether a package under the rule may import a path.
func (r rule) allows(path string) bool {
	if own, ours := strings.CutPrefix(path, "pinvault/"); ours {
		return r.may == "all" && !strings.HasPrefix(own, "impl/cmd/") || slices.Contains(strings.Fields(r.may), own)
	}
	return !slices.ContainsFunc(strings.Fields(r.never), func(library string) bool { return strings.HasPrefix(path, libraries[library]) })
}
