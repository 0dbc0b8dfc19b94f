package spaces_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"pinvault.example/sdk/sandbox"
	"pinvault.example/sdk/thredd"
)

// Two tests at once see nothing of each other.
func TestSpacesAreApart(t *testing.T) {
	var begun, done sync.WaitGroup
	begun.Add(2)
	done.Add(2)
	for name, pin := range map[string]string{"one": "4826", "other": "7391"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			space := sandbox.New(t)
			client, token := space.Thredd(), space.Card("normal")["publicToken"].(string)
			begun.Done()
			begun.Wait()
			if _, err := client.SetCardPinWithResponse(context.Background(), token, nil, thredd.SetPinRequest{Pin: pin}); err != nil {
				t.Fatal(err)
			}
			one := name == "one"
			if one {
				space.Advance(48 * time.Hour)
				row := "getReadiness/not-ready"
				space.Rule(sandbox.RuleRequest{Row: &row})
			}
			done.Done()
			done.Wait()
			read, err := space.Thredd().GetCardPinWithResponse(context.Background(), token) // with a token of that time
			if err != nil || read.JSON200.Pin != pin {
				t.Fatal(read, err)
			}
			if ahead := space.Now().After(time.Now().Add(24 * time.Hour)); ahead != one {
				t.Fatal("ahead of time:", ahead)
			}
			if _, err := space.Common().GetReadinessWithResponse(context.Background()); (err != nil) != one {
				t.Fatal(err)
			}
			operation := "setCardPin"
			if sent := space.Journal(sandbox.ListJournalParams{Operation: &operation}); len(sent) != 1 {
				t.Fatal(sent)
			}
		})
	}
}

func TestSpaceGoesBackToWhatWasKept(t *testing.T) {
	t.Parallel()
	space := sandbox.New(t)
	card := space.Card("normal")
	reads := func(from *sandbox.Test, pin any) {
		t.Helper()
		read, err := from.Thredd().GetCardPinWithResponse(context.Background(), card["publicToken"].(string))
		if err != nil || read.JSON200.Pin != pin {
			t.Fatal(read, err)
		}
	}
	kept := space.Snapshot()
	if _, err := space.Thredd().SetCardPinWithResponse(context.Background(), card["publicToken"].(string), nil, thredd.SetPinRequest{Pin: "4826"}); err != nil {
		t.Fatal(err)
	}
	reads(sandbox.New(t, sandbox.From(kept)), card["pin"])
	space.Restore(kept)
	reads(space, card["pin"])
	fault, client := sandbox.RuleRequestFaultDatabase, space.Credential("thredd", "client_id")
	space.Rule(sandbox.RuleRequest{Fault: &fault, Client: &client})
	if _, err := space.Thredd().GetCardPinWithResponse(context.Background(), card["publicToken"].(string)); err == nil {
		t.Fatal("the fault did not come out")
	}
	space.Reset()
	space.ClearJournal()
	if sent := space.Journal(sandbox.ListJournalParams{}); len(sent) != 0 {
		t.Fatal(sent)
	}
}

func TestSandboxIsStartedAndSeeded(t *testing.T) {
	t.Parallel()
	seed := filepath.Join(t.TempDir(), "seed.yaml")
	if err := os.WriteFile(seed, []byte("cards: [{name: gold, pin: '4826', references: [{kind: publicToken, value: '207000001'}]}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	space := sandbox.New(t, sandbox.Program(os.Getenv("PINVAULT")), sandbox.Seed(seed))
	read, err := space.Thredd().GetCardPinWithResponse(context.Background(), "207000001")
	if err != nil || read.JSON200.Pin != "4826" {
		t.Fatal(read, err)
	}
}
