package io.pinvault;

import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.HexFormat;
import javax.crypto.Cipher;
import javax.crypto.spec.SecretKeySpec;

/** PIN blocks of ISO 9564-1 under a zone PIN key, as Network International's and the issuer's contracts take them. */
public final class PinBlocks {
    private static final HexFormat HEX = HexFormat.of().withUpperCase();
    private static final SecureRandom RANDOM = new SecureRandom();

    private PinBlocks() {}

    /** A block of format ISO-0, ISO-1 or ISO-3 under a TDES key, or of ISO-4 under an AES key; the key in hexadecimal. */
    public static String encrypt(String format, String key, String pan, String pin) {
        return encrypt(format, key, pan, pin, draw(format, pin));
    }

    /** What a format leaves to chance: the digits after the PIN in formats 1 and 3, eight bytes in format 4. */
    static String draw(String format, String pin) {
        return switch (format) {
            case "ISO-1" -> draw("0123456789ABCDEF", 14 - pin.length());
            case "ISO-3" -> draw("ABCDEF", 14 - pin.length());
            case "ISO-4" -> draw("0123456789ABCDEF", 16);
            default -> "";
        };
    }

    private static String draw(String from, int digits) {
        StringBuilder drawn = new StringBuilder();
        for (int i = 0; i < digits; i++) {
            drawn.append(from.charAt(RANDOM.nextInt(from.length())));
        }
        return drawn.toString();
    }

    static String encrypt(String format, String key, String pan, String pin, String fill) {
        if (!pin.matches("[0-9]{4,12}") || !pan.matches("[0-9]{12,19}")) {
            throw new IllegalArgumentException("no PIN block of that PIN and PAN");
        }
        String account = pan.substring(Math.max(0, pan.length() - 13), pan.length() - 1); // without the check digit
        account = "0".repeat(16 - account.length()) + account;
        int rest = 14 - pin.length();
        switch (format) {
            case "ISO-0" -> fill = "F".repeat(rest);
            case "ISO-1" -> account = "0".repeat(16);
            case "ISO-3" -> { }
            case "ISO-4" -> {
                fill = "A".repeat(rest) + fill;
                account = (pan.length() - 12) + pan + "0".repeat(31 - pan.length());
            }
            default -> throw new IllegalArgumentException("no such PIN block format");
        }
        byte[] field = HEX.parseHex(format.charAt(4) + Integer.toHexString(pin.length()) + pin + fill);
        byte[] bound = HEX.parseHex(account);
        try {
            Cipher cipher = format.equals("ISO-4") ? aes(HEX.parseHex(key)) : tdes(HEX.parseHex(key));
            if (format.equals("ISO-4")) { // the PAN joins the PIN once that is encrypted
                field = cipher.doFinal(field);
            }
            for (int i = 0; i < field.length; i++) {
                field[i] ^= bound[i];
            }
            return HEX.formatHex(cipher.doFinal(field));
        } catch (GeneralSecurityException e) {
            throw new IllegalArgumentException("no PIN block under that key", e);
        }
    }

    private static Cipher aes(byte[] key) throws GeneralSecurityException {
        Cipher cipher = Cipher.getInstance("AES/ECB/NoPadding");
        cipher.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(key, "AES"));
        return cipher;
    }

    /** Takes two parts, of which the first serves twice, or three. */
    private static Cipher tdes(byte[] key) throws GeneralSecurityException {
        byte[] parts = Arrays.copyOf(key, 24);
        if (key.length == 16) {
            System.arraycopy(key, 0, parts, 16, 8);
        } else if (key.length != 24) {
            throw new IllegalArgumentException("a TDES key has 16 or 24 bytes");
        }
        Cipher cipher = Cipher.getInstance("DESede/ECB/NoPadding");
        cipher.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(parts, "DESede"));
        return cipher;
    }
}
