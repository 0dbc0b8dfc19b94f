package io.pinvault;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import java.net.http.HttpRequest;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.regex.Pattern;

/**
 * What has to be known of a contract beyond its operations.
 *
 * @param error makes the contract's exception
 * @param codeAt JSON pointers to a reply's code
 * @param textAt JSON pointers to what a reply says
 * @param advice what to do, by code or status
 * @param repeats what may be repeated
 */
public record Contract(
        Function<PinVaultException.Reply, PinVaultException> error,
        List<String> codeAt,
        List<String> textAt,
        Map<String, String> advice,
        List<Repeat> repeats) {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int FIRST_ERROR = 400;

    /** A call that may be repeated: where it bears a header, with a value where one is named. */
    public record Repeat(String method, Pattern path, String header, String value) {}

    Optional<Repeat> repeat(HttpRequest request) {
        return repeats.stream()
                .filter(r -> r.method.equals(request.method()) && r.path.matcher(request.uri().getPath()).find())
                .findFirst();
    }

    /** Throws what a reply is the error of, if it is one. */
    void raise(int status, String body, Optional<Duration> retryAfter) {
        JsonNode value = parsed(body);
        String found = at(value, codeAt);
        if (status < FIRST_ERROR && !advice.containsKey(found)) {
            return;
        }
        String code = found.isEmpty() ? String.valueOf(status) : found;
        String todo = advice.getOrDefault(code, advice.getOrDefault(String.valueOf(status), ""));
        throw error.apply(new PinVaultException.Reply(status, code, at(value, textAt), todo, body, retryAfter));
    }

    private static JsonNode parsed(String body) {
        try {
            JsonNode value = JSON.readTree(body);
            return value == null ? MissingNode.getInstance() : value;
        } catch (JsonProcessingException e) {
            return MissingNode.getInstance();
        }
    }

    /** The first text or number that one of the JSON pointers leads to, empty where there is none. */
    private static String at(JsonNode value, List<String> pointers) {
        return pointers.stream()
                .map(value::at)
                .filter(node -> node.isTextual() || node.isNumber())
                .map(JsonNode::asText)
                .filter(text -> !text.isEmpty())
                .findFirst()
                .orElse("");
    }
}
