package clients;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.TreeMap;

/** What every client here says, a line a call, and where it notes what no log may hold. See scripts/clients/README.md. */
final class Report {
    static final String URL = System.getenv("PINVAULT_URL");
    static final String PLANTED = System.getenv("CLIENTS_PLANTED_PIN");
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Path SECRETS = Path.of(System.getenv("CLIENTS_SECRETS"));

    private final String client;

    Report(String client) {
        this.client = client;
    }

    static String secret(String text) {
        try {
            Files.writeString(SECRETS, text.lines().findFirst().orElseThrow() + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return text;
    }

    /** One line of the report. What was seen is shown where it is not what was wanted. */
    void told(String call, Object seen, Object wanted) {
        String outcome = seen.equals(wanted) ? "ok" : "FAILED\twanted " + wanted + ", got " + seen;
        System.out.println(client + "\t" + call + "\t" + outcome);
    }

    Reply expect(String call, Reply reply, int status) {
        return expect(call, reply, status, Map.of());
    }

    /** Holds a reply to its status and to some members of its JSON, each named by its JSON pointer, as text. */
    Reply expect(String call, Reply reply, int status, Map<String, String> wanted) {
        if (reply.status() != status) {
            told(call, reply.status() + " " + reply.body(), status);
            return reply;
        }
        Map<String, String> seen = new TreeMap<>();
        wanted.keySet().forEach(pointer -> seen.put(pointer, reply.text(pointer)));
        told(call, seen, new TreeMap<>(wanted));
        return reply;
    }

    record Reply(int status, String body) {
        String text(String pointer) {
            try {
                JsonNode at = JSON.readTree(body).at(pointer);
                return at.isMissingNode() ? "nothing" : at.asText();
            } catch (JsonProcessingException e) {
                return "no JSON";
            }
        }
    }
}
