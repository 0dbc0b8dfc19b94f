package io.pinvault.testing;

import io.pinvault.MessageKey;
import io.pinvault.TokenKey;
import io.pinvault.accosa.Accosa;
import io.pinvault.accosa.AccosaApi;
import io.pinvault.common.Common;
import io.pinvault.common.CommonApi;
import io.pinvault.creditplus.CreditPlus;
import io.pinvault.creditplus.CreditplusApi;
import io.pinvault.hashdt.Hashdt;
import io.pinvault.hashdt.HashdtApi;
import io.pinvault.hosted.Hosted;
import io.pinvault.hosted.HostedApi;
import io.pinvault.issuer.Issuer;
import io.pinvault.issuer.IssuerApi;
import io.pinvault.networkintl.NetworkIntl;
import io.pinvault.networkintl.NetworkintlApi;
import io.pinvault.sandbox.ApiException;
import io.pinvault.sandbox.Sandbox;
import io.pinvault.sandbox.SandboxApi;
import io.pinvault.sandbox.SandboxException;
import io.pinvault.sandbox.model.CardState;
import io.pinvault.sandbox.model.ClockChange;
import io.pinvault.sandbox.model.Entry;
import io.pinvault.sandbox.model.Fixtures;
import io.pinvault.sandbox.model.Rule;
import io.pinvault.sandbox.model.RuleRequest;
import io.pinvault.sandbox.model.SnapshotRequest;
import io.pinvault.thredd.Thredd;
import io.pinvault.thredd.ThreddApi;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/**
 * A space of a sandbox, which no other test sees, with clients that are ready to be used, rules, a clock and a journal of
 * its own. What cannot be reached is an {@link IllegalStateException}.
 */
public final class PinVaultSpace implements AutoCloseable {
    private final PinVaultSandbox server;
    private final String id;
    private final String url;
    private final SandboxApi own;
    private Fixtures fixtures;

    PinVaultSpace(PinVaultSandbox server, String id) {
        this.server = server;
        this.id = id;
        this.url = server.url() + "/spaces/" + id;
        this.own = Sandbox.connect(url);
    }

    interface Call<T> {
        T go() throws ApiException;
    }

    static <T> T got(Call<T> call) {
        try {
            return call.go();
        } catch (ApiException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Its id. */
    public String id() {
        return id;
    }

    /** The server's URL in this space; contracts' paths follow it. */
    public String url() {
        return url;
    }

    /** The clients and cards that the space began with. */
    public synchronized Fixtures fixtures() {
        if (fixtures == null) {
            fixtures = got(() -> own.getSandboxFixtures(null));
        }
        return fixtures;
    }

    /** What a client of the fixtures or the seed has under a name, such as client_secret: the space's own. */
    public String credential(String client, String name) {
        Map<String, Object> known = fixtures().getClients().get(client);
        if (known == null || known.get(name) == null) {
            throw new IllegalArgumentException("the client " + client + " has no " + name);
        }
        return known.get(name).toString();
    }

    /** A card of the fixtures or the seed, with its PIN and references. */
    public Map<String, Object> card(String name) {
        Map<String, Object> card = fixtures().getCards().get(name);
        if (card == null) {
            throw new IllegalArgumentException("there is no card " + name);
        }
        return card;
    }

    /** All cards as they stand, with their tries and what has happened to them. */
    public List<CardState> cards() {
        return got(() -> own.listSandboxCards(null)).getCards();
    }

    /** A client of the sandbox's own contract. */
    public SandboxApi sandbox() {
        return own;
    }

    /** A client of what all contracts share. */
    public CommonApi common() {
        return Common.connect(url);
    }

    /** A client of the issuer API. */
    public IssuerApi issuer() {
        return issuer("issuer");
    }

    /** The same for another client than the fixtures' usual one. */
    public IssuerApi issuer(String client) {
        return Issuer.connect(url, credential(client, "client_id"), credential(client, "client_secret"));
    }

    /** A client of Thredd's contract. */
    public ThreddApi thredd() {
        return thredd("thredd");
    }

    /** The same for another client than the fixtures' usual one. */
    public ThreddApi thredd(String client) {
        return Thredd.connect(url, credential(client, "client_id"), credential(client, "client_secret"));
    }

    /** A client of Credit+'s contract, which seals its requests. */
    public CreditplusApi creditplus() {
        return creditplus("creditplus");
    }

    /** The same for another client than the fixtures' usual one. */
    public CreditplusApi creditplus(String client) {
        MessageKey key = new MessageKey(credential(client, "key_hex"), credential(client, "key_id"));
        return CreditPlus.connect(url, credential(client, "client_id"), credential(client, "client_secret"), key);
    }

    /** A client of Accosa's contract. */
    public AccosaApi accosa() {
        return accosa("accosa");
    }

    /** The same for another client than the fixtures' usual one. */
    public AccosaApi accosa(String client) {
        return Accosa.connect(url, credential(client, "x-api-key"), new TokenKey(credential(client, "key_hex")));
    }

    /** A client of Network International's contract. */
    public NetworkintlApi networkintl() {
        return networkintl("networkintl");
    }

    /** The same for another client than the fixtures' usual one. */
    public NetworkintlApi networkintl(String client) {
        return NetworkIntl.connect(url, credential(client, "client_id"), credential(client, "client_secret"));
    }

    /** A client of the issuing API. */
    public HashdtApi hashdt() {
        return hashdt("hashdt");
    }

    /** The same for another client than the fixtures' usual one. */
    public HashdtApi hashdt(String client) {
        return Hashdt.connect(url, credential(client, "x-api-key"));
    }

    /** A client of the hosted page's contract. */
    public HostedApi hosted() {
        return Hosted.connect(url);
    }

    /** A client's id as the space itself knows it. */
    private static String withoutSpace(String client) {
        return client == null ? null : client.replaceAll("@.*", "");
    }

    /** Has a row, fault, drop or delay come out of the calls that it fits, until {@link #clearRules}. */
    public Rule rule(RuleRequest rule) {
        return got(() -> own.createRule(rule.client(withoutSpace(rule.getClient())), null));
    }

    /** Removes all rules. */
    public void clearRules() {
        got(() -> own.deleteRulesWithHttpInfo(null));
    }

    /** What time it is here. */
    public OffsetDateTime now() {
        return got(() -> own.getClock(null)).getNow();
    }

    /** Moves the time on, in whole seconds; what expires by then has expired at once. */
    public OffsetDateTime advance(Duration by) {
        return moved(new ClockChange().advanceSeconds(by.toSeconds()));
    }

    /** Makes it the time that is given, and goes on from there or stands still. */
    public OffsetDateTime setTime(OffsetDateTime now, boolean running) {
        return moved(new ClockChange().now(now).running(running));
    }

    /** Makes it the server's time. */
    public OffsetDateTime resetTime() {
        return moved(new ClockChange().reset(true));
    }

    private OffsetDateTime moved(ClockChange change) {
        return got(() -> own.moveClock(change, null)).getNow();
    }

    /** What was sent here and answered, newest first. */
    public List<Entry> journal() {
        return journal(null, null, null, null);
    }

    /** Only calls of a client, that found a card, of an operation, that were answered with a row; null for any. */
    public List<Entry> journal(String client, String card, String operation, String row) {
        return got(() -> own.listJournal(null, withoutSpace(client), card, operation, row, null, null)).getEntries();
    }

    /** Forgets what was sent. */
    public void clearJournal() {
        got(() -> own.clearJournalWithHttpInfo(null));
    }

    /** Keeps what the space holds, to restore it or to begin others with; returns the snapshot's id. */
    public String snapshot() {
        return got(() -> own.createSnapshot(new SnapshotRequest().id(UUID.randomUUID().toString()), null)).getId();
    }

    /** Puts the space back. */
    public void restore(String snapshot) {
        got(() -> own.restoreSnapshotWithHttpInfo(snapshot, null));
    }

    /** Makes the space what it was at first. */
    public void reset() {
        got(() -> own.resetSandboxWithHttpInfo(null));
    }

    /** Removes the space. */
    @Override
    public void close() {
        try {
            got(() -> server.client().deleteSpaceWithHttpInfo(id));
        } catch (SandboxException e) {
            if (e.getStatus() != 404) { // which a repeated call hears, too
                throw e;
            }
        }
    }
}
