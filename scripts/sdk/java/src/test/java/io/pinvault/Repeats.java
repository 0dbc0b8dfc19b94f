package io.pinvault;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;

/** Holds the transport against a server that is busy at first: only what the contract lets be repeated is. */
public final class Repeats {
    private static final String PATH = "/apis/v2/x";

    private record Sent(String key, String mediaType, String body) {}

    private static int passed;
    private static String retryAfter = "0";
    private static Optional<Refused> error;

    private Repeats() {}

    public static void main(String[] arguments) throws Exception {
        MessageKey key = new MessageKey("00".repeat(32), "kid");
        attempts("a call that may", "x$", "", "", null, 2);
        List<Sent> withKey = attempts("a call with a key", "x$", "Idempotency-Key", "", null, 2);
        same("key", withKey.get(0).key, withKey.get(1).key);
        same("length of the key", 36, withKey.get(0).key.length());
        List<Sent> sealed = attempts("a sealed message", "x$", "Content-Type", "application/jose", key, 2);
        same("message", "{\"pin\":\"1234\"}", new String(key.open(sealed.get(0).body), StandardCharsets.UTF_8));
        same("media type", "application/jose", sealed.get(0).mediaType);
        attempts("a message that is to be sealed", "x$", "Content-Type", "application/jose", null, 1);
        attempts("a call that no contract promises", "elsewhere$", "", "", null, 1);
        patience("1", 2, Optional.empty());
        patience("11", 1, Optional.of(Duration.ofSeconds(11)));
        patience("86400", 1, Optional.of(Duration.ofDays(1)));
        System.out.println(passed);
    }

    /** A server that asks for more patience than a call has is an error at once, which says for how long. */
    private static void patience(String after, int want, Optional<Duration> told) throws Exception {
        retryAfter = after;
        attempts("a server that is busy for " + after + " seconds", "x$", "", "", null, want);
        same("told", told, error.flatMap(Refused::getRetryAfter));
    }

    private static List<Sent> attempts(String name, String path, String header, String value, MessageKey key, int want) throws Exception {
        List<Sent> sent = new ArrayList<>();
        error = Optional.empty();
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        server.createContext("/", exchange -> answer(exchange, sent));
        server.start();
        try {
            Contract contract = new Contract(Refused::new, List.of("/code"), List.of(), Map.of("503", "Later."),
                    List.of(new Contract.Repeat("POST", Pattern.compile(path), header, value)));
            Transport transport = new Transport(contract, key, Authorize.nobody(), HttpClient.newHttpClient());
            HttpRequest request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + server.getAddress().getPort() + "/prefix" + PATH))
                    .header("Content-Type", "application/json")
                    .POST(HttpRequest.BodyPublishers.ofString("{\"pin\":\"1234\"}"))
                    .build();
            try {
                same(name, 200, transport.send(request, HttpResponse.BodyHandlers.ofString()).statusCode());
            } catch (Refused e) {
                error = Optional.of(e);
                same(name, "503 503 Later.", e.getStatus() + " " + e.getCode() + " " + e.getAdvice());
            }
        } finally {
            server.stop(0);
        }
        same(name + ": attempts", want, sent.size());
        same(name + ": body", sent.get(0).body, sent.get(want - 1).body);
        passed++;
        return sent;
    }

    private static void answer(HttpExchange exchange, List<Sent> sent) throws IOException {
        String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
        sent.add(new Sent(exchange.getRequestHeaders().getFirst("Idempotency-Key"), exchange.getRequestHeaders().getFirst("Content-Type"), body));
        exchange.getResponseHeaders().set("Retry-After", retryAfter);
        exchange.sendResponseHeaders(sent.size() == 1 ? 503 : 200, -1);
        exchange.close();
    }

    private static void same(String what, Object want, Object got) {
        if (!want.equals(got)) {
            throw new AssertionError(what + ": " + got + ", not " + want);
        }
    }

    private static final class Refused extends PinVaultException {
        Refused(Reply reply) {
            super(reply);
        }
    }
}
