package clients;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.nimbusds.jose.EncryptionMethod;
import com.nimbusds.jose.JWEAlgorithm;
import com.nimbusds.jose.JWEHeader;
import com.nimbusds.jose.JWEObject;
import com.nimbusds.jose.Payload;
import com.nimbusds.jose.crypto.DirectEncrypter;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.Key;
import java.security.SecureRandom;
import java.util.Base64;
import java.util.HexFormat;
import javax.crypto.Cipher;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/** What partners encrypt, by nimbus and by the ciphers of Java itself. */
final class Sealing {
    private static final ObjectMapper JSON = new ObjectMapper();

    private Sealing() {}

    /** Credit+: a JWE by nimbus. */
    static String jwe(Object message, String key, String kid) throws Exception {
        var header = new JWEHeader.Builder(JWEAlgorithm.DIR, EncryptionMethod.A256GCM).keyID(kid).build();
        var sealed = new JWEObject(header, new Payload(JSON.writeValueAsString(message)));
        sealed.encrypt(new DirectEncrypter(HexFormat.of().parseHex(key)));
        return sealed.serialize();
    }

    /** Accosa: the IV and AES-192-CBC with PKCS#5 padding, in base64. */
    static String token(Object message, String key, Base64.Encoder encoder) throws Exception {
        byte[] iv = new byte[16];
        new SecureRandom().nextBytes(iv);
        byte[] sealed = accosa(Cipher.ENCRYPT_MODE, key, iv).doFinal(JSON.writeValueAsBytes(message));
        byte[] whole = java.util.Arrays.copyOf(iv, iv.length + sealed.length);
        System.arraycopy(sealed, 0, whole, iv.length, sealed.length);
        return Report.secret(encoder.encodeToString(whole));
    }

    static String opened(String token, String key) throws Exception {
        byte[] whole = Base64.getDecoder().decode(token);
        byte[] clear = accosa(Cipher.DECRYPT_MODE, key, java.util.Arrays.copyOf(whole, 16)).doFinal(whole, 16, whole.length - 16);
        return new String(clear, StandardCharsets.UTF_8);
    }

    private static Cipher accosa(int mode, String key, byte[] iv) throws GeneralSecurityException {
        Cipher cipher = Cipher.getInstance("AES/CBC/PKCS5Padding");
        cipher.init(mode, new SecretKeySpec(HexFormat.of().parseHex(key), "AES"), new IvParameterSpec(iv));
        return cipher;
    }

    /** A PIN block of format 0 (ISO 9564-1) under a TDES key of two parts, in hexadecimal. */
    static String underZpk(String key, String pan, String pin) throws GeneralSecurityException {
        byte[] both = HexFormat.of().parseHex(key + key.substring(0, 16));
        return block("DESede/ECB/NoPadding", new SecretKeySpec(both, "DESede"), pan, pin);
    }

    /** The same block under a public key, PKCS#1 v1.5. */
    static String underRsa(Key key, String pan, String pin) throws GeneralSecurityException {
        return block("RSA/ECB/PKCS1Padding", key, pan, pin);
    }

    private static String block(String transformation, Key key, String pan, String pin) throws GeneralSecurityException {
        String field = ("0" + Integer.toHexString(pin.length()) + pin + "FFFFFFFFFF").substring(0, 16);
        String account = "0000" + pan.substring(pan.length() - 13, pan.length() - 1);
        long clear = Long.parseUnsignedLong(field, 16) ^ Long.parseUnsignedLong(account, 16);
        Cipher cipher = Cipher.getInstance(transformation);
        cipher.init(Cipher.ENCRYPT_MODE, key);
        return Report.secret(HexFormat.of().withUpperCase().formatHex(cipher.doFinal(java.nio.ByteBuffer.allocate(8).putLong(clear).array())));
    }
}
