package io.pinvault;

import java.io.IOException;

/** What a contract puts around its JSON: a {@link MessageKey} or a {@link TokenKey}. */
public sealed interface Envelope permits MessageKey, TokenKey {
    /** The media type and the body of a request to a path. */
    Wrapped wrap(String path, byte[] text) throws IOException;

    /** The JSON of a reply. */
    byte[] unwrap(byte[] body) throws IOException;

    /** A body as it goes out. */
    record Wrapped(String mediaType, byte[] body) {}
}
