package sdk.scenario;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.temporal.ChronoUnit;
import java.util.function.Consumer;
import sdk.clients.accosa.AccosaApi;
import sdk.clients.accosa.model.ResetPinError;
import sdk.clients.accosa.model.ResetPinMessage;
import sdk.clients.accosa.model.ResetPinMessageMessageCode;
import sdk.clients.accosa.model.ResetPinMessageUrn;
import sdk.clients.accosa.model.ResetPinReply;
import sdk.clients.common.CommonApi;
import sdk.clients.common.model.Fixtures;
import sdk.clients.creditplus.CreditplusApi;
import sdk.clients.creditplus.model.Done;
import sdk.clients.creditplus.model.ResetRequest;
import sdk.clients.issuer.IssuerApi;
import sdk.clients.issuer.model.Card;
import sdk.clients.issuer.model.CardRequest;
import sdk.clients.issuer.model.PinBlock;
import sdk.clients.issuer.model.Reference;
import sdk.clients.issuer.model.Verification;
import sdk.clients.networkintl.NetworkintlApi;
import sdk.clients.networkintl.model.BodyV1;
import sdk.clients.networkintl.model.CardPinChangeRequestV1;
import sdk.clients.networkintl.model.ChangeV1;
import sdk.clients.networkintl.model.EncryptionMethod;
import sdk.clients.networkintl.model.ExceptionDetails;
import sdk.clients.networkintl.model.RequestHeader;
import sdk.clients.networkintl.model.ServiceRequestV1;
import sdk.clients.thredd.ThreddApi;
import sdk.clients.thredd.model.PinStatus;
import sdk.clients.thredd.model.SetPinRequest;
import sdk.transport.MessageKey;
import sdk.transport.PinBlocks;
import sdk.transport.TokenKey;
import sdk.transport.Transport;

/** Walks through the scenario of scripts/sdk/README.md with generated clients. */
public final class Scenario {
    private static final String URL = System.getenv("PINVAULT_URL");
    private static final String PAN = "9999990000001004";
    private static final String EXPIRY = "3112";
    private static final String SEQUENCE = "01";
    private static final String TOKEN = "103170001";
    private static final String REFERENCE = "70000001001"; // the urn
    private static final String IDENTIFIER = "DEVICE0000001001";
    private static final String CUSTOMER = "IN00001201001001";
    private static final String WRONG = "9182";
    private static final String SEALING = "creditplus_encrypted_only"; // the client of Credit+ that may not send in clear

    private int steps;
    private Fixtures fixtures;
    private IssuerApi issuer;
    private ThreddApi thredd;
    private CreditplusApi creditplus;
    private NetworkintlApi network;
    private AccosaApi accosa;
    private String card;

    private interface Step {
        void go() throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        Scenario s = new Scenario();
        s.walk();
        System.out.println(s.steps);
    }

    private void walk() throws Exception {
        step("fixtures", () -> fixtures = new CommonApi(common()).getSandboxFixtures());
        step("tokens", this::clients);
        step("a new card", this::createCard);
        step("set by Thredd", () -> thredd.setCardPin(TOKEN, new SetPinRequest().pin("4826"), null));
        step("read by Thredd", () -> reads("4826"));
        for (int left = 2; left >= 0; left--) {
            int tries = left;
            step("a wrong PIN", () -> verifies(WRONG, "ISO-0", "zpk", Verification.ResultEnum.MISMATCH, tries));
        }
        step("the right PIN of a blocked card", () -> verifies("4826", "ISO-0", "zpk", Verification.ResultEnum.BLOCKED, 0));
        step("blocked", () -> counts(PinStatus.StatusEnum.BLOCKED, "0"));
        step("reset through Credit+", this::resetTries);
        step("unblocked", () -> counts(PinStatus.StatusEnum.UNBLOCKED, "3"));
        step("change through Network International", this::change);
        step("read after the change", () -> reads("7351"));
        step("a wrong PIN again", () -> verifies(WRONG, "ISO-0", "zpk", Verification.ResultEnum.MISMATCH, 2));
        step("refusal of Accosa", this::refusedByAccosa);
        step("reset through Accosa", () ->
                equal("responseCode", ResetPinReply.ResponseCodeEnum._00, accosaReset("SDK-0002", "1004").getResponseCode()));
        step("the right PIN in format 4", () -> verifies("2604", "ISO-4", "zpk_aes", Verification.ResultEnum.MATCH, 3));
        step("tries full", () -> {
            var status = issuer.getPinStatus(card);
            equal("state", sdk.clients.issuer.model.PinStatus.StateEnum.CHOSEN, status.getState());
            equal("blocked", false, status.getBlocked());
            equal("remainingTries", 3, status.getRemainingTries());
            equal("tryLimit", 3, status.getTryLimit());
        });
        step("read after the reset", () -> reads("2604"));
    }

    /** One row of the table; what comes after one that fails would say nothing. */
    private void step(String name, Step step) throws Exception {
        try {
            step.go();
        } catch (Exception | AssertionError e) {
            throw new AssertionError("step " + (steps + 1) + ", " + name, e);
        }
        steps++;
    }

    private static void equal(String what, Object want, Object got) {
        if (!want.equals(got)) {
            throw new AssertionError(what + " is " + got + ", not " + want);
        }
    }

    /** One of what the fixtures say of a client. */
    private String credential(String client, String name) {
        return String.valueOf(fixtures.getClients().get(client).get(name));
    }

    private static sdk.clients.common.ApiClient common() {
        var client = new sdk.clients.common.ApiClient();
        client.updateBaseUri(URL);
        return client;
    }

    private static sdk.clients.thredd.ApiClient threddClient() {
        var client = new sdk.clients.thredd.ApiClient();
        client.updateBaseUri(URL);
        return client;
    }

    /** Has a client send a token that it has just been given. */
    private Consumer<HttpRequest.Builder> bearer(String client) throws Exception {
        String id = credential(client, "client_id");
        String secret = credential(client, "client_secret");
        String given;
        if (client.equals("thredd")) {
            var token = new ThreddApi(threddClient()).issueToken(id, secret, "client_credentials", null);
            equal("token_type", "Bearer", token.getTokenType().getValue());
            given = token.getAccessToken();
        } else {
            var token = new CommonApi(common()).issueToken("client_credentials", id, secret, null);
            equal("token_type", "Bearer", token.getTokenType().getValue());
            given = token.getAccessToken();
        }
        return request -> request.header("Authorization", "Bearer " + given);
    }

    private void clients() throws Exception {
        var messageKey = new MessageKey(credential(SEALING, "key_hex"), credential(SEALING, "key_id"));
        var tokenKey = new TokenKey(credential("accosa", "key_hex"));

        var forIssuer = new sdk.clients.issuer.ApiClient();
        forIssuer.updateBaseUri(URL);
        issuer = new IssuerApi(forIssuer.setRequestInterceptor(bearer("issuer")));

        thredd = new ThreddApi(threddClient().setRequestInterceptor(bearer("thredd")));

        var forNetwork = new sdk.clients.networkintl.ApiClient();
        forNetwork.updateBaseUri(URL);
        network = new NetworkintlApi(forNetwork.setRequestInterceptor(bearer("networkintl")));

        var forCreditplus = new sdk.clients.creditplus.ApiClient() {
            @Override
            public HttpClient getHttpClient() {
                return Transport.creditPlus(messageKey, super.getHttpClient());
            }
        };
        forCreditplus.updateBaseUri(URL);
        creditplus = new CreditplusApi(forCreditplus.setRequestInterceptor(bearer(SEALING)));

        var forAccosa = new sdk.clients.accosa.ApiClient() {
            @Override
            public HttpClient getHttpClient() {
                return Transport.accosa(tokenKey, super.getHttpClient());
            }
        };
        forAccosa.updateBaseUri(URL);
        accosa = new AccosaApi(forAccosa.setRequestInterceptor(r -> r.header("x-api-key", credential("accosa", "x-api-key"))));
    }

    private void createCard() throws Exception {
        Card made = issuer.createCard(new CardRequest()
                .programId(String.valueOf(fixtures.getCards().get("normal").get("programId")))
                .pan(PAN).expiry(EXPIRY).sequence(SEQUENCE).customerId(CUSTOMER)
                .addReferencesItem(new Reference().kind(Reference.KindEnum.PUBLIC_TOKEN).value(TOKEN))
                .addReferencesItem(new Reference().kind(Reference.KindEnum.URN).value(REFERENCE))
                .addReferencesItem(new Reference().kind(Reference.KindEnum.IDENTIFIER).value(IDENTIFIER)), null);
        equal("maskedPan", "999999******1004", made.getMaskedPan());
        card = made.getCardId();
    }

    private void reads(String pin) throws Exception {
        equal("pin", pin, thredd.getCardPin(TOKEN).getPin());
    }

    private void counts(PinStatus.StatusEnum state, String tries) throws Exception {
        PinStatus status = thredd.getCardPinStatus(TOKEN);
        equal("status", state, status.getStatus());
        equal("remainingTries", tries, status.getRemainingTries());
    }

    /** A PIN block under one of a client's keys. */
    private String block(String format, String client, String key, String pin) {
        return PinBlocks.encrypt(format, credential(client, key + "_hex"), PAN, pin);
    }

    private void verifies(String pin, String format, String key, Verification.ResultEnum result, int tries) throws Exception {
        Verification verified = issuer.verifyPin(card, new PinBlock()
                .pinBlock(block(format, "issuer", key, pin))
                .format(PinBlock.FormatEnum.fromValue(format))
                .keyId(credential("issuer", key + "_id")), null);
        equal("result", result, verified.getResult());
        equal("remainingTries", tries, verified.getRemainingTries());
    }

    private void resetTries() throws Exception {
        OffsetDateTime now = OffsetDateTime.now(ZoneOffset.UTC).truncatedTo(ChronoUnit.SECONDS);
        Done done = creditplus.resetPinRetryCounterV2(new ResetRequest()
                .timestamp(now).dataValidUntilTimestamp(now.plusHours(1)).identifier(IDENTIFIER), null);
        equal("code", Done.CodeEnum.OK, done.getCode());
        equal("serviceRequestNumber", "SR", done.getServiceRequestNumber().substring(0, 2));
    }

    private void change() throws Exception {
        RequestHeader header = new RequestHeader()
                .msgId("SDK-0001").msgType(RequestHeader.MsgTypeEnum.TRANSACTION)
                .msgFunction(RequestHeader.MsgFunctionEnum.REQ_CARD_PIN_CHANGE)
                .srcApplication("IVR").targetApplication("PCMS")
                .timestamp(OffsetDateTime.now(ZoneOffset.UTC).truncatedTo(ChronoUnit.SECONDS).format(DateTimeFormatter.ISO_OFFSET_DATE_TIME))
                .bankId(credential("networkintl", "bank_id"));
        BodyV1 body = new BodyV1()
                .cardNumber(PAN).cardExpiryDate(EXPIRY).cardSequenceNumber(SEQUENCE)
                .encryptedOldPin(block("ISO-0", "networkintl", "zpk", "4826"))
                .encryptedNewPin(block("ISO-0", "networkintl", "zpk", "7351"))
                .encryptionMethod(EncryptionMethod.SYMMETRIC_ENC).encryptionKeyId(credential("networkintl", "zpk_id"));
        ExceptionDetails details = network.changeCardPinV1(new CardPinChangeRequestV1()
                .niSrvRequest(new ServiceRequestV1().requestCardPinChange(new ChangeV1().header(header).body(body))))
                .getNiSrvResponse().getResponseCardPinChange().getExceptionDetails();
        equal("status", ExceptionDetails.StatusEnum.S, details.getStatus());
        equal("error_code", "000", details.getErrorCode());
    }

    /** Resets the PIN to 2604. */
    private ResetPinReply accosaReset(String transaction, String last4) throws sdk.clients.accosa.ApiException {
        return accosa.resetPin(credential("accosa", "clientId"), credential("accosa", "bankId"),
                credential("accosa", "entityId"), credential("accosa", "secureCode"), new ResetPinMessage()
                        .messageCode(new ResetPinMessageMessageCode("1120")).clientTxnId(transaction)
                        .requestDateTime(OffsetDateTime.now(ZoneOffset.UTC).format(DateTimeFormatter.ofPattern("yyyyMMddHHmmss")))
                        .urn(new ResetPinMessageUrn(REFERENCE)).last4Digits(last4).customerId(CUSTOMER).newPIN("2604"), null);
    }

    private void refusedByAccosa() throws Exception {
        try {
            accosaReset("SDK-0001", "0000");
        } catch (sdk.clients.accosa.ApiException e) {
            equal("status", 404, e.getCode());
            equal("responseCode", "1231", new ObjectMapper().readValue(e.getResponseBody(), ResetPinError.class).getResponseCode());
            return;
        }
        throw new AssertionError("no refusal");
    }
}
