package clients;

import clients.Report.Reply;
import java.util.Map;

/** An HTTP library, with its own way of sending forms, credentials and JSON. What it adds by itself stays as it is. */
interface Client {
    String name();

    /** The same library, calling with a token that it gets with a partner's credentials. */
    Client as(String registration, String tokenPath, String id, String secret) throws Exception;

    Reply get(String path, Map<String, String> headers) throws Exception;

    Reply form(String path, Map<String, String> fields) throws Exception;

    /** A form sent with HTTP Basic. */
    Reply basic(String path, Map<String, String> fields, String id, String secret) throws Exception;

    /** JSON as the library's mapper makes it: what is null in a record is null in JSON. */
    Reply json(String method, String path, Map<String, String> headers, Object value) throws Exception;

    Reply text(String path, Map<String, String> headers, String mediaType, String text) throws Exception;
}
