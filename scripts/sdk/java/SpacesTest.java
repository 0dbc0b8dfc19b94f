import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.pinvault.common.CommonException;
import io.pinvault.sandbox.model.RuleRequest;
import io.pinvault.testing.PinVaultExtension;
import io.pinvault.testing.PinVaultSandbox;
import io.pinvault.testing.PinVaultSpace;
import io.pinvault.thredd.ThreddApi;
import io.pinvault.thredd.ThreddException;
import io.pinvault.thredd.model.SetPinRequest;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** Two tests at once, each in a space of its own. */
@ExtendWith(PinVaultExtension.class)
class SpacesTest {
    private static final CyclicBarrier MEETING = new CyclicBarrier(2);

    @Test
    void oneSeesNothingOfTheOther(PinVaultSpace space) throws Exception {
        goes(space, "4826", true);
    }

    @Test
    void otherSeesNothingOfTheOne(PinVaultSpace space) throws Exception {
        goes(space, "7391", false);
    }

    private static void goes(PinVaultSpace space, String pin, boolean ahead) throws Exception {
        ThreddApi client = space.thredd();
        String token = space.card("normal").get("publicToken").toString();
        MEETING.await(1, TimeUnit.MINUTES);
        client.setCardPin(token, new SetPinRequest().pin(pin), null);
        if (ahead) {
            space.advance(Duration.ofDays(2));
            space.rule(new RuleRequest().row("getReadiness/not-ready"));
        }
        MEETING.await(1, TimeUnit.MINUTES);
        assertEquals(pin, space.thredd().getCardPin(token).getPin(), "with a token of that time");
        assertEquals(ahead, space.now().isAfter(OffsetDateTime.now().plusDays(1)));
        if (ahead) {
            assertThrows(CommonException.class, () -> space.common().getReadiness());
        } else {
            space.common().getReadiness();
        }
        assertEquals(1, space.journal(null, null, "setCardPin", null).size());
    }

    @Test
    void spaceGoesBackToWhatWasKept(PinVaultSpace space, PinVaultSandbox sandbox) throws Exception {
        ThreddApi client = space.thredd();
        String token = space.card("normal").get("publicToken").toString();
        Object pin = space.card("normal").get("pin");
        String kept = space.snapshot();
        client.setCardPin(token, new SetPinRequest().pin("4826"), null);
        try (PinVaultSpace other = sandbox.space(kept)) {
            assertEquals(pin, other.thredd().getCardPin(token).getPin());
        }
        space.restore(kept);
        assertEquals(pin, client.getCardPin(token).getPin());
        space.rule(new RuleRequest().fault(RuleRequest.FaultEnum.DATABASE).client(space.credential("thredd", "client_id")));
        assertThrows(ThreddException.class, () -> client.getCardPin(token));
        space.reset();
        space.clearJournal();
        assertTrue(space.journal().isEmpty());
    }

    @Test
    void sandboxIsStartedAndSeeded(@TempDir Path folder) throws Exception {
        Path seed = folder.resolve("seed.yaml");
        Files.writeString(seed, "cards: [{name: gold, pin: '4826', references: [{kind: publicToken, value: '207000001'}]}]");
        try (PinVaultSandbox sandbox = PinVaultSandbox.start(null, seed); PinVaultSpace space = sandbox.space()) {
            assertEquals("4826", space.thredd().getCardPin("207000001").getPin());
        }
        Files.writeString(seed, "cards: [{nam: gold}]");
        IllegalStateException refused = assertThrows(IllegalStateException.class, () -> PinVaultSandbox.start(null, seed));
        assertTrue(refused.getMessage().contains("nam is unknown"), refused.getMessage());
    }
}
