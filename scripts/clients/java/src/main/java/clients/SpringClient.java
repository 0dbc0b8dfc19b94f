package clients;

import clients.Report.Reply;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpMethod;
import org.springframework.http.HttpRequest;
import org.springframework.http.MediaType;
import org.springframework.http.client.ClientHttpResponse;
import org.springframework.http.client.JdkClientHttpRequestFactory;
import org.springframework.security.oauth2.client.AuthorizedClientServiceOAuth2AuthorizedClientManager;
import org.springframework.security.oauth2.client.InMemoryOAuth2AuthorizedClientService;
import org.springframework.security.oauth2.client.registration.ClientRegistration;
import org.springframework.security.oauth2.client.registration.InMemoryClientRegistrationRepository;
import org.springframework.security.oauth2.client.web.client.OAuth2ClientHttpRequestInterceptor;
import org.springframework.security.oauth2.core.AuthorizationGrantType;
import org.springframework.util.LinkedMultiValueMap;
import org.springframework.web.client.RestClient;

/** Spring's RestClient, whose tokens Spring Security gets: with HTTP Basic, as nothing else is said. */
record SpringClient(RestClient http) implements Client {
    SpringClient() {
        this(builder().build());
    }

    // What Spring takes where no other HTTP library is there; here Apache's is.
    private static RestClient.Builder builder() {
        return RestClient.builder().baseUrl(Report.URL).requestFactory(new JdkClientHttpRequestFactory());
    }

    @Override
    public String name() {
        return "Spring RestClient";
    }

    @Override
    public Client as(String registration, String tokenPath, String id, String secret) {
        var registrations = new InMemoryClientRegistrationRepository(ClientRegistration.withRegistrationId(registration)
                .authorizationGrantType(AuthorizationGrantType.CLIENT_CREDENTIALS)
                .tokenUri(Report.URL + tokenPath).clientId(id).clientSecret(secret).build());
        var manager = new AuthorizedClientServiceOAuth2AuthorizedClientManager(registrations,
                new InMemoryOAuth2AuthorizedClientService(registrations));
        var authorize = new OAuth2ClientHttpRequestInterceptor(manager);
        authorize.setClientRegistrationIdResolver(request -> registration);
        return new SpringClient(builder().requestInterceptor(authorize).requestInterceptor((request, body, execution) -> {
            Report.secret(request.getHeaders().getFirst(HttpHeaders.AUTHORIZATION).substring("Bearer ".length()));
            return execution.execute(request, body);
        }).build());
    }

    @Override
    public Reply get(String path, Map<String, String> headers) {
        return http.get().uri(path).headers(sent -> headers.forEach(sent::set)).exchange(SpringClient::read);
    }

    @Override
    public Reply form(String path, Map<String, String> fields) {
        return post(path, Map.of(), MediaType.APPLICATION_FORM_URLENCODED, values(fields));
    }

    @Override
    public Reply basic(String path, Map<String, String> fields, String id, String secret) {
        var basic = new HttpHeaders();
        basic.setBasicAuth(id, secret);
        return post(path, basic.toSingleValueMap(), MediaType.APPLICATION_FORM_URLENCODED, values(fields));
    }

    private static LinkedMultiValueMap<String, String> values(Map<String, String> fields) {
        var values = new LinkedMultiValueMap<String, String>();
        fields.forEach(values::add);
        return values;
    }

    @Override
    public Reply json(String method, String path, Map<String, String> headers, Object value) {
        return http.method(HttpMethod.valueOf(method)).uri(path).headers(sent -> headers.forEach(sent::set)).body(value).exchange(SpringClient::read);
    }

    @Override
    public Reply text(String path, Map<String, String> headers, String mediaType, String text) {
        return post(path, headers, MediaType.parseMediaType(mediaType), text);
    }

    private Reply post(String path, Map<String, String> headers, MediaType type, Object body) {
        return http.post().uri(path).headers(sent -> headers.forEach(sent::set)).contentType(type).body(body).exchange(SpringClient::read);
    }

    private static Reply read(HttpRequest request, ClientHttpResponse reply) throws java.io.IOException {
        return new Reply(reply.getStatusCode().value(), new String(reply.getBody().readAllBytes(), StandardCharsets.UTF_8));
    }
}
