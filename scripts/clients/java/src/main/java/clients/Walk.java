package clients;

import clients.Report.Reply;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.jwk.source.JWKSourceBuilder;
import com.nimbusds.jose.proc.JWSVerificationKeySelector;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jose.proc.DefaultJOSEObjectTypeVerifier;
import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jwt.proc.DefaultJWTProcessor;
import java.io.ByteArrayInputStream;
import java.net.URI;
import java.security.PublicKey;
import java.security.cert.CertificateFactory;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.temporal.ChronoUnit;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/** Every contract, by each of Java's clients in turn. The calls are those of scripts/clients/README.md. */
final class Walk {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Map<String, String> NONE = Map.of();

    private final Client client;
    private final Report report;
    private JsonNode clients;
    private JsonNode normal;
    private JsonNode second;
    private JsonNode unchosen;
    private JsonNode dual;

    private Walk(Client client) {
        this.client = client;
        this.report = new Report(client.name());
    }

    public static void main(String[] arguments) throws Exception {
        for (Client client : List.of(new JdkClient(), new ApacheClient(), new SpringClient())) {
            new Walk(client).everything();
        }
    }

    private void everything() throws Exception {
        client.text("/sandbox/reset", NONE, "application/json", "{}");
        JsonNode fixtures = JSON.readTree(client.get("/sandbox/fixtures", NONE).body());
        clients = fixtures.get("clients");
        normal = fixtures.at("/cards/normal");
        second = fixtures.at("/cards/second");
        unchosen = fixtures.at("/cards/unchosen");
        dual = fixtures.at("/cards/dual");
        report.expect("common: health", client.get("/readyz", NONE), 200);
        Client issuer = tokens("issuer", "/oauth2/token");
        Client approver = tokens("issuer_approver", "/oauth2/token");
        Client thredd = tokens("thredd", "/connect/token");
        Client creditplus = tokens("creditplus", "/oauth2/token");
        Client sealing = tokens("creditplus_encrypted_only", "/oauth2/token");
        Client networkintl = tokens("networkintl", "/oauth2/token");
        part("thredd", () -> thredd(thredd));
        part("creditplus", () -> creditplus(creditplus, sealing));
        part("accosa", this::accosa);
        part("networkintl", () -> networkintl(networkintl));
        part("hashdt", this::hashdt);
        part("issuer", () -> issuer(issuer));
        part("approvals", () -> approvals(issuer, approver));
        part("limits", () -> limits(issuer, thredd));
        part("nimbus", this::signed);
    }

    private interface Calls {
        void go() throws Exception;
    }

    /** The calls of one contract. An exception fails it, and keeps no other from its calls. */
    private void part(String contract, Calls calls) {
        try {
            calls.go();
        } catch (Exception e) {
            report.told(contract + ": all calls", e, "no exception");
        }
    }

    // Tokens.

    private Client tokens(String name, String path) throws Exception {
        String id = clients.at("/" + name + "/client_id").asText();
        String secret = clients.at("/" + name + "/client_secret").asText();
        var grant = Map.of("grant_type", "client_credentials");
        var credentials = new HashMap<>(Map.of("client_id", id, "client_secret", secret));
        credentials.putAll(grant);
        Reply basic = report.expect(name + ": token, HTTP Basic", client.basic(path, grant, id, secret), 200, Map.of("/token_type", "Bearer"));
        Report.secret(basic.text("/access_token"));
        Reply form = report.expect(name + ": token, credentials in the form", client.form(path, credentials), 200, Map.of("/token_type", "Bearer"));
        Report.secret(form.text("/access_token"));
        credentials.put("client_secret", "guessed");
        report.expect(name + ": a wrong secret", client.form(path, credentials), 401, Map.of("/error", "invalid_client"));
        return client.as(name, path, id, secret);
    }

    // Thredd.

    record SetPin(String pin, String description, String updatedBy) {}

    record Unblock(String description, String updatedBy) {}

    record NewThreddCard(String expiryDate, String embossName, String customerReference, String pan) {}

    private void thredd(Client thredd) throws Exception {
        String pin = "/api/v1/cards/" + normal.get("publicToken").asText() + "/pin";
        report.expect("thredd: the PIN", thredd.get(pin, NONE), 200, Map.of("/pin", "7010"));
        report.expect("thredd: status", thredd.get(pin + "/status", NONE), 200, Map.of("/status", "Unblocked", "/remainingTries", "3"));
        report.expect("thredd: set the PIN, optional members null", thredd.json("POST", pin, NONE, new SetPin("4826", null, null)), 204);
        var again = Map.of("IdempotencyKey", UUID.randomUUID().toString());
        for (int i = 0; i < 2; i++) {
            report.expect("thredd: set the PIN, with IdempotencyKey", thredd.json("POST", pin, again, new SetPin("7010", "chosen", "bank")), 204);
        }
        report.expect("thredd: a PIN that is a number", thredd.json("POST", pin, NONE, Map.of("pin", 7010)), 400, Map.of("/status", "400"));
        report.expect("thredd: unblock, optional members null", thredd.json("POST", pin + "/unblock", NONE, new Unblock(null, null)), 204);
        report.expect("thredd: an unknown card", thredd.get("/api/v1/cards/100000000/pin", NONE), 404, Map.of("/status", "404"));
        report.expect("thredd: no token", client.get(pin, NONE), 401, Map.of("/status", "401"));
        Reply made = thredd.json("POST", "/api/v1/cards", NONE, new NewThreddCard("2031-12-31", "JOSÉ SMITH", null, null));
        report.expect("thredd: a new card", made, 201, Map.of("/embossName", "JOSÉ SMITH", "/expiryDate", "2031-12-31"));
    }

    // Credit+, sealed by nimbus.

    record Reset(String identifier, String packID, String alias, String number, String programCode, String devicePlanCode,
            String notes, String source, String timestamp, String dataValidUntilTimestamp) {
        Reset(String identifier, OffsetDateTime now) {
            this(identifier, null, null, null, null, null, null, null, now.toString(), now.plusMinutes(5).toString());
        }
    }

    record Logged(String institutionCode, String deviceNumber, String serviceCode, String requestDate, String notes) {}

    private void creditplus(Client creditplus, Client sealing) throws Exception {
        String v2 = "/deviceapi/apis/v2/services/helpdesk/resetpinretrycounter";
        String v1 = "/deviceapi/apis/v1/services/helpdesk/resetpinretrycounter";
        String identifier = normal.get("identifier").asText();
        OffsetDateTime now = OffsetDateTime.now();
        OffsetDateTime minute = OffsetDateTime.now(ZoneOffset.UTC).truncatedTo(ChronoUnit.MINUTES); // prints no seconds
        report.expect("creditplus: V2 in the clear", creditplus.json("POST", v2, NONE, new Reset(identifier, now)), 200, Map.of("/code", "OK"));
        report.expect("creditplus: V2 at a full minute", creditplus.json("POST", v2, NONE, new Reset(identifier, minute)), 200, Map.of("/code", "OK"));
        report.expect("creditplus: V2 sealed by nimbus", jwe(sealing, v2, new Reset(identifier, now), "creditplus_encrypted_only", ""), 200, Map.of("/code", "OK"));
        report.expect("creditplus: V2 sealed, at a full minute and with a newline behind it",
                jwe(sealing, v2, new Reset(identifier, minute), "creditplus_encrypted_only", "\n"), 200, Map.of("/code", "OK"));
        report.expect("creditplus: V2, an unknown card", jwe(sealing, v2, new Reset("DEVICE9999999999", now), "creditplus_encrypted_only", ""),
                400, Map.of("/code", "RECORD_NOT_FOUND"));
        report.expect("creditplus: V2, sealed under another key", jwe(sealing, v2, new Reset(identifier, now), "creditplus", ""),
                400, Map.of("/code", "CRYPTOGRAPHY_ERROR"));
        String date = LocalDateTime.now(ZoneOffset.UTC).format(DateTimeFormatter.ofPattern("MM/dd/yyyy HH:mm:ss"));
        String institution = normal.get("institutionCode").asText();
        Logged logged = new Logged(institution, normal.get("number").asText(), "109", date, null);
        report.expect("creditplus: V1", creditplus.json("POST", v1, NONE, logged), 201, Map.of("/code", "CCRBO0004"));
        Logged unknown = new Logged(institution, "59999999999999", "109", date, null);
        report.expect("creditplus: V1, an unknown device", creditplus.json("POST", v1, NONE, unknown), 404, Map.of("/code", "998"));
    }

    private Reply jwe(Client sealing, String path, Reset message, String key, String behind) throws Exception {
        JsonNode known = clients.get(key);
        String sealed = Sealing.jwe(message, known.get("key_hex").asText(), known.get("key_id").asText());
        return sealing.text(path, NONE, "application/jose", sealed + behind);
    }

    // Accosa, sealed by javax.crypto.

    record ResetPin(String messageCode, String clientTxnId, String requestDateTime, String newPIN, long urn, String last4Digits,
            String customerId, String mobileNumber, String emailAddress, String cardProfileId) {}

    private void accosa() throws Exception {
        JsonNode known = clients.get("accosa");
        Map<String, String> wallet = new HashMap<>();
        for (String name : List.of("x-api-key", "clientId", "bankId", "entityId", "secureCode")) {
            wallet.put(name, known.get(name).asText());
        }
        String last4 = second.get("last4Digits").asText();
        report.expect("accosa: reset the PIN, optional members null", reset(wallet, last4, Base64.getEncoder()), 200,
                Map.of("/responseCode", "00", "/urn", second.get("urn").asText(), "/bankId", "7000"));
        report.expect("accosa: base64 in lines (getMimeEncoder)", reset(wallet, last4, Base64.getMimeEncoder()), 200, Map.of("/responseCode", "00"));
        report.expect("accosa: base64 without padding", reset(wallet, last4, Base64.getEncoder().withoutPadding()), 200, Map.of("/responseCode", "00"));
        report.expect("accosa: other last digits", reset(wallet, "0000", Base64.getEncoder()), 404, Map.of("/responseCode", "1231"));
        Reply bare = client.json("POST", "/mob1/api/onboarding/v1/resetPin", NONE, Map.of("token", ""));
        report.expect("accosa: no x-api-key", bare, 401, Map.of("/message", "No API key found in request"));
    }

    /** A call whose reply has what is in its token in the place of it. One in the clear stays as it is. */
    private Reply reset(Map<String, String> wallet, String last4, Base64.Encoder encoder) throws Exception {
        String key = clients.at("/accosa/key_hex").asText();
        String now = LocalDateTime.now(ZoneOffset.UTC).format(DateTimeFormatter.ofPattern("yyyyMMddHHmmss"));
        var message = new ResetPin("1120", UUID.randomUUID().toString().substring(0, 25), now, "593817", second.get("urn").asLong(), last4,
                second.get("customerId").asText(), null, null, null);
        Reply reply = client.json("POST", "/mob1/api/onboarding/v1/resetPin", wallet, Map.of("token", Sealing.token(message, key, encoder)));
        String token = reply.text("/token");
        return token.equals("nothing") ? reply : new Reply(reply.status(), Sealing.opened(token, key));
    }

    // Network International.

    record Header(@JsonProperty("msg_id") String msgId, @JsonProperty("msg_type") String msgType,
            @JsonProperty("msg_function") String msgFunction, @JsonProperty("src_application") String srcApplication,
            @JsonProperty("target_application") String targetApplication, String timestamp,
            @JsonProperty("tracking_id") String trackingId, @JsonProperty("bank_id") String bankId,
            @JsonProperty("instance_id") String instanceId) {}

    record Body(@JsonProperty("card_number") String cardNumber, @JsonProperty("card_sequence_number") String cardSequenceNumber,
            @JsonProperty("card_expiry_date") String cardExpiryDate, @JsonProperty("encrypted_old_pin") String encryptedOldPin,
            @JsonProperty("encrypted_new_pin") String encryptedNewPin, @JsonProperty("encryption_method") String encryptionMethod,
            @JsonProperty("encryption_key_id") String encryptionKeyId, @JsonProperty("encryption_key_type") String encryptionKeyType) {}

    private void networkintl(Client networkintl) throws Exception {
        String pan = normal.get("pan").asText();
        String key = clients.at("/networkintl/zpk_hex").asText();
        Reply certificate = networkintl.get("/CardServices/Security/V1/PinCertificate", NONE);
        report.expect("networkintl: certificate", certificate, 200);
        byte[] der = Base64.getDecoder().decode(certificate.text("/certificate"));
        PublicKey rsa = CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(der)).getPublicKey();
        report.expect("networkintl: change, SYMMETRIC_ENC, at a full minute", change(networkintl, pan, "SYMMETRIC_ENC",
                Sealing.underZpk(key, pan, "7010"), Sealing.underZpk(key, pan, "4826"), ChronoUnit.MINUTES), 200, outcome("S", "000"));
        report.expect("networkintl: change, ASYNC_ENC", change(networkintl, pan, "ASYNC_ENC",
                Sealing.underRsa(rsa, pan, "4826"), Sealing.underRsa(rsa, pan, "7010"), ChronoUnit.MILLIS), 200, outcome("S", "000"));
        String wrong = Sealing.underZpk(key, pan, "9182");
        report.expect("networkintl: a wrong old PIN", change(networkintl, pan, "SYMMETRIC_ENC", wrong, wrong, ChronoUnit.MILLIS), 200, outcome("F", "889"));
        report.expect("networkintl: card_number null", change(networkintl, null, "SYMMETRIC_ENC", wrong, wrong, ChronoUnit.MILLIS), 400, outcome("F", "101"));
        Reply bare = client.json("POST", "/CardServices/Transaction/V1/CardPinChange", NONE, Map.of());
        report.expect("networkintl: no token", bare, 401, outcome("F", "401"));
    }

    private Reply change(Client networkintl, String pan, String method, String oldPin, String newPin, ChronoUnit unit) throws Exception {
        String now = OffsetDateTime.now(ZoneOffset.ofHours(4)).truncatedTo(unit).toString();
        var header = new Header(UUID.randomUUID().toString().substring(0, 12), "TRANSACTION", "REQ_CARD_PIN_CHANGE", "IVR", "PCMS", now,
                null, clients.at("/networkintl/bank_id").asText(), null);
        var body = new Body(pan, null, normal.get("expiry").asText(), oldPin, newPin, method, null, null);
        var request = Map.of("NISrvRequest", Map.of("request_card_pin_change", Map.of("header", header, "body", body)));
        return networkintl.json("POST", "/CardServices/Transaction/V1/CardPinChange", NONE, request);
    }

    private static Map<String, String> outcome(String status, String code) {
        String details = "/NISrvResponse/response_card_pin_change/exception_details";
        return Map.of(details + "/status", status, details + "/error_code", code);
    }

    // The hosted page.

    private void hashdt() throws Exception {
        report.expect("hashdt: setpin", link("setpin", unchosen, NONE), 200, success("Set PIN URL fetched successfully."));
        report.expect("hashdt: resetpin", link("resetpin", normal, NONE), 200, success("Reset PIN URL fetched successfully."));
        report.expect("hashdt: changepin, with Content-Type and an empty x-client-id",
                link("changepin", normal, Map.of("Content-Type", "application/json", "x-client-id", "")), 200, success("Change PIN URL fetched successfully."));
        report.expect("hashdt: setpin where a PIN was chosen", link("setpin", normal, NONE), 400, Map.of("/status", "error", "/code", "400"));
        report.expect("hashdt: another's card", link("resetpin", unchosen, Map.of("x-card-id", "CD99999999")), 404, Map.of("/status", "error", "/code", "404"));
        report.expect("hashdt: an unknown key", link("resetpin", normal, Map.of("x-api-key", "nobody.guessed")), 401, Map.of("/status", "error", "/code", "401"));
    }

    private Reply link(String action, JsonNode card, Map<String, String> instead) throws Exception {
        var headers = new HashMap<String, String>();
        for (String name : List.of("x-api-key", "x-product-id", "x-client-id")) {
            headers.put(name, clients.get("hashdt").get(name).asText());
        }
        headers.put("x-cardholder-id", card.get("cardholderId").asText());
        headers.put("x-wallet-id", card.get("walletId").asText());
        headers.put("x-card-id", card.get("hashdtCardId").asText());
        headers.put("x-request-id", UUID.randomUUID().toString());
        headers.putAll(instead);
        return client.get("/issuing/api/v1/card/" + action, headers);
    }

    private static Map<String, String> success(String message) {
        return Map.of("/status", "Success", "/message", message, "/code", "200");
    }

    // The issuer API.

    record NewCard(String programId, String pan, String expiry, String sequence, List<Object> references, String status,
            Integer upgradeStatus, String customerId, String cardholderId) {}

    record PinBlock(String pinBlock, String format, String keyId) {}

    private void issuer(Client issuer) throws Exception {
        var card = new NewCard(normal.get("programId").asText(), "9999990000002002", "3112", "01", null, null, null, null, null);
        var keyed = Map.of("Idempotency-Key", UUID.randomUUID().toString());
        Reply made = report.expect("issuer: a new card, optional members null", issuer.json("POST", "/issuer/v1/cards", keyed, card), 201,
                Map.of("/maskedPan", "999999******2002"));
        report.expect("issuer: the same call again", issuer.json("POST", "/issuer/v1/cards", keyed, card), 201, Map.of("/cardId", made.text("/cardId")));
        String at = "/issuer/v1/cards/" + normal.get("cardId").asText();
        report.expect("issuer: a card", issuer.get(at, NONE), 200, Map.of("/cardId", normal.get("cardId").asText()));
        report.expect("issuer: the right PIN", issuer.json("POST", at + "/pin/verifications", NONE, block("7010")), 200,
                Map.of("/result", "match", "/remainingTries", "3"));
        report.expect("issuer: a wrong PIN", issuer.json("POST", at + "/pin/verifications", NONE, block(Report.PLANTED)), 200,
                Map.of("/result", "mismatch", "/remainingTries", "2"));
        report.expect("issuer: set the PIN", issuer.json("PUT", at + "/pin", NONE, block("4826")), 204);
        report.expect("issuer: unblock", issuer.json("POST", at + "/pin/unblock", NONE, Map.of("reason", "asked for")), 204);
        report.expect("issuer: status", issuer.get(at + "/pin", NONE), 200, Map.of("/state", "chosen", "/remainingTries", "3"));
        report.expect("issuer: an unknown card", issuer.get("/issuer/v1/cards/00000000-0000-7000-8000-0000ffffffff", NONE), 404, Map.of("/code", "not_found"));
    }

    record Wish(String action, String clientId, String reason) {}

    record Decision(String decision, String reason) {}

    record Limits(Long requestsPerMinute, Long unblocksPerCardAndDay) {}

    /** What can be done with a PIN, and what a second client has to approve. */
    private void approvals(Client issuer, Client approver) throws Exception {
        String card = "/issuer/v1/cards/" + normal.get("cardId").asText();
        report.expect("issuer: what can be done with the PIN", issuer.get(card + "/pin/capabilities", NONE), 200,
                Map.of("/language", "en", "/capabilities/0/possible", "true"));
        String guarded = "/issuer/v1/cards/" + dual.get("cardId").asText();
        Reply asked = report.expect("issuer: request an approval, clientId null",
                issuer.json("POST", guarded + "/approvals", NONE, new Wish("unblock", null, "asked for")), 201, Map.of("/state", "pending"));
        String decision = "/issuer/v1/approvals/" + asked.text("/approvalId") + "/decision";
        report.expect("issuer: a grant by the client that asks", issuer.json("POST", decision, NONE, new Decision("grant", null)), 409,
                Map.of("/code", "same_client"));
        report.expect("issuer: a grant by another client", approver.json("POST", decision, NONE, new Decision("grant", null)), 200,
                Map.of("/state", "granted"));
        var reason = Map.of("reason", "asked for");
        report.expect("issuer: unblock, approved", issuer.json("POST", guarded + "/pin/unblock", NONE, reason), 204);
        report.expect("issuer: unblock, approved no more", issuer.json("POST", guarded + "/pin/unblock", NONE, reason), 409,
                Map.of("/code", "approval_needed"));
    }

    private void limits(Client issuer, Client thredd) throws Exception {
        String halted = "/issuer/v1/clients/issuer_halted-sandbox";
        report.expect("issuer: a client that is halted", issuer.get(halted, NONE), 200, Map.of("/halted/bin", "999999"));
        report.expect("issuer: release it", issuer.json("POST", halted + "/release", NONE, Map.of("reason", "another key")), 200,
                Map.of("/halted", "nothing"));
        report.expect("issuer: limit thredd", issuer.json("PUT", "/issuer/v1/clients/thredd-sandbox/limits", NONE, new Limits(null, 1L)), 200,
                Map.of("/limits/unblocksPerCardAndDay", "1"));
        String unblock = "/api/v1/cards/" + normal.get("publicToken").asText() + "/pin/unblock";
        report.expect("thredd: one unblock too many", thredd.json("POST", unblock, NONE, new Unblock(null, null)), 429, Map.of("/status", "429"));
    }

    private PinBlock block(String pin) throws Exception {
        JsonNode known = clients.get("issuer");
        return new PinBlock(Sealing.underZpk(known.get("zpk_hex").asText(), normal.get("pan").asText(), pin), "ISO-0", known.get("zpk_id").asText());
    }

    /** A token is signed by a key of /oauth2/jwks, as nimbus sees it. */
    private void signed() throws Exception {
        var processor = new DefaultJWTProcessor<SecurityContext>();
        processor.setJWSTypeVerifier(new DefaultJOSEObjectTypeVerifier<>(new JOSEObjectType("at+jwt"))); // RFC 9068
        var keys = JWKSourceBuilder.create(URI.create(Report.URL + "/oauth2/jwks").toURL()).build();
        processor.setJWSKeySelector(new JWSVerificationKeySelector<>(JWSAlgorithm.ES256, keys));
        String token = clients.at("/issuer/token").asText();
        new Report("nimbus").told("issuer: the token is signed by a key of /oauth2/jwks, read by way of " + client.name(),
                processor.process(token, null).getStringClaim("client_id"), "issuer-sandbox");
    }
}
