package sdk.transport;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.Authenticator;
import java.net.CookieHandler;
import java.net.ProxySelector;
import java.net.http.HttpClient;
import java.net.http.HttpHeaders;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandler;
import java.net.http.HttpResponse.BodySubscriber;
import java.net.http.HttpResponse.BodySubscribers;
import java.net.http.HttpResponse.PushPromiseHandler;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.Flow;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;

/**
 * What sits beneath a generated client where a contract encrypts its messages: an HttpClient that seals what goes out
 * and opens what comes back. The generated client speaks in clear; its ApiClient returns this from getHttpClient.
 */
public final class Transport extends HttpClient {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Flow.Subscription NONE = new Flow.Subscription() {
        @Override
        public void request(long n) {}

        @Override
        public void cancel() {}
    };

    /** How a contract encrypts. */
    private interface Sealing {
        boolean seals(HttpRequest request);

        String mediaType();

        byte[] seal(byte[] text) throws IOException;

        byte[] open(byte[] body) throws IOException;
    }

    /** Seals the requests of Credit+ V2. V1 knows no encryption, and replies are in clear. */
    public static HttpClient creditPlus(MessageKey key, HttpClient next) {
        return new Transport(next, new Sealing() {
            @Override
            public boolean seals(HttpRequest request) {
                return request.uri().getPath().contains("/apis/v2/");
            }

            @Override
            public String mediaType() {
                return "application/jose";
            }

            @Override
            public byte[] seal(byte[] text) {
                return key.seal(text).getBytes(StandardCharsets.US_ASCII);
            }

            @Override
            public byte[] open(byte[] body) {
                return body;
            }
        });
    }

    /**
     * Seals the requests of Accosa and opens its replies. A reply without a token passes as it is: an error that came
     * before the request's token was opened is in clear.
     */
    public static HttpClient accosa(TokenKey key, HttpClient next) {
        return new Transport(next, new Sealing() {
            @Override
            public boolean seals(HttpRequest request) {
                return true;
            }

            @Override
            public String mediaType() {
                return "application/json";
            }

            @Override
            public byte[] seal(byte[] text) throws IOException {
                return JSON.writeValueAsBytes(Map.of("token", key.seal(text)));
            }

            @Override
            public byte[] open(byte[] body) throws IOException {
                JsonNode token = JSON.readTree(body).path("token");
                return token.isTextual() ? key.open(token.textValue()) : body;
            }
        });
    }

    private final HttpClient next;
    private final Sealing sealing;

    private Transport(HttpClient next, Sealing sealing) {
        this.next = next;
        this.sealing = sealing;
    }

    @Override
    public <T> HttpResponse<T> send(HttpRequest request, BodyHandler<T> handler) throws IOException, InterruptedException {
        return next.send(sealed(request), opening(handler));
    }

    @Override
    public <T> CompletableFuture<HttpResponse<T>> sendAsync(HttpRequest request, BodyHandler<T> handler) {
        return sendAsync(request, handler, null);
    }

    @Override
    public <T> CompletableFuture<HttpResponse<T>> sendAsync(
            HttpRequest request, BodyHandler<T> handler, PushPromiseHandler<T> push) {
        try {
            return next.sendAsync(sealed(request), opening(handler), push);
        } catch (IOException e) {
            return CompletableFuture.failedFuture(e);
        }
    }

    private HttpRequest sealed(HttpRequest request) throws IOException {
        if (!sealing.seals(request) || !isJson(request.headers()) || request.bodyPublisher().isEmpty()) {
            return request;
        }
        byte[] body = sealing.seal(bytes(request.bodyPublisher().get()));
        return HttpRequest.newBuilder(request, (name, value) -> !name.equalsIgnoreCase("Content-Type"))
                .header("Content-Type", sealing.mediaType())
                .method(request.method(), HttpRequest.BodyPublishers.ofByteArray(body))
                .build();
    }

    private <T> BodyHandler<T> opening(BodyHandler<T> handler) {
        return info -> !isJson(info.headers()) ? handler.apply(info)
                : BodySubscribers.mapping(BodySubscribers.ofByteArray(), body -> {
                    try {
                        return read(handler.apply(info), sealing.open(body));
                    } catch (IOException e) {
                        throw new UncheckedIOException(e);
                    }
                });
    }

    private static boolean isJson(HttpHeaders headers) {
        return headers.firstValue("Content-Type").orElse("").split(";")[0].strip().equalsIgnoreCase("application/json");
    }

    /** What a subscriber makes of a body that is all there. */
    private static <T> T read(BodySubscriber<T> subscriber, byte[] body) {
        subscriber.onSubscribe(NONE);
        if (body.length > 0) {
            subscriber.onNext(List.of(ByteBuffer.wrap(body)));
        }
        subscriber.onComplete();
        return subscriber.getBody().toCompletableFuture().join();
    }

    /** All that a publisher has to say. */
    private static byte[] bytes(HttpRequest.BodyPublisher publisher) {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        CompletableFuture<byte[]> done = new CompletableFuture<>();
        publisher.subscribe(new Flow.Subscriber<>() {
            @Override
            public void onSubscribe(Flow.Subscription subscription) {
                subscription.request(Long.MAX_VALUE);
            }

            @Override
            public void onNext(ByteBuffer part) {
                byte[] raw = new byte[part.remaining()];
                part.get(raw);
                all.writeBytes(raw);
            }

            @Override
            public void onError(Throwable cause) {
                done.completeExceptionally(cause);
            }

            @Override
            public void onComplete() {
                done.complete(all.toByteArray());
            }
        });
        return done.join();
    }

    @Override
    public Optional<CookieHandler> cookieHandler() {
        return next.cookieHandler();
    }

    @Override
    public Optional<Duration> connectTimeout() {
        return next.connectTimeout();
    }

    @Override
    public Redirect followRedirects() {
        return next.followRedirects();
    }

    @Override
    public Optional<ProxySelector> proxy() {
        return next.proxy();
    }

    @Override
    public SSLContext sslContext() {
        return next.sslContext();
    }

    @Override
    public SSLParameters sslParameters() {
        return next.sslParameters();
    }

    @Override
    public Optional<Authenticator> authenticator() {
        return next.authenticator();
    }

    @Override
    public Version version() {
        return next.version();
    }

    @Override
    public Optional<Executor> executor() {
        return next.executor();
    }
}
