package io.pinvault;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.Map;
import javax.crypto.Cipher;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/** Seals and opens Accosa's tokens: base64 of an IV and AES-192 in CBC mode with PKCS#7 padding. */
public final class TokenKey implements Envelope {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int BLOCK = 16;

    private final SecretKeySpec key;

    /** Takes 24 bytes in hexadecimal. */
    public TokenKey(String key) {
        byte[] raw = HexFormat.of().parseHex(key);
        if (raw.length != 24) {
            throw new IllegalArgumentException("a token key has 48 hexadecimal digits");
        }
        this.key = new SecretKeySpec(raw, "AES");
    }

    /** The token of a text. */
    public String seal(byte[] text) {
        byte[] iv = new byte[BLOCK];
        new SecureRandom().nextBytes(iv);
        return seal(iv, text);
    }

    String seal(byte[] iv, byte[] text) {
        try {
            byte[] body = cipher(Cipher.ENCRYPT_MODE, iv).doFinal(text);
            byte[] all = Arrays.copyOf(iv, BLOCK + body.length);
            System.arraycopy(body, 0, all, BLOCK, body.length);
            return Base64.getEncoder().encodeToString(all);
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }

    /** The text of a token. */
    public byte[] open(String token) throws UnopenableException {
        try {
            byte[] sent = Base64.getDecoder().decode(token);
            // The decoder is lax about the end: there is one spelling.
            if (!Base64.getEncoder().encodeToString(sent).equals(token) || sent.length < 2 * BLOCK) {
                throw new UnopenableException();
            }
            return cipher(Cipher.DECRYPT_MODE, Arrays.copyOf(sent, BLOCK)).doFinal(sent, BLOCK, sent.length - BLOCK);
        } catch (IllegalArgumentException | GeneralSecurityException e) {
            throw new UnopenableException();
        }
    }

    private Cipher cipher(int mode, byte[] iv) throws GeneralSecurityException {
        Cipher cipher = Cipher.getInstance("AES/CBC/PKCS5Padding"); // Java's name for PKCS#7
        cipher.init(mode, key, new IvParameterSpec(iv));
        return cipher;
    }

    /** Every request travels as {"token": "…"}. */
    @Override
    public Wrapped wrap(String path, byte[] text) throws IOException {
        return new Wrapped("application/json", JSON.writeValueAsBytes(Map.of("token", seal(text))));
    }

    /** So do replies, but for errors that came before the request's token was opened. */
    @Override
    public byte[] unwrap(byte[] body) throws IOException {
        try {
            JsonNode token = JSON.readTree(body).path("token");
            return token.isTextual() ? open(token.textValue()) : body;
        } catch (JsonProcessingException e) {
            return body;
        }
    }
}
