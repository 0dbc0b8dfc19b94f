package issuer_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// everySetting names each setting of a program; everyProgram is the program that has them.
const everySetting = `"name":"Gift cards","minPinLength":5,"maxPinLength":7,"tryLimit":4,"pinPolicy":"history",
	"retrievalAllowed":true,"dualUnblock":true,"dualReveal":true,"approvalSeconds":60,"timeZone":"Asia/Dubai","creditplus":{"aliasCapability":true},"accosa":{"cardProfileMandatory":true},"networkintl":{"cPlus":true},
	"hosted":{"frameAncestors":["https://bank.example"],"parentOrigin":"https://bank.example","branding":{"ink":"#102030"},"languages":["ar","en"]}`

func everyProgram() pin.Program {
	return pin.Program{Name: "Gift cards", MinPINLength: 5, MaxPINLength: 7, TryLimit: 4, Policy: pin.PolicyHistory,
		RetrievalAllowed: true, DualUnblock: true, DualReveal: true, ApprovalSeconds: 60, TimeZone: "Asia/Dubai", Settings: map[string]json.RawMessage{
			"creditplus": json.RawMessage(`{"aliasCapability":true}`), "accosa": json.RawMessage(`{"cardProfileMandatory":true}`),
			"networkintl": json.RawMessage(`{"cPlus":true}`), "hosted": json.RawMessage(`{"branding":{"ink":"#102030"},` +
				`"frameAncestors":["https://bank.example"],"languages":["ar","en"],"parentOrigin":"https://bank.example"}`)}}
}

// storedProgram is a program of the vault with the fewest settings.
func storedProgram() pin.Program {
	p := pin.NewProgram("Sandbox")
	p.ID, p.Version, p.CreatedAt, p.UpdatedAt = programID, 3, noon(), noon()
	return p
}

const storedProgramJSON = `{"programId":"` + programID + `","name":"Sandbox","minPinLength":4,"maxPinLength":6,"tryLimit":3,
	"pinPolicy":"weak-list","retrievalAllowed":false,"dualUnblock":false,"dualReveal":false,"approvalSeconds":900,"timeZone":null,"creditplus":{"aliasCapability":false},"accosa":{"cardProfileMandatory":false},
	"networkintl":{"cPlus":false},"hosted":{"frameAncestors":[],"parentOrigin":"","branding":{},"languages":["en"]},"version":3,
	"createdAt":"2026-03-01T12:00:00Z","updatedAt":"2026-03-01T12:00:00Z"}`

func TestCreateProgram(t *testing.T) {
	s := newServer(t)
	for _, tc := range []struct {
		name, body string
		want       pin.Program
	}{
		{"what is left open is as for a newcomer", `{"name":"Gift cards"}`, pin.NewProgram("Gift cards")},
		{"every setting reaches the vault", "{" + everySetting + "}", everyProgram()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.For(t).Do(http.MethodPost, "/issuer/v1/programs", body(tc.body)).ExpectStatus(http.StatusCreated)
			require.Equal(t, tc.want, s.vault.program)
		})
	}
	reply := s.Do(http.MethodPost, "/issuer/v1/programs", body("{"+everySetting+"}")).ExpectStatus(http.StatusCreated)
	require.JSONEq(t, `{"programId":"`+programID+`",`+everySetting+`,"version":1,
		"createdAt":"2026-03-01T12:00:00Z","updatedAt":"2026-03-01T12:00:00Z"}`, string(reply.Body))
}

func TestUpdateProgram(t *testing.T) {
	named := everyProgram()
	named.ID, named.Version, named.CreatedAt, named.UpdatedAt = programID, 3, noon(), noon()
	fiveTries := storedProgram()
	fiveTries.TryLimit = 5
	cleared := storedProgram()
	cleared.TimeZone, cleared.ApprovalSeconds = "UTC", 900
	cleared.Settings = map[string]json.RawMessage{
		"creditplus": json.RawMessage(`{"aliasCapability":false}`), "accosa": json.RawMessage(`{"cardProfileMandatory":true}`),
		"networkintl": json.RawMessage(`{"cPlus":true}`), "hosted": json.RawMessage(`{"branding":{},"frameAncestors":[],"languages":["ar","en"],"parentOrigin":""}`)}

	s := newServer(t)
	for _, tc := range []struct {
		name, body string
		before     pin.Program
		want       pin.Program
	}{
		{"nothing named, nothing changed", `{}`, storedProgram(), storedProgram()},
		{"one setting", `{"tryLimit":5}`, storedProgram(), fiveTries},
		{"all settings", "{" + everySetting + "}", storedProgram(), named},
		{"empty values clear, and what is not named of a contract's settings stays", `{"name":"Sandbox","minPinLength":4,"maxPinLength":6,"tryLimit":3,
			"pinPolicy":"weak-list","retrievalAllowed":false,"dualUnblock":false,"dualReveal":false,"approvalSeconds":900,"timeZone":"UTC","creditplus":{"aliasCapability":false},
			"hosted":{"frameAncestors":[],"parentOrigin":"","branding":{}}}`, named, cleared},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.vault.programs = []pin.Program{tc.before}
			s.For(t).Do(http.MethodPatch, "/issuer/v1/programs/p-1", body(tc.body)).ExpectStatus(http.StatusOK)
			require.Equal(t, tc.want, s.vault.program)
			require.Equal(t, "p-1", s.vault.id)
		})
	}
}

func TestUpdateProgramRefusesPINsThatAClientCannotSet(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		shortest   int
		contract   string
		status     int
	}{
		{"longer than Thredd's", `{"minPinLength":5}`, 4, "thredd", 422},
		{"as long as Accosa's", `{"minPinLength":6}`, 4, "accosa", 200},
		{"longer than Accosa's", `{"minPinLength":7,"maxPinLength":8}`, 4, "accosa", 422},
		{"longer, without a client whom it concerns", `{"minPinLength":5}`, 4, "issuer", 200},
		{"another setting of a program that was like that", `{"tryLimit":5}`, 5, "thredd", 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newServer(t)
			p := storedProgram()
			p.MinPINLength = tc.shortest
			s.vault.programs, s.vault.clients = []pin.Program{p}, []pin.Client{{ID: "c-0", Contract: "hashdt"}, {ID: "c-1", Contract: tc.contract}}
			reply := s.For(t).Do(http.MethodPatch, "/issuer/v1/programs/p-1", body(tc.body)).ExpectStatus(tc.status)
			if tc.status != http.StatusOK {
				require.Equal(t, "/minPinLength", reply.Text("/errors/0/field"))
				require.Zero(t, s.vault.program)
			}
		})
	}
}

// A program may have many clients: they are read where it matters who they are.
func TestUpdateProgramLooksAtClientsWhenPINsBecomeLonger(t *testing.T) {
	for change, looks := range map[string]bool{`{"tryLimit":5}`: false, `{"minPinLength":4}`: false, `{"minPinLength":5}`: true} {
		s := newServer(t)
		s.vault.programs = []pin.Program{storedProgram()}
		s.Do(http.MethodPatch, "/issuer/v1/programs/p-1", body(change)).ExpectStatus(http.StatusOK)
		require.Equal(t, looks, s.vault.page != pin.Page{}, change)
	}
}

func TestGetProgram(t *testing.T) {
	s := newServer(t)
	s.vault.programs = []pin.Program{storedProgram()}
	reply := s.Do(http.MethodGet, "/issuer/v1/programs/p-1").ExpectStatus(http.StatusOK)
	require.JSONEq(t, storedProgramJSON, string(reply.Body))
	require.Equal(t, "p-1", s.vault.id)
}

func TestListPrograms(t *testing.T) {
	s := newServer(t)
	s.vault.programs = []pin.Program{storedProgram()}
	reply := s.Do(http.MethodGet, "/issuer/v1/programs").ExpectStatus(http.StatusOK)
	require.JSONEq(t, `{"items":[`+storedProgramJSON+`]}`, string(reply.Body))
}

// TestPages is about all lists: they are cut in one place.
func TestPages(t *testing.T) {
	for _, tc := range []struct {
		name, query string
		rows        int
		want        pin.Page
		items       int
		next        string
	}{
		{"none", "", 0, pin.Page{Limit: 51}, 0, ""},
		{"fewer than a page", "?limit=3", 2, pin.Page{Limit: 4}, 2, ""},
		{"a full page and nothing after it", "?limit=3", 3, pin.Page{Limit: 4}, 3, ""},
		{"a full page and one row after it", "?limit=3", 4, pin.Page{Limit: 4}, 3, "row-3"},
		{"more than the page unless a limit is given", "", 60, pin.Page{Limit: 51}, 50, "row-50"},
		{"the smallest page", "?limit=1", 2, pin.Page{Limit: 2}, 1, "row-1"},
		{"the largest page, after a cursor", "?limit=200&cursor=" + anEvent, 201, pin.Page{After: anEvent, Limit: 201}, 200, "row-200"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newServer(t)
			s.vault.records = []pin.Record{{Card: storedCard()}}
			for i := range tc.rows {
				id := fmt.Sprintf("row-%d", i+1)
				p := storedProgram()
				p.ID = id
				s.vault.programs = append(s.vault.programs, p)
				s.vault.clients = append(s.vault.clients, pin.Client{ID: id})
				s.vault.events = append(s.vault.events, pin.AuditEvent{ID: id, Seq: int64(i + 1)})
			}
			for _, list := range []struct {
				path string
				page func() pin.Page
			}{
				{"/issuer/v1/programs", func() pin.Page { return s.vault.page }},
				{"/issuer/v1/clients", func() pin.Page { return s.vault.page }},
				{"/issuer/v1/audit-events", func() pin.Page { return s.vault.audit.Page }},
				{"/issuer/v1/cards/" + cardID + "/audit-events", func() pin.Page { return s.vault.audit.Page }},
			} {
				s.vault.page, s.vault.audit = pin.Page{}, pin.AuditQuery{}
				reply := s.Do(http.MethodGet, list.path+tc.query).ExpectStatus(http.StatusOK)
				require.Equal(t, tc.want, list.page(), list.path)
				require.Len(t, reply.JSON("/items"), tc.items, list.path)
				if tc.next == "" {
					require.NotContains(t, reply.JSON(""), "next_cursor", list.path)
				} else {
					require.Equal(t, tc.next, reply.Text("/next_cursor"), list.path)
				}
			}
		})
	}
}
