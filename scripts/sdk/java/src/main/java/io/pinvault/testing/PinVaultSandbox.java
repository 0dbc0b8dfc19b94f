package io.pinvault.testing;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.pinvault.sandbox.Sandbox;
import io.pinvault.sandbox.SandboxApi;
import io.pinvault.sandbox.model.SpaceRequest;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** A sandbox server for tests: one that runs, or one that was started and ends with this process. */
public final class PinVaultSandbox implements AutoCloseable {
    private final String url;
    private final Process process;
    private final SandboxApi client;

    private PinVaultSandbox(String url, Process process) {
        this.url = url.replaceAll("/+$", "");
        this.process = process;
        this.client = Sandbox.connect(this.url);
    }

    /** A sandbox that runs. */
    public static PinVaultSandbox at(String url) {
        return new PinVaultSandbox(url, null);
    }

    /** The sandbox at PINVAULT_URL; without that, {@code pinvault sandbox} is started, see {@link #start(String, Path)}. */
    public static PinVaultSandbox start() {
        String url = System.getenv("PINVAULT_URL");
        return url == null || url.isEmpty() ? start(null, null) : at(url);
    }

    /**
     * Starts {@code pinvault sandbox}.
     *
     * @param program the path of pinvault; null for PINVAULT, or the one on the PATH
     * @param seed a YAML file with what the sandbox holds besides the fixtures; null for none
     */
    public static PinVaultSandbox start(String program, Path seed) {
        String named = program == null ? System.getenv().getOrDefault("PINVAULT", "pinvault") : program;
        List<String> command = new ArrayList<>(List.of(named, "sandbox", "--port", "0", "--until-stdin-closes", "--database-url=", "--log-level", "WARN"));
        if (seed != null) {
            command.addAll(List.of("--seed", seed.toString()));
        }
        Path log = null;
        try {
            log = Files.createTempFile("pinvault", ".log");
            Process process = new ProcessBuilder(command).redirectError(log.toFile()).start();
            BufferedReader said = process.inputReader(StandardCharsets.UTF_8);
            CompletableFuture<String> first = CompletableFuture.supplyAsync(() -> line(said));
            String line = first.completeOnTimeout(null, 1, TimeUnit.MINUTES).join();
            if (line == null) {
                process.destroy();
                throw new IllegalStateException("pinvault sandbox did not start: " + Files.readString(log).strip());
            }
            return new PinVaultSandbox(new ObjectMapper().readTree(line).get("url").asText(), process);
        } catch (IOException e) {
            throw new UncheckedIOException("pinvault sandbox did not start; name the program with PINVAULT, or a server with PINVAULT_URL", e);
        } finally {
            if (log != null) {
                log.toFile().delete();
            }
        }
    }

    /** What a started server says first, null where it ends before. */
    private static String line(BufferedReader said) {
        try {
            return said.readLine();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The server's URL. */
    public String url() {
        return url;
    }

    /** A space of its own, from the fixtures. */
    public PinVaultSpace space() {
        return space(null);
    }

    /** A space of its own, from a snapshot; null for the fixtures. */
    public PinVaultSpace space(String snapshot) {
        return PinVaultSpace.got(() -> new PinVaultSpace(this, client.createSpace(new SpaceRequest().snapshot(snapshot)).getId()));
    }

    SandboxApi client() {
        return client;
    }

    /** Ends the server, if it was started here. */
    @Override
    public void close() {
        if (process == null) {
            return;
        }
        try {
            process.getOutputStream().close();
            process.waitFor();
        } catch (IOException e) {
            process.destroy();
        } catch (InterruptedException e) {
            process.destroy();
            Thread.currentThread().interrupt();
        }
    }
}
