package io.pinvault;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;

/** Has a request say who is calling. */
public interface Authorize {
    /** Sets the request's headers; what it needs for that is sent by the client. */
    void authorize(HttpRequest.Builder request, HttpClient client) throws IOException, InterruptedException;

    /** For contracts that ask nobody. */
    static Authorize nobody() {
        return (request, client) -> { };
    }

    /** A key in a header. */
    static Authorize apiKey(String header, String key) {
        return (request, client) -> request.setHeader(header, key);
    }

    /** The bearer token of a client (RFC 6749, 4.4), a fresh one a little before the last one is over. */
    static Authorize clientCredentials(String url, String id, String secret) {
        return new Authorize() {
            private static final Duration EARLY = Duration.ofSeconds(30);
            private final ObjectMapper json = new ObjectMapper();
            private String token;
            private Instant until = Instant.MIN;

            @Override
            public synchronized void authorize(HttpRequest.Builder request, HttpClient client)
                    throws IOException, InterruptedException {
                Instant now = Instant.now();
                if (!now.isBefore(until)) {
                    String form = "grant_type=client_credentials&client_id=" + encode(id) + "&client_secret=" + encode(secret);
                    HttpRequest ask = HttpRequest.newBuilder(URI.create(url))
                            .header("Content-Type", "application/x-www-form-urlencoded")
                            .POST(HttpRequest.BodyPublishers.ofString(form))
                            .build();
                    JsonNode issued = json.readTree(client.send(ask, HttpResponse.BodyHandlers.ofString()).body());
                    token = issued.path("access_token").asText();
                    until = now.plusSeconds(issued.path("expires_in").asLong()).minus(EARLY);
                }
                request.setHeader("Authorization", "Bearer " + token);
            }
        };
    }

    private static String encode(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8);
    }
}
