package clients;

import clients.Report.Reply;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import org.apache.hc.client5.http.classic.methods.HttpGet;
import org.apache.hc.client5.http.classic.methods.HttpPost;
import org.apache.hc.client5.http.classic.methods.HttpUriRequestBase;
import org.apache.hc.client5.http.entity.UrlEncodedFormEntity;
import org.apache.hc.client5.http.impl.classic.CloseableHttpClient;
import org.apache.hc.client5.http.impl.classic.HttpClients;
import org.apache.hc.core5.http.ContentType;
import org.apache.hc.core5.http.NameValuePair;
import org.apache.hc.core5.http.io.entity.EntityUtils;
import org.apache.hc.core5.http.io.entity.StringEntity;
import org.apache.hc.core5.http.message.BasicNameValuePair;

/** Apache HttpClient 5: a form says charset=ISO-8859-1, and a GET that was given an empty entity says of what type it is. */
record ApacheClient(CloseableHttpClient http, ObjectMapper json, String authorization) implements Client {
    ApacheClient() {
        this(HttpClients.createDefault(), new ObjectMapper(), null);
    }

    @Override
    public String name() {
        return "Apache HttpClient 5";
    }

    @Override
    public Client as(String registration, String tokenPath, String id, String secret) throws Exception {
        Reply given = form(tokenPath, Map.of("grant_type", "client_credentials", "client_id", id, "client_secret", secret));
        return new ApacheClient(http, json, "Bearer " + Report.secret(given.text("/access_token")));
    }

    @Override
    public Reply get(String path, Map<String, String> headers) throws Exception {
        var request = new HttpGet(Report.URL + path);
        request.setEntity(new StringEntity("", ContentType.APPLICATION_JSON));
        return sent(request, headers);
    }

    @Override
    public Reply form(String path, Map<String, String> fields) throws Exception {
        return sent(formed(path, fields), Map.of());
    }

    @Override
    public Reply basic(String path, Map<String, String> fields, String id, String secret) throws Exception {
        String credentials = Base64.getEncoder().encodeToString((id + ":" + secret).getBytes(StandardCharsets.ISO_8859_1));
        return sent(formed(path, fields), Map.of("Authorization", "Basic " + credentials));
    }

    private static HttpPost formed(String path, Map<String, String> fields) {
        var request = new HttpPost(Report.URL + path);
        List<NameValuePair> pairs = fields.entrySet().stream()
                .<NameValuePair>map(field -> new BasicNameValuePair(field.getKey(), field.getValue())).toList();
        request.setEntity(new UrlEncodedFormEntity(pairs));
        return request;
    }

    @Override
    public Reply json(String method, String path, Map<String, String> headers, Object value) throws Exception {
        var request = new HttpUriRequestBase(method, java.net.URI.create(Report.URL + path));
        request.setEntity(new StringEntity(json.writeValueAsString(value), ContentType.APPLICATION_JSON));
        return sent(request, headers);
    }

    @Override
    public Reply text(String path, Map<String, String> headers, String mediaType, String text) throws Exception {
        var request = new HttpPost(Report.URL + path);
        request.setEntity(new StringEntity(text, ContentType.create(mediaType, StandardCharsets.UTF_8)));
        return sent(request, headers);
    }

    private Reply sent(HttpUriRequestBase request, Map<String, String> headers) throws Exception {
        if (authorization != null) {
            request.setHeader("Authorization", authorization);
        }
        headers.forEach(request::setHeader);
        return http.execute(request, reply ->
                new Reply(reply.getCode(), reply.getEntity() == null ? "" : EntityUtils.toString(reply.getEntity())));
    }
}
