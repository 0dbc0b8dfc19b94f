import com.fasterxml.jackson.databind.ObjectMapper;
import io.pinvault.MessageKey;
import io.pinvault.PinBlocks;
import io.pinvault.PinVaultException;
import io.pinvault.TokenKey;
import io.pinvault.accosa.Accosa;
import io.pinvault.accosa.AccosaApi;
import io.pinvault.accosa.AccosaException;
import io.pinvault.accosa.model.ResetPinMessage;
import io.pinvault.accosa.model.ResetPinMessageMessageCode;
import io.pinvault.accosa.model.ResetPinMessageUrn;
import io.pinvault.accosa.model.ResetPinReply;
import io.pinvault.common.Common;
import io.pinvault.common.CommonApi;
import io.pinvault.common.CommonException;
import io.pinvault.creditplus.CreditPlus;
import io.pinvault.creditplus.CreditPlusException;
import io.pinvault.creditplus.CreditplusApi;
import io.pinvault.creditplus.model.Done;
import io.pinvault.creditplus.model.ResetRequest;
import io.pinvault.hashdt.Hashdt;
import io.pinvault.hashdt.HashdtApi;
import io.pinvault.hashdt.HashdtException;
import io.pinvault.hashdt.model.Version;
import io.pinvault.hosted.Hosted;
import io.pinvault.hosted.HostedApi;
import io.pinvault.hosted.HostedException;
import io.pinvault.hosted.model.Exchange;
import io.pinvault.issuer.Issuer;
import io.pinvault.issuer.IssuerApi;
import io.pinvault.issuer.IssuerException;
import io.pinvault.issuer.model.Approval;
import io.pinvault.issuer.model.ApprovalDecision;
import io.pinvault.issuer.model.ApprovalRequest;
import io.pinvault.issuer.model.Card;
import io.pinvault.issuer.model.CardRequest;
import io.pinvault.issuer.model.ClientLimits;
import io.pinvault.issuer.model.PinBlock;
import io.pinvault.issuer.model.PinCapability;
import io.pinvault.issuer.model.Reference;
import io.pinvault.issuer.model.Release;
import io.pinvault.issuer.model.Unblock;
import io.pinvault.issuer.model.Verification;
import io.pinvault.networkintl.NetworkIntl;
import io.pinvault.networkintl.NetworkIntlException;
import io.pinvault.networkintl.NetworkintlApi;
import io.pinvault.networkintl.model.BodyV1;
import io.pinvault.networkintl.model.CardPinChangeRequestV1;
import io.pinvault.networkintl.model.CardPinChangeResponse;
import io.pinvault.networkintl.model.ChangeV1;
import io.pinvault.networkintl.model.EncryptionMethod;
import io.pinvault.networkintl.model.ExceptionDetails;
import io.pinvault.networkintl.model.RequestHeader;
import io.pinvault.networkintl.model.ServiceRequestV1;
import io.pinvault.sandbox.Sandbox;
import io.pinvault.sandbox.model.Fixtures;
import io.pinvault.testing.PinVaultSandbox;
import io.pinvault.testing.PinVaultSpace;
import io.pinvault.thredd.Thredd;
import io.pinvault.thredd.ThreddApi;
import io.pinvault.thredd.ThreddException;
import io.pinvault.thredd.model.PinStatus;
import io.pinvault.thredd.model.SetPinRequest;
import io.pinvault.thredd.model.UnblockPinRequest;
import java.net.URI;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.temporal.ChronoUnit;
import java.util.UUID;

/** The scenario of scripts/sdk/README.md, by the installed package: one new card, one PIN, every contract. */
public final class Scenario {
    private static final String PAN = "9999990000001004";
    private static final String TOKEN = "103170001";
    private static final String IDENTIFIER = "DEVICE0000001001";
    private static final String WRONG = "9182";
    private static final String HALTED = "issuer_halted-sandbox";
    private static final String REASON = "Cardholder identified at the branch";
    private static final String SEALING = "creditplus_encrypted_only"; // the client of Credit+ that may not send in the clear

    private final PinVaultSpace space = PinVaultSandbox.start().space();
    private final String url = space.url();
    private final CommonApi common = Common.connect(url);
    private int steps;
    private Fixtures fixtures;
    private IssuerApi issuer;
    private IssuerApi approver;
    private ThreddApi thredd;
    private CreditplusApi creditplus;
    private NetworkintlApi network;
    private AccosaApi accosa;
    private HashdtApi hashdt;
    private HostedApi hosted;
    private String card;
    private String session;
    private String secret;
    private String dual;
    private String approval;
    private PinVaultException refusal;

    private interface Step {
        void go() throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        Scenario scenario = new Scenario();
        scenario.walk();
        scenario.space.close();
    }

    private void walk() throws Exception {
        step("sandbox: fixtures", () -> fixtures = Sandbox.connect(url).getSandboxFixtures(null));
        step("common: a token", () -> equal("token_type", "Bearer", token(credential("issuer", "client_secret"))));
        connect();
        step("issuer: create the card", this::createCard);
        step("thredd: set the PIN", () -> thredd.setCardPin(TOKEN, new SetPinRequest().pin("4826"), null));
        step("thredd: read the PIN", () -> reads("4826"));
        for (int left = 2; left >= 0; left--) {
            int tries = left;
            step("issuer: verify a PIN, mismatch, tries " + tries,
                    () -> verifies(WRONG, "ISO-0", "zpk", Verification.ResultEnum.MISMATCH, tries));
        }
        step("issuer: verify a PIN, blocked, tries 0", () -> verifies("4826", "ISO-0", "zpk", Verification.ResultEnum.BLOCKED, 0));
        step("thredd: status, Blocked, tries 0", () -> counts(PinStatus.StatusEnum.BLOCKED, "0"));
        step("creditplus: reset the try counter, sealed", () -> {
            Done done = resetTries(IDENTIFIER);
            equal("code", Done.CodeEnum.OK, done.getCode());
            equal("serviceRequestNumber", "SR", done.getServiceRequestNumber().substring(0, 2));
        });
        step("thredd: status, Unblocked, tries 3", () -> counts(PinStatus.StatusEnum.UNBLOCKED, "3"));
        step("networkintl: change the PIN", () -> {
            ExceptionDetails details = change(PAN).getNiSrvResponse().getResponseCardPinChange().getExceptionDetails();
            equal("status", ExceptionDetails.StatusEnum.S, details.getStatus());
            equal("error_code", "000", details.getErrorCode());
        });
        step("thredd: read the PIN", () -> reads("7351"));
        step("issuer: verify a PIN, mismatch, tries 2", () -> verifies(WRONG, "ISO-0", "zpk", Verification.ResultEnum.MISMATCH, 2));
        refused("accosa: another card is unknown, sealed", AccosaException.class, 404, AccosaException.CODE_1231, () -> forgotten("0000"));
        step("accosa: reset the PIN, sealed",
                () -> equal("responseCode", ResetPinReply.ResponseCodeEnum._00, forgotten("1004").getResponseCode()));
        step("issuer: verify a PIN, match, tries 3", () -> verifies("2604", "ISO-4", "zpk_aes", Verification.ResultEnum.MATCH, 3));
        step("issuer: status, the tries full", () -> {
            var status = issuer.getPinStatus(card);
            equal("state", io.pinvault.issuer.model.PinStatus.StateEnum.CHOSEN, status.getState());
            equal("blocked", false, status.getBlocked());
            equal("remainingTries", 3, status.getRemainingTries());
            equal("tryLimit", 3, status.getTryLimit());
        });
        step("thredd: read the PIN", () -> reads("2604"));
        step("hashdt: a page for the cardholder", () -> {
            URI link = URI.create(page("CD00001001"));
            session = link.getPath().substring(link.getPath().lastIndexOf('/') + 1);
            secret = link.getFragment();
        });
        step("issuer: how the page fares", () -> {
            var fares = issuer.getPinSession(session);
            equal("state", "opened", fares.getState().getValue());
            equal("card", card, fares.getCardId());
        });
        refused("hosted: a secret that is not the link's", HostedException.class, 404, HostedException.UNUSABLE,
                () -> hosted.exchangeSecret(session, new Exchange().secret("A".repeat(43))));
        step("hosted: the link's secret",
                () -> equal("a token", false, hosted.exchangeSecret(session, new Exchange().secret(secret)).getToken().isEmpty()));
        step("issuer: what can be done with the PIN", () -> {
            var told = issuer.getPinCapabilities(card, null);
            equal("language", "en", told.getLanguage());
            equal("possible", true, told.getCapabilities().stream().allMatch(PinCapability::getPossible));
        });
        approved();
        step("issuer: a client that is halted", () -> equal("halted", true, issuer.getClient(HALTED).getHalted() != null));
        step("issuer: release it", () -> equal("halted", false,
                issuer.releaseClient(HALTED, new Release().reason("Another zone key"), null).getHalted() != null));
        step("issuer: one unblock a card and day for thredd", () -> equal("limit", 1L, issuer.setClientLimits(
                "thredd-sandbox", new ClientLimits().unblocksPerCardAndDay(1L)).getLimits().getUnblocksPerCardAndDay()));
        refused("thredd: one unblock too many", ThreddException.class, 429, ThreddException.CODE_429,
                () -> thredd.unblockCardPin(TOKEN, null, new UnblockPinRequest()));
        equal("told to wait for hours", true, refusal.getRetryAfter().orElseThrow().compareTo(Duration.ofHours(1)) > 0);
        refused("common: a wrong client secret", CommonException.class, 401, CommonException.INVALID_CLIENT, () -> token("wrong"));
        refused("thredd: an unknown card", ThreddException.class, 404, ThreddException.CODE_404, () -> thredd.getCardPin("999999999"));
        refused("creditplus: an unknown card, sealed", CreditPlusException.class, 400, CreditPlusException.RECORD_NOT_FOUND,
                () -> resetTries("DEVICE0000009999"));
        refused("networkintl: an unknown card", NetworkIntlException.class, 200, NetworkIntlException.CODE_889,
                () -> change("9999990000009999"));
        refused("hashdt: an unknown card", HashdtException.class, 404, HashdtException.CODE_404, () -> page("CD00009999"));
        refused("issuer: an unknown card", IssuerException.class, 404, IssuerException.NOT_FOUND,
                () -> issuer.getCard(UUID.randomUUID().toString()));
    }

    /** Unblocks a PIN of a program that asks for a second client's approval. */
    private void approved() throws Exception {
        dual = String.valueOf(fixtures.getCards().get("dual").get("cardId"));
        ApprovalDecision grant = new ApprovalDecision().decision(ApprovalDecision.DecisionEnum.GRANT);
        step("issuer: request an approval", () -> {
            Approval asked = issuer.requestApproval(
                    dual, new ApprovalRequest().action(ApprovalRequest.ActionEnum.UNBLOCK).reason(REASON), null);
            equal("state", Approval.StateEnum.PENDING, asked.getState());
            equal("client", "issuer-sandbox", asked.getClientId());
            approval = asked.getApprovalId();
        });
        refused("issuer: nobody grants what they have asked for", IssuerException.class, 409, IssuerException.SAME_CLIENT,
                () -> issuer.decideApproval(approval, grant, null));
        step("issuer: another client grants it",
                () -> equal("state", Approval.StateEnum.GRANTED, approver.decideApproval(approval, grant, null).getState()));
        step("issuer: unblock a PIN, approved", () -> issuer.unblockPin(dual, new Unblock().reason(REASON), null));
        refused("issuer: an approval is good for once", IssuerException.class, 409, IssuerException.APPROVAL_NEEDED,
                () -> issuer.unblockPin(dual, new Unblock().reason(REASON), null));
    }

    /** One row of the table; what comes after one that fails would say nothing. */
    private void step(String name, Step step) throws Exception {
        step.go();
        steps++;
        System.out.printf("%2d %s%n", steps, name);
    }

    /** The error that a call throws: it must be of the contract, and have status and code. */
    private void refused(String name, Class<? extends PinVaultException> kind, int status, String code, Step step) throws Exception {
        step(name, () -> {
            try {
                step.go();
            } catch (PinVaultException e) {
                refusal = e;
                equal("the error", kind, e.getClass());
                equal("status", status, e.getStatus());
                equal("code", code, e.getCode());
                equal("without advice", false, e.getAdvice().isEmpty());
                return;
            }
            throw new AssertionError(name + ": no error");
        });
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

    private String token(String secret) throws Exception {
        return common.issueToken("client_credentials", credential("issuer", "client_id"), secret, null).getTokenType().getValue();
    }

    private void connect() {
        issuer = Issuer.connect(url, credential("issuer", "client_id"), credential("issuer", "client_secret"));
        approver = Issuer.connect(url, credential("issuer_approver", "client_id"), credential("issuer_approver", "client_secret"));
        thredd = Thredd.connect(url, credential("thredd", "client_id"), credential("thredd", "client_secret"));
        network = NetworkIntl.connect(url, credential("networkintl", "client_id"), credential("networkintl", "client_secret"));
        creditplus = CreditPlus.connect(url, credential(SEALING, "client_id"), credential(SEALING, "client_secret"),
                new MessageKey(credential(SEALING, "key_hex"), credential(SEALING, "key_id")));
        accosa = Accosa.connect(url, credential("accosa", "x-api-key"), new TokenKey(credential("accosa", "key_hex")));
        hashdt = Hashdt.connect(url, credential("hashdt", "x-api-key"));
        hosted = Hosted.connect(url);
    }

    private void createCard() throws Exception {
        Card made = issuer.createCard(new CardRequest()
                .programId(String.valueOf(fixtures.getCards().get("normal").get("programId")))
                .pan(PAN).expiry("3112").sequence("01").customerId("IN00001201001001")
                .cardholderId("CH00001001").walletId("WL00001001")
                .addReferencesItem(new Reference().kind(Reference.KindEnum.PUBLIC_TOKEN).value(TOKEN))
                .addReferencesItem(new Reference().kind(Reference.KindEnum.URN).value("70000001001"))
                .addReferencesItem(new Reference().kind(Reference.KindEnum.IDENTIFIER).value(IDENTIFIER))
                .addReferencesItem(new Reference().kind(Reference.KindEnum.HASHDT_CARD_ID).value("CD00001001")), null);
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
    private String block(String format, String client, String key, String pan, String pin) {
        return PinBlocks.encrypt(format, credential(client, key + "_hex"), pan, pin);
    }

    private void verifies(String pin, String format, String key, Verification.ResultEnum result, int tries) throws Exception {
        Verification verified = issuer.verifyPin(card, new PinBlock()
                .pinBlock(block(format, "issuer", key, PAN, pin))
                .format(PinBlock.FormatEnum.fromValue(format))
                .keyId(credential("issuer", key + "_id")), null);
        equal("result", result, verified.getResult());
        equal("remainingTries", tries, verified.getRemainingTries());
    }

    private Done resetTries(String identifier) throws Exception {
        OffsetDateTime now = OffsetDateTime.now(ZoneOffset.UTC).truncatedTo(ChronoUnit.SECONDS);
        return creditplus.resetPinRetryCounterV2(new ResetRequest()
                .timestamp(now).dataValidUntilTimestamp(now.plusHours(1)).identifier(identifier), null);
    }

    private CardPinChangeResponse change(String pan) throws Exception {
        RequestHeader header = new RequestHeader()
                .msgId(UUID.randomUUID().toString().substring(0, 12)).msgType(RequestHeader.MsgTypeEnum.TRANSACTION)
                .msgFunction(RequestHeader.MsgFunctionEnum.REQ_CARD_PIN_CHANGE)
                .srcApplication("IVR").targetApplication("PCMS")
                .timestamp(OffsetDateTime.now(ZoneOffset.UTC).truncatedTo(ChronoUnit.SECONDS).format(DateTimeFormatter.ISO_OFFSET_DATE_TIME))
                .bankId(credential("networkintl", "bank_id"));
        BodyV1 body = new BodyV1()
                .cardNumber(pan).cardExpiryDate("3112").cardSequenceNumber("01")
                .encryptedOldPin(block("ISO-0", "networkintl", "zpk", pan, "4826"))
                .encryptedNewPin(block("ISO-0", "networkintl", "zpk", pan, "7351"))
                .encryptionMethod(EncryptionMethod.SYMMETRIC_ENC).encryptionKeyId(credential("networkintl", "zpk_id"));
        return network.changeCardPinV1(new CardPinChangeRequestV1()
                .niSrvRequest(new ServiceRequestV1().requestCardPinChange(new ChangeV1().header(header).body(body))));
    }

    /** Resets the PIN to 2604. */
    private ResetPinReply forgotten(String last4) throws Exception {
        return accosa.resetPin(credential("accosa", "clientId"), credential("accosa", "bankId"),
                credential("accosa", "entityId"), credential("accosa", "secureCode"), new ResetPinMessage()
                        .messageCode(new ResetPinMessageMessageCode("1120")).clientTxnId(UUID.randomUUID().toString())
                        .requestDateTime(OffsetDateTime.now(ZoneOffset.UTC).format(DateTimeFormatter.ofPattern("yyyyMMddHHmmss")))
                        .urn(new ResetPinMessageUrn("70000001001")).last4Digits(last4).customerId("IN00001201001001").newPIN("2604"), null);
    }

    /** The link to the page on which the cardholder chooses a PIN. */
    private String page(String cardId) throws Exception {
        var fetched = hashdt.resetPin(Version.V1, credential("hashdt", "x-product-id"),
                "CH00001001", "WL00001001", cardId, UUID.randomUUID().toString(), null);
        return new ObjectMapper().findAndRegisterModules().valueToTree(fetched).at("/data/0/set_pin_url").textValue();
    }
}
