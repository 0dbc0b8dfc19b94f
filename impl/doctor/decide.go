package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"slices"
	"time"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/store"
)

// What is wrong is decided here, of what was found alone.

// How old keys may become, unless their owner has a rule of their own.
const (
	keyOld        = 366 * 24 * time.Hour
	retiringLong  = 30 * 24 * time.Hour
	certificateAt = 14 * 24 * time.Hour // before it expires
)

// certificateOf is the certificate that a server would show.
func certificateOf(chain, key string) (*x509.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(chain, key)
	if err != nil {
		return nil, err
	}
	return pair.Leaf, nil
}

func certificate(leaf *x509.Certificate, publicURL string, now time.Time) Finding {
	const fresh = "put a fresh certificate into the file; a running server takes it by itself"
	host := ""
	if u, err := url.Parse(publicURL); err == nil {
		host = u.Hostname()
	}
	until := leaf.NotAfter.UTC().Format(time.RFC3339)
	switch {
	case now.After(leaf.NotAfter):
		return Finding{Level: Fail, Says: "the certificate has expired at " + until, Do: fresh}
	case now.Before(leaf.NotBefore):
		return Finding{Level: Fail, Says: "the certificate is not valid before " + leaf.NotBefore.UTC().Format(time.RFC3339), Do: "look at this machine's clock, or put another certificate into the file"}
	case leaf.VerifyHostname(host) != nil:
		return Finding{Level: Fail, Says: "the certificate is not for " + host + ", where clients reach the server", Do: "set --public-url to a name that the certificate has, or get one for that name"}
	case leaf.NotAfter.Sub(now) < certificateAt:
		return Finding{Level: Warn, Says: "the certificate expires at " + until, Do: fresh}
	}
	return Finding{Level: OK, Says: "the certificate is for " + host + ", until " + until}
}

// replaceable tells whether others than the owner and the group may put another file into a folder in the place of one that is
// not theirs.
func replaceable(folder fs.FileMode) bool {
	return folder.Perm()&0o002 != 0 && folder&fs.ModeSticky == 0
}

// standings looks at keys: each use needs an active one.
func standings(all []keyring.Standing, now time.Time) (found []Finding) {
	active := map[pin.Use]keyring.Standing{}
	uses := map[pin.Use]bool{}
	for _, k := range all {
		uses[k.Use] = true
		switch since := now.Sub(k.ActiveFrom); {
		case k.State == keyring.Active && since > keyOld:
			found = append(found, Finding{Level: Warn, Says: fmt.Sprintf("%s is active for %s", k.Name(), days(since)),
				Do: "pinvault keys rotate --use " + string(k.Use) + ", then pinvault rewrap"})
		case k.State == keyring.Retiring && now.Sub(k.RetiringSince) > retiringLong:
			found = append(found, Finding{Level: Warn, Says: fmt.Sprintf("%s was replaced %s ago, and opens still", k.Name(), days(now.Sub(k.RetiringSince))),
				Do: "pinvault rewrap, then pinvault keys retire " + k.Name()})
		}
		if k.State == keyring.Active {
			active[k.Use] = k
		}
	}
	for _, use := range slices.Sorted(maps.Keys(uses)) {
		if k, ok := active[use]; !ok || k.ActiveFrom.After(now) {
			found = append(found, Finding{Level: Fail, Says: "no key for " + string(use) + " is active by this machine's clock",
				Do: "look at the clock; then pinvault keys list, and pinvault keys activate"})
		}
	}
	if len(found) == 0 {
		found = []Finding{{Level: OK, Says: fmt.Sprintf("each of %d uses has an active key", len(uses))}}
	}
	return found
}

// slow is what sealing and opening a PIN should not take: an operation waits for a few of these.
const slow = 100 * time.Millisecond

func pace(took time.Duration) Finding {
	if took > slow {
		return Finding{Level: Warn, Says: fmt.Sprintf("to seal and to open takes %s", took.Round(time.Millisecond)), Do: "look at the way to the backend, and at its load"}
	}
	return Finding{Level: OK, Says: fmt.Sprintf("seals and opens, in %s", took.Round(10*time.Microsecond))}
}

// durability is whether what was acknowledged is there after a crash: a try that was lost is a try more for somebody who guesses.
func durability(f store.Facts) (found []Finding) {
	const ofServer, ofRole = "set it to on in postgresql.conf, and reload", "set it to on, for the server or for the role of --database-url, and reload"
	for _, setting := range []struct{ name, value, does, do string }{
		{"fsync", f.Fsync, "a crash of the machine may lose or damage anything", ofServer},
		{"full_page_writes", f.FullPageWrites, "a crash of the machine may damage pages", ofServer},
		{"synchronous_commit", f.SynchronousCommit, "a crash may undo tries that were told to callers", ofRole},
	} {
		if setting.value == "off" {
			found = append(found, Finding{Level: Fail, Says: "PostgreSQL runs with " + setting.name + " = off: " + setting.does,
				Do: setting.do})
		}
	}
	if f.ReadOnly {
		found = append(found, Finding{Level: Fail, Says: "PostgreSQL takes no changes: it is a replica", Do: "let --database-url lead to the primary (target_session_attrs=read-write)"})
	}
	if len(found) == 0 {
		return []Finding{{Level: OK, Says: "what is committed survives a crash"}}
	}
	return found
}

func rights(f store.Facts) Finding {
	if f.Barred != "" {
		return Finding{Level: Fail, Says: "the role of the server may not write all tables: " + f.Barred,
			Do: "as the tables' owner GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES to it, also of tables to come, see docs/running.md, two roles for PostgreSQL"}
	}
	return Finding{Level: OK, Says: "the role of the server may read and write all tables"}
}

func appendOnly(f store.Facts) Finding {
	switch {
	case f.Spread:
		return Finding{Level: OK, Says: "the engine takes no triggers: the chains alone keep audit events"}
	case !f.Guarded:
		return Finding{Level: Fail, Says: "the triggers that keep audit events from being changed are gone, or switched off",
			Do: "run 'pinvault audit verify'; then ALTER TABLE audit_events ENABLE TRIGGER USER, or make them again as models/migrations has them"}
	case f.Superuser:
		return Finding{Level: Warn, Says: "the role of the server is a superuser of the database, which may change anything",
			Do: "serve with a role that may SELECT, INSERT, UPDATE and DELETE, and migrate with the tables' owner"}
	case f.Owner:
		return Finding{Level: Warn, Says: "the role of the server owns the tables, so that it may switch off what keeps audit events from being changed",
			Do: "serve with a role that may SELECT, INSERT, UPDATE and DELETE, and migrate with the tables' owner"}
	}
	return Finding{Level: OK, Says: "audit events cannot be changed or deleted by this role"}
}

// How far two clocks may be apart. Sessions, tokens and keys go by the server's clock; keys change over half a minute after they are known.
const (
	skewWarn = 2 * time.Second
	skewFail = 15 * time.Second
)

func clock(skew, unsure time.Duration) Finding {
	apart := skew.Abs() - unsure
	says := fmt.Sprintf("this machine's is %s off that of the database", skew.Abs().Round(time.Millisecond))
	const do = "let both machines keep time by NTP"
	switch {
	case apart > skewFail:
		return Finding{Level: Fail, Says: says, Do: do}
	case apart > skewWarn:
		return Finding{Level: Warn, Says: says, Do: do}
	}
	return Finding{Level: OK, Says: says}
}

// lagWarn is how long an event may wait.
const lagWarn = 15 * time.Minute

func webhooks(all []Webhook, waiting int64, lag time.Duration) (found []Finding) {
	for _, w := range all {
		if w.PausedFor != "" {
			found = append(found, Finding{Level: Warn, Says: fmt.Sprintf("webhook %s is paused: %s", w.ID, w.PausedFor),
				Do: "look at its receiver, then PATCH /issuer/v1/webhooks/" + w.ID + " with state active; what it has missed can be replayed"})
		}
	}
	if lag > lagWarn {
		found = append(found, Finding{Level: Warn, Says: fmt.Sprintf("%d events wait, the oldest for %s", waiting, lag.Round(time.Second)),
			Do: "look whether a server runs, and what the deliveries of its webhooks say"})
	}
	if len(found) == 0 {
		found = []Finding{{Level: OK, Says: fmt.Sprintf("%d, for which %d events wait", len(all), waiting)}}
	}
	return found
}

// checkpointDue is how old the last checkpoint may be.
const checkpointDue = time.Hour + time.Minute

func checkpoint(at, now time.Time) Finding {
	const do = "make one every hour, 'pinvault audit checkpoint --out FILE', and keep it where nobody who can write to the database can"
	switch {
	case at.IsZero():
		return Finding{Level: Warn, Says: "none was ever made: nobody could tell if the database were put back to yesterday", Do: do}
	case now.Sub(at) > checkpointDue:
		return Finding{Level: Warn, Says: "the last one was made " + now.Sub(at).Round(time.Minute).String() + " ago", Do: do}
	}
	return Finding{Level: OK, Says: "the last one was made " + now.Sub(at).Round(time.Second).String() + " ago"}
}

// Free space on a disk, in bytes.
const (
	spaceWarn = 1 << 30
	spaceFail = 100 << 20
)

// space is what is free of a file system.
type space struct{ free, total uint64 }

func disk(folder string, s space) Finding {
	says := fmt.Sprintf("%s of %s are free at %s", size(int64(min(s.free, 1<<62))), size(int64(min(s.total, 1<<62))), folder)
	const do = "make room before writes fail"
	switch {
	case s.free < spaceFail:
		return Finding{Level: Fail, Says: says, Do: do}
	case s.free < spaceWarn:
		return Finding{Level: Warn, Says: says, Do: do}
	}
	return Finding{Level: OK, Says: says}
}

// besides is how many files a server has open besides connections of callers.
const besides = 200

func openFiles(limit uint64, connections int) Finding {
	says := fmt.Sprintf("a process may have %d", limit)
	if need := uint64(max(connections, 0)) + besides; limit < need {
		return Finding{Level: Warn, Says: says + fmt.Sprintf(", and a server needs up to %d", need),
			Do: fmt.Sprintf("raise the limit (ulimit -n, or LimitNOFILE= of systemd) to %d, or lower --max-connections", need)}
	}
	return Finding{Level: OK, Says: says}
}

func days(d time.Duration) string { return fmt.Sprintf("%d days", int(d/(24*time.Hour))) }

// size is so many bytes in words.
func size(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	value, unit := float64(n), 0
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d %s", n, units[0])
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
