package io.pinvault;

import java.time.Duration;
import java.util.Optional;

/** A reply that a contract documents as an error, or one with a status of 400 and above. Each contract has its own kind. */
public class PinVaultException extends RuntimeException {
    private final int status;
    private final String code;
    private final String text;
    private final String advice;
    private final String body;
    private final Optional<Duration> retryAfter;

    protected PinVaultException(Reply reply) {
        super(reply.status + " " + reply.code + (reply.text.isEmpty() ? "" : ": " + reply.text)
                + (reply.advice.isEmpty() ? "" : ": " + reply.advice));
        status = reply.status;
        code = reply.code;
        text = reply.text;
        advice = reply.advice;
        body = reply.body;
        retryAfter = reply.retryAfter;
    }

    /** The HTTP status. */
    public int getStatus() {
        return status;
    }

    /** The contract's own code, else the status as text: one of the constants of the contract's kind. */
    public String getCode() {
        return code;
    }

    /** What the reply says. */
    public String getText() {
        return text;
    }

    /** What the document says one should do about it, empty for a code that it does not have. */
    public String getAdvice() {
        return advice;
    }

    /** The reply's body, opened where it was sealed. */
    public String getBody() {
        return body;
    }

    /**
     * After how long to try again (Retry-After), empty where the reply does not say. The call was not repeated where that is longer
     * than it waits for by itself.
     */
    public Optional<Duration> getRetryAfter() {
        return retryAfter;
    }

    /** What an exception is made from. */
    public record Reply(int status, String code, String text, String advice, String body, Optional<Duration> retryAfter) {}
}
