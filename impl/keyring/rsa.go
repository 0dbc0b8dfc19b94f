package keyring

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"

	"pinvault/impl/pinblock"
)

// Bounds of partners' RSA keys, in bits: below, a modulus is too weak (NIST SP 800-131A); above, a block is longer
// than what contracts carry.
const (
	MinRSA = 2048
	MaxRSA = 4096
)

// certificateYears is how long a certificate is good for, from the making of its key.
const certificateYears = 10

var errRange = errors.New("keyring: a block that is not below the modulus")

var errRSA = errors.New("keyring: not an RSA key of 2048 to 4096 bits in PKCS#8")

// rsaCipher opens PIN blocks that were encrypted to its public key. It prints as ****.
type rsaCipher struct {
	hidden
	key RSAKey
}

func (c *rsaCipher) public() *rsa.PublicKey { return c.key.Public().(*rsa.PublicKey) }

// parseRSA reads a private key, PKCS#8 DER (RFC 5958).
func parseRSA(der []byte) (*rsa.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok || key.N.BitLen() < MinRSA || key.N.BitLen() > MaxRSA || key.N.BitLen()%8 != 0 {
		return nil, errRSA
	}
	return key, nil
}

// Decrypt opens PKCS#1 v1.5 (RFC 8017, 7.2.2) over a clear 8-byte block of format 0.
//
// Whoever can tell bad padding from a bad PIN block can decrypt anything with enough questions (Bleichenbacher). So
// wrong padding is no error here: random bytes take the place of the block, in constant time, and it is they that
// are no PIN block.
func (c *rsaCipher) Decrypt(f pinblock.Format, block []byte, pan string) ([]byte, error) {
	if f != pinblock.ISO0 {
		return nil, pinblock.ErrKeyFormat
	}
	if len(block) != c.public().Size() {
		return nil, pinblock.ErrBlockSize
	}
	inside, err := c.key.Decrypt(rand.Reader, block, &rsa.PKCS1v15DecryptOptions{SessionKeyLen: clearBlock})
	if err != nil {
		return nil, failed(err, errRange)
	}
	defer clear(inside)
	return pinblock.Decode(f, inside, pan)
}

// clearBlock is the length of a clear PIN block of format 0, in bytes.
const clearBlock = 8

// rsaCheckValue is the first eight bytes of the SHA-256 of the public key, upper-case hex: partners can work it out from
// the certificate (SubjectPublicKeyInfo, DER).
func rsaCheckValue(key *rsa.PublicKey) string {
	sum := sha256.Sum256(marshalRSA(key))
	return fmt.Sprintf("%X", sum[:8])
}

func (*rsaCipher) lend(func(pinblock.Key) error) error { return pinblock.ErrKeyFormat }

func (c *rsaCipher) takes() (pinblock.Format, int) { return pinblock.ISO0, c.public().Size() }

func marshalRSA(key *rsa.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err) // of a key that was parsed
	}
	return der
}

// certificate is X.509 in DER, signed by the key itself. Everything in it follows from the key, its id and the time of
// its making, the signature too (PKCS#1 v1.5 draws nothing): it is the same in every process.
//
// The one signature is all that the key is used for besides opening PIN blocks. It is over bytes of our own making.
func (c *rsaCipher) certificate(id string, made time.Time) ([]byte, error) {
	serial := sha256.Sum256(marshalRSA(c.public()))
	serial[0] = serial[0]&0x7F | 0x40 // positive and of a fixed length (RFC 5280, 4.1.2.2)
	made = made.UTC().Truncate(time.Second)
	template := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(serial[:20]),
		Subject:               pkix.Name{CommonName: id},
		NotBefore:             made,
		NotAfter:              made.AddDate(certificateYears, 0, 0),
		KeyUsage:              x509.KeyUsageDataEncipherment,
		SignatureAlgorithm:    x509.SHA256WithRSA,
		BasicConstraintsValid: true,
	}
	return x509.CreateCertificate(rand.Reader, template, template, c.public(), c.key)
}
