package clients;

import clients.Report.Reply;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Map;
import java.util.stream.Collectors;

/** Java's own HttpClient, which asks for HTTP/2 over clear text with every first request. */
record JdkClient(HttpClient http, ObjectMapper json, String authorization) implements Client {
    JdkClient() {
        this(HttpClient.newHttpClient(), new ObjectMapper(), null);
    }

    @Override
    public String name() {
        return "Java HttpClient";
    }

    @Override
    public Client as(String registration, String tokenPath, String id, String secret) throws Exception {
        Reply given = form(tokenPath, Map.of("grant_type", "client_credentials", "client_id", id, "client_secret", secret));
        return new JdkClient(http, json, "Bearer " + Report.secret(given.text("/access_token")));
    }

    @Override
    public Reply get(String path, Map<String, String> headers) throws Exception {
        return send("GET", path, headers, BodyPublishers.noBody());
    }

    @Override
    public Reply form(String path, Map<String, String> fields) throws Exception {
        return send("POST", path, Map.of("Content-Type", "application/x-www-form-urlencoded"), encoded(fields));
    }

    @Override
    public Reply basic(String path, Map<String, String> fields, String id, String secret) throws Exception {
        String credentials = Base64.getEncoder().encodeToString((id + ":" + secret).getBytes(StandardCharsets.UTF_8));
        return send("POST", path, Map.of("Content-Type", "application/x-www-form-urlencoded", "Authorization", "Basic " + credentials),
                encoded(fields));
    }

    private static BodyPublisher encoded(Map<String, String> fields) {
        return BodyPublishers.ofString(fields.entrySet().stream()
                .map(field -> field.getKey() + "=" + URLEncoder.encode(field.getValue(), StandardCharsets.UTF_8))
                .collect(Collectors.joining("&")));
    }

    @Override
    public Reply json(String method, String path, Map<String, String> headers, Object value) throws Exception {
        var request = request(path, headers).header("Content-Type", "application/json");
        return sent(request.method(method, BodyPublishers.ofString(json.writeValueAsString(value))));
    }

    @Override
    public Reply text(String path, Map<String, String> headers, String mediaType, String text) throws Exception {
        return sent(request(path, headers).header("Content-Type", mediaType).POST(BodyPublishers.ofString(text)));
    }

    private Reply send(String method, String path, Map<String, String> headers, BodyPublisher body) throws Exception {
        return sent(request(path, headers).method(method, body));
    }

    private HttpRequest.Builder request(String path, Map<String, String> headers) {
        var request = HttpRequest.newBuilder(URI.create(Report.URL + path));
        if (authorization != null) {
            request.header("Authorization", authorization);
        }
        headers.forEach(request::header);
        return request;
    }

    private Reply sent(HttpRequest.Builder request) throws Exception {
        var reply = http.send(request.build(), HttpResponse.BodyHandlers.ofString());
        return new Reply(reply.statusCode(), reply.body());
    }
}
