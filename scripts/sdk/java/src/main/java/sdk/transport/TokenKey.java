package sdk.transport;

import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import javax.crypto.Cipher;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/** Seals and opens Accosa's tokens: base64 of an IV and AES-192 in CBC mode with PKCS#7 padding. */
public final class TokenKey {
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
}
