package io.pinvault;

import java.io.IOException;

/** A message is not sealed as the contract says. It holds nothing of the message. */
public final class UnopenableException extends IOException {
    UnopenableException() {
        super("the message does not open");
    }
}
