package io.pinvault.testing;

import java.util.function.Supplier;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;

/**
 * Gives each test of JUnit (5.13 or later) that has a {@link PinVaultSpace} among its parameters a space of its own, of one
 * sandbox for the whole run: {@code @ExtendWith(PinVaultExtension.class)}.
 */
public final class PinVaultExtension implements ParameterResolver {
    private static final ExtensionContext.Namespace NAMESPACE = ExtensionContext.Namespace.create(PinVaultExtension.class);

    private final Supplier<PinVaultSandbox> sandbox;

    /** With the sandbox of {@link PinVaultSandbox#start()}. */
    public PinVaultExtension() {
        this(PinVaultSandbox::start);
    }

    /** With a sandbox of your own, such as one in a container, for all tests that are extended by this. */
    public PinVaultExtension(Supplier<PinVaultSandbox> sandbox) {
        this.sandbox = sandbox;
    }

    @Override
    public boolean supportsParameter(ParameterContext parameter, ExtensionContext test) {
        Class<?> type = parameter.getParameter().getType();
        return type == PinVaultSpace.class || type == PinVaultSandbox.class;
    }

    @Override
    public Object resolveParameter(ParameterContext parameter, ExtensionContext test) {
        // What is in a store is closed when its context is over: the run's, and the test's.
        PinVaultSandbox server = test.getRoot().getStore(NAMESPACE)
                .getOrComputeIfAbsent(sandbox.getClass(), key -> sandbox.get(), PinVaultSandbox.class);
        if (parameter.getParameter().getType() == PinVaultSandbox.class) {
            return server;
        }
        return test.getStore(NAMESPACE).getOrComputeIfAbsent(PinVaultSpace.class, key -> server.space(), PinVaultSpace.class);
    }
}
