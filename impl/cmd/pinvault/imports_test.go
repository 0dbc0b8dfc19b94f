package main

import (
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rule says what a package may import of this module and must never import of others. A package is
// under the longest prefix that fits.
type rule struct {
	prefix string
	may    []string // packages of ours, or prefixes that end in /
	never  []string // packages of others, prefixes
}

var rules = []rule{
	{"generated/", []string{"generated/common"}, nil},
	{"openapi", nil, []string{"gin", "gorm"}},
	{"models", nil, []string{"gin"}},
	{"models/", nil, []string{"gin"}},
	{"impl/pin", []string{"impl/pinblock"}, []string{"gin", "gorm", "kin"}},
	{"impl/pinblock", nil, []string{"gin", "gorm", "kin"}},
	{"impl/keyring", []string{"impl/pin", "impl/pinblock"}, []string{"gin", "gorm"}},
	{"impl/checkpoint", []string{"impl/pin", "impl/keyring"}, []string{"gin", "gorm", "kin"}},
	{"impl/store", []string{"impl/pin", "models", "models/"}, []string{"gin"}},
	{"impl/store/storetest", []string{"impl/pin", "impl/store", "models", "models/"}, []string{"gin"}},
	{"impl/contract", nil, []string{"gorm"}},
	{"impl/contract/contracttest", nil, []string{"gin", "gorm"}},
	{"impl/idempotency", []string{"impl/pin"}, []string{"gin", "gorm"}},
	{"impl/pinsession", []string{"impl/pin"}, []string{"gin", "gorm"}},
	{"impl/settings", []string{"impl/pin"}, []string{"gin", "gorm", "kin"}},
	{"impl/oauth", []string{"impl/pin"}, []string{"gorm"}},
	{"impl/config", nil, []string{"gin", "gorm"}},
	{"impl/sandbox", []string{"impl/pin", "impl/keyring"}, []string{"gin", "gorm"}},
	{"impl/server", []string{"impl/contract", "impl/oauth", "impl/pin", "generated/common"}, []string{"gorm"}},
	{"scripts/", []string{"impl/contract", "openapi"}, []string{"gin", "gorm"}},
	{"scripts/bench/run", nil, []string{"gin", "gorm"}},
	{"scripts/bench/floor", nil, []string{"gin", "gorm"}}, // what it is a floor of must not be in it
	{"scripts/bench/load", []string{"impl/pin", "impl/pinblock", "impl/keyring", "impl/store"}, []string{"gin", "gorm"}},
	{"impl/cmd/", []string{"impl/", "models", "models/", "openapi", "generated/"}, nil},
}

// vendors are the packages of one contract each: what is not named above.
var vendorMay = []string{"impl/pin", "impl/pinblock", "impl/pinsession", "impl/idempotency", "impl/keyring", "impl/contract", "impl/settings", "generated/common"}

var libraries = map[string]string{"gin": "github.com/gin-gonic/", "gorm": "gorm.io/", "kin": "github.com/getkin/"}

func TestPackagesImportOnlyWhatTheHouseAllows(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "pinvault/...").Output()
	require.NoError(t, err)
	packages := 0
	for d := json.NewDecoder(strings.NewReader(string(out))); ; packages++ {
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
		r := ruleFor(name)
		for _, path := range p.Imports {
			if own, ours := strings.CutPrefix(path, "pinvault/"); ours {
				require.Truef(t, slices.ContainsFunc(r.may, func(m string) bool { return own == m || strings.HasSuffix(m, "/") && strings.HasPrefix(own, m) }),
					"%s imports %s", name, own)
			}
			for _, library := range r.never {
				require.Falsef(t, strings.HasPrefix(path, libraries[library]), "%s imports %s", name, path)
			}
		}
	}
	require.Greater(t, packages, 15, "go list found the packages")
}

// ruleFor is the rule with the longest prefix, or that of a vendor's package.
func ruleFor(name string) rule {
	best := rule{}
	for _, r := range rules {
		if (name == r.prefix || strings.HasSuffix(r.prefix, "/") && strings.HasPrefix(name, r.prefix)) && len(r.prefix) > len(best.prefix) {
			best = r
		}
	}
	if best.prefix == "" {
		best = rule{name, append([]string{"generated/" + strings.TrimPrefix(name, "impl/")}, vendorMay...), []string{"gorm"}}
	}
	return best
}
