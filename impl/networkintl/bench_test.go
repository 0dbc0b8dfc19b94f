package networkintl_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/pinblock"
)

// Change PIN, two PIN blocks opened, beside Thredd's PIN set. Under RSA the server works twice with a private key of 2048 bits,
// which no other contract does.
func BenchmarkWrites(b *testing.B) {
	for _, under := range []string{"TDES", "RSA"} {
		b.Run(under, func(b *testing.B) {
			n := newNetwork(b, apptest.Database(b))
			token := n.Mint(b, "networkintl-sandbox", 24*time.Hour)
			of := n.blocks(b, under)
			n.Writes(b, func(i int) *http.Request {
				pins := []string{"7010", "4826"}
				m := n.change(b, "normal", pins[i%2], pins[(i+1)%2]).with(map[string]any{"msg_id": fmt.Sprintf("B%09d", i)})
				if under == "RSA" {
					m = m.with(map[string]any{"encryption_method": "ASYNC_ENC", "encrypted_old_pin": of(pins[i%2]), "encrypted_new_pin": of(pins[(i+1)%2])})
				}
				body, err := json.Marshal(m)
				require.NoError(b, err)
				return apptest.Request(b, changeV1, "application/json", string(body), map[string]string{"Authorization": "Bearer " + token})
			})
		})
	}
}

// blocks makes PIN blocks under the contract's certificate, where they are to be under RSA.
func (n *network) blocks(b *testing.B, under string) func(digits string) string {
	b.Helper()
	if under != "RSA" {
		return nil
	}
	der, err := base64.StdEncoding.DecodeString(n.Client.For(b).Do(http.MethodGet, certificate, n.bearer).ExpectStatus(http.StatusOK).Text("/certificate"))
	require.NoError(b, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(b, err)
	return func(digits string) string {
		clearBlock, err := pinblock.Encode(pinblock.ISO0, []byte(digits), n.fixtures.Text("/cards/normal/pan"), nil)
		require.NoError(b, err)
		//lint:ignore SA1019 the contract has this padding
		sealed, err := rsa.EncryptPKCS1v15(rand.Reader, parsed.PublicKey.(*rsa.PublicKey), clearBlock) //nolint:staticcheck // see above
		require.NoError(b, err)
		return strings.ToUpper(hex.EncodeToString(sealed))
	}
}
