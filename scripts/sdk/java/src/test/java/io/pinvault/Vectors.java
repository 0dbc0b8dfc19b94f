package io.pinvault;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.nimbusds.jose.JWEHeader;
import com.nimbusds.jose.util.Base64URL;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.HexFormat;

/** Passes the vectors of all languages, or ends at the first that it does not pass. */
public final class Vectors {
    private static int passed;

    private Vectors() {}

    private interface Opener {
        byte[] open(String sealed) throws UnopenableException;
    }

    public static void main(String[] arguments) throws Exception {
        JsonNode all = new ObjectMapper().readTree(new File(System.getenv("SDK_VECTORS")));
        messages(all.get("jwe"));
        tokens(all.get("token"));
        pinBlocks(all.get("pinBlock"));
        System.out.println(passed);
    }

    private static void messages(JsonNode v) throws Exception {
        MessageKey key = new MessageKey(v.get("key").textValue(), v.get("kid").textValue());
        for (JsonNode s : v.get("seal")) {
            byte[] clear = clear(s);
            JWEHeader header = JWEHeader.parse(Base64URL.encode(s.get("header").textValue()));
            same(s, s.get("sealed").textValue(), key.seal(header, drawing(iv(s)), clear));
            opens(s, key::open, s.get("sealed").textValue());
            opens(s, key::open, key.seal(clear));
            passed++;
        }
        refuses(v.get("refuse"), key::open);
    }

    private static void tokens(JsonNode v) throws Exception {
        TokenKey key = new TokenKey(v.get("key").textValue());
        for (JsonNode s : v.get("seal")) {
            byte[] clear = clear(s);
            same(s, s.get("sealed").textValue(), key.seal(iv(s), clear));
            opens(s, key::open, s.get("sealed").textValue());
            opens(s, key::open, key.seal(clear));
            passed++;
        }
        refuses(v.get("refuse"), key::open);
    }

    private static void pinBlocks(JsonNode blocks) {
        for (JsonNode b : blocks) {
            String format = b.get("format").textValue();
            String key = b.get("key").textValue();
            String pan = b.get("pan").textValue();
            String pin = b.get("pin").textValue();
            String fill = b.get("fill").textValue();
            String block = b.get("block").textValue();
            same(b, block, PinBlocks.encrypt(format, key, pan, pin, fill));
            same(b, fill.length(), PinBlocks.draw(format, pin).length());
            same(b, block.length(), PinBlocks.encrypt(format, key, pan, pin).length());
            passed++;
        }
    }

    private static byte[] clear(JsonNode vector) {
        return vector.get("clear").textValue().getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] iv(JsonNode vector) {
        return HexFormat.of().parseHex(vector.get("iv").textValue());
    }

    /** A source of randomness that has one thing to say. */
    private static SecureRandom drawing(byte[] what) {
        return new SecureRandom() {
            @Override
            public void nextBytes(byte[] into) {
                System.arraycopy(what, 0, into, 0, into.length);
            }
        };
    }

    private static void opens(JsonNode vector, Opener key, String sealed) throws UnopenableException {
        if (!Arrays.equals(clear(vector), key.open(sealed))) {
            throw new AssertionError(vector.get("name") + ": opens to something else");
        }
    }

    private static void refuses(JsonNode vectors, Opener key) {
        for (JsonNode r : vectors) {
            try {
                key.open(r.get("sealed").textValue());
            } catch (UnopenableException expected) {
                passed++;
                continue;
            }
            throw new AssertionError(r.get("name") + ": opens");
        }
    }

    private static void same(JsonNode vector, Object want, Object got) {
        if (!want.equals(got)) {
            throw new AssertionError(vector.get("name") + ": " + got + ", not " + want);
        }
    }
}
