package oauth_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/oauth"
)

// A token seen before, the way of nearly all requests: below a microsecond.
func BenchmarkVerifyAgain(b *testing.B) {
	s := live(b)
	token := s.mint(b, partner)
	_, err := s.Verify(b.Context(), token)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

// All processors on one partner's one token.
func BenchmarkVerifyAgainParallel(b *testing.B) {
	s := live(b)
	token := s.mint(b, partner)
	_, err := s.Verify(b.Context(), token)
	require.NoError(b, err)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := s.Verify(b.Context(), token); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// A token not seen before: the signature is checked.
func BenchmarkVerifyFirst(b *testing.B) {
	s := live(b)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		token := s.mint(b, partner)
		b.StartTimer()
		if _, err := s.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMint(b *testing.B) {
	s := live(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Mint(partner, time.Hour); err != nil {
			b.Fatal(err)
		}
	}
}

// live is a setting with the system's clock, whose reading is part of the price.
func live(b *testing.B) setting {
	b.Helper()
	s := newSetting(b)
	var err error
	s.Server, err = oauth.New(s.desk, having(s.keys...), issuer, nil, nil)
	require.NoError(b, err)
	return s
}
