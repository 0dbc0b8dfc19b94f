package io.pinvault;

import com.nimbusds.jose.EncryptionMethod;
import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JWEAlgorithm;
import com.nimbusds.jose.JWEHeader;
import com.nimbusds.jose.JWEObject;
import com.nimbusds.jose.Payload;
import com.nimbusds.jose.crypto.DirectDecrypter;
import com.nimbusds.jose.crypto.DirectEncrypter;
import java.nio.charset.StandardCharsets;
import java.security.SecureRandom;
import java.text.ParseException;
import java.util.HexFormat;

/** Seals and opens JWEs in compact serialization, with "alg":"dir" and "enc":"A256GCM". */
public final class MessageKey implements Envelope {
    private final byte[] key;
    private final String kid;

    /** Takes 32 bytes in hexadecimal, and the name under which the server knows them. */
    public MessageKey(String key, String kid) {
        this.key = HexFormat.of().parseHex(key);
        this.kid = kid;
        if (this.key.length != 32) {
            throw new IllegalArgumentException("a message key has 64 hexadecimal digits");
        }
    }

    /** The JWE of a text. */
    public String seal(byte[] text) {
        return seal(new JWEHeader.Builder(JWEAlgorithm.DIR, EncryptionMethod.A256GCM).keyID(kid).build(), new SecureRandom(), text);
    }

    String seal(JWEHeader header, SecureRandom random, byte[] text) {
        try {
            JWEObject message = new JWEObject(header, new Payload(text));
            DirectEncrypter encrypter = new DirectEncrypter(key);
            encrypter.getJCAContext().setSecureRandom(random);
            message.encrypt(encrypter);
            return message.serialize();
        } catch (JOSEException e) {
            throw new IllegalStateException(e);
        }
    }

    /** The text of a JWE under this key and its kid. */
    public byte[] open(String compact) throws UnopenableException {
        try {
            JWEObject message = JWEObject.parse(compact);
            JWEHeader header = message.getHeader();
            // What the header says may only agree with what was agreed on (RFC 8725, 3.1).
            if (!JWEAlgorithm.DIR.equals(header.getAlgorithm()) || !EncryptionMethod.A256GCM.equals(header.getEncryptionMethod())
                    || !kid.equals(header.getKeyID()) || header.getCompressionAlgorithm() != null
                    || header.getCriticalParams() != null) {
                throw new UnopenableException();
            }
            message.decrypt(new DirectDecrypter(key));
            return message.getPayload().toBytes();
        } catch (ParseException | JOSEException e) {
            throw new UnopenableException();
        }
    }

    /** A V2 request travels as a JWE. V1 knows no encryption. */
    @Override
    public Wrapped wrap(String path, byte[] text) {
        return path.contains("/apis/v2/")
                ? new Wrapped("application/jose", seal(text).getBytes(StandardCharsets.US_ASCII))
                : new Wrapped("application/json", text);
    }

    /** Replies are in the clear. */
    @Override
    public byte[] unwrap(byte[] body) {
        return body;
    }
}
