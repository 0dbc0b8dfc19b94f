package io.pinvault;

import dev.failsafe.Failsafe;
import dev.failsafe.FailsafeException;
import dev.failsafe.RetryPolicy;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.Authenticator;
import java.net.CookieHandler;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpHeaders;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandler;
import java.net.http.HttpResponse.BodySubscriber;
import java.net.http.HttpResponse.PushPromiseHandler;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executor;
import java.util.concurrent.Flow;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSession;

/**
 * What sits beneath a generated client: an HttpClient that authorizes, seals what goes out and opens what comes back,
 * repeats what may be repeated, and throws what is an error.
 */
public final class Transport extends HttpClient {
    private static final Flow.Subscription NONE = new Flow.Subscription() {
        @Override
        public void request(long n) {}

        @Override
        public void cancel() {}
    };
    private static final Set<Integer> BUSY = Set.of(429, 502, 503, 504);
    /** How long a call waits by itself before it is repeated. Where a reply asks for more, it is the result. */
    private static final Duration LONGEST = Duration.ofSeconds(10);
    private static final RetryPolicy<HttpResponse<byte[]>> AGAIN = RetryPolicy.<HttpResponse<byte[]>>builder()
            .handle(IOException.class)
            .handleResultIf(reply -> reply != null && BUSY.contains(reply.statusCode())
                    && retryAfter(reply).orElse(Duration.ZERO).compareTo(LONGEST) <= 0)
            .withMaxRetries(3)
            .withBackoff(Duration.ofMillis(250), LONGEST)
            .withJitter(0.5)
            .withDelayFn(context -> delay(context.getLastResult()))
            .build();

    private final Contract contract;
    private final Envelope envelope;
    private final Authorize authorize;
    private final HttpClient next;

    /** Without an envelope messages are in the clear. */
    public Transport(Contract contract, Envelope envelope, Authorize authorize, HttpClient next) {
        this.contract = contract;
        this.envelope = envelope;
        this.authorize = authorize;
        this.next = next;
    }

    @Override
    public <T> HttpResponse<T> send(HttpRequest request, BodyHandler<T> handler) throws IOException, InterruptedException {
        // Beneath the sealing: what is repeated is the same message to the byte.
        HttpResponse<byte[]> reply = attempt(authorized(sealed(request)));
        boolean sealed = envelope != null && isJson(reply.headers());
        byte[] body = sealed ? envelope.unwrap(reply.body()) : reply.body();
        contract.raise(reply.statusCode(), new String(body, StandardCharsets.UTF_8), retryAfter(reply));
        return new Answer<>(reply, read(handler.apply(new Head(reply)), body));
    }

    @Override
    public <T> CompletableFuture<HttpResponse<T>> sendAsync(HttpRequest request, BodyHandler<T> handler) {
        return CompletableFuture.supplyAsync(() -> {
            try {
                return send(request, handler);
            } catch (IOException e) {
                throw new CompletionException(e);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new CompletionException(e);
            }
        });
    }

    @Override
    public <T> CompletableFuture<HttpResponse<T>> sendAsync(
            HttpRequest request, BodyHandler<T> handler, PushPromiseHandler<T> push) {
        return sendAsync(request, handler); // no server of these contracts pushes
    }

    /** Its JSON alone is sealed: the call for a token is a form. */
    private HttpRequest sealed(HttpRequest request) throws IOException {
        if (envelope == null || !isJson(request.headers()) || request.bodyPublisher().isEmpty()) {
            return request;
        }
        Envelope.Wrapped wrapped = envelope.wrap(request.uri().getPath(), bytes(request.bodyPublisher().get()));
        return HttpRequest.newBuilder(request, (name, value) -> true)
                .setHeader("Content-Type", wrapped.mediaType())
                .method(request.method(), HttpRequest.BodyPublishers.ofByteArray(wrapped.body()))
                .build();
    }

    private HttpRequest authorized(HttpRequest request) throws IOException, InterruptedException {
        HttpRequest.Builder out = HttpRequest.newBuilder(request, (name, value) -> true);
        authorize.authorize(out, new Transport(contract, null, Authorize.nobody(), next));
        return out.build();
    }

    /** Repeats what the contract lets be repeated. A call that lacks its idempotency key is given one. */
    private HttpResponse<byte[]> attempt(HttpRequest request) throws IOException, InterruptedException {
        Optional<Contract.Repeat> repeat = contract.repeat(request);
        HttpRequest out = request;
        if (repeat.isPresent() && !repeat.get().header().isEmpty()) {
            String header = repeat.get().header();
            Optional<String> sent = request.headers().firstValue(header);
            if (!repeat.get().value().isEmpty()) {
                repeat = repeat.filter(r -> sent.filter(r.value()::equals).isPresent());
            } else if (sent.isEmpty()) {
                out = HttpRequest.newBuilder(request, (name, value) -> true)
                        .setHeader(header, UUID.randomUUID().toString())
                        .build();
            }
        }
        HttpRequest once = out;
        if (repeat.isEmpty()) {
            return next.send(once, HttpResponse.BodyHandlers.ofByteArray());
        }
        try {
            return Failsafe.with(AGAIN).get(() -> next.send(once, HttpResponse.BodyHandlers.ofByteArray()));
        } catch (FailsafeException e) {
            if (e.getCause() instanceof IOException failed) {
                throw failed;
            }
            if (e.getCause() instanceof InterruptedException interrupted) {
                throw interrupted;
            }
            throw e;
        }
    }

    /** What a busy server asks for; negative, so that the policy's own pause counts, where it asks for nothing. */
    private static Duration delay(HttpResponse<byte[]> reply) {
        return Optional.ofNullable(reply).flatMap(Transport::retryAfter).orElse(Duration.ofSeconds(-1));
    }

    /** After how long a reply says that one may try again; empty for a date too, which only other servers name. */
    private static Optional<Duration> retryAfter(HttpResponse<byte[]> reply) {
        return reply.headers().firstValue("Retry-After").filter(after -> after.matches("[0-9]{1,9}"))
                .map(after -> Duration.ofSeconds(Long.parseLong(after)));
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

    /** What a reply begins with. */
    private record Head(HttpResponse<?> reply) implements HttpResponse.ResponseInfo {
        @Override
        public int statusCode() {
            return reply.statusCode();
        }

        @Override
        public HttpHeaders headers() {
            return reply.headers();
        }

        @Override
        public Version version() {
            return reply.version();
        }
    }

    /** A reply with its body as the caller wants it. */
    private record Answer<T>(HttpResponse<?> reply, T body) implements HttpResponse<T> {
        @Override
        public int statusCode() {
            return reply.statusCode();
        }

        @Override
        public HttpRequest request() {
            return reply.request();
        }

        @Override
        public Optional<HttpResponse<T>> previousResponse() {
            return Optional.empty();
        }

        @Override
        public HttpHeaders headers() {
            return reply.headers();
        }

        @Override
        public Optional<SSLSession> sslSession() {
            return reply.sslSession();
        }

        @Override
        public URI uri() {
            return reply.uri();
        }

        @Override
        public Version version() {
            return reply.version();
        }
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
