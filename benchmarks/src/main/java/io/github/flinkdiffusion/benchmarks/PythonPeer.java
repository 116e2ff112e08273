/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.benchmarks;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/**
 * A Python process that does what it is told, one command at a time, so that rounds can alternate
 * between it and this process: {@code peer.py} says which commands there are.
 */
final class PythonPeer implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Process process;
  private final Writer commands;
  private final BufferedReader answers;
  private final Path log;
  private Map<String, String> versions = Map.of();
  private String gpu = "";

  private PythonPeer(Process process, Path log) {
    this.process = process;
    this.log = log;
    this.commands = process.outputWriter(StandardCharsets.UTF_8);
    this.answers =
        new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
  }

  /**
   * Starts it.
   *
   * @param python a program
   * @param threads that it may compute with
   * @throws BenchmarkException if it does not answer, naming the file with what it said
   */
  static PythonPeer start(String python, int threads) throws IOException {
    Path log = Files.createTempFile("peer", ".log");
    ProcessBuilder builder =
        new ProcessBuilder(python, "-u", script("peer.py").toString()).redirectError(log.toFile());
    builder.environment().put("OMP_NUM_THREADS", Integer.toString(threads));
    builder.environment().put("HF_HUB_OFFLINE", "1");
    PythonPeer peer = new PythonPeer(builder.start(), log);
    try {
      JsonNode hello = peer.ask("hello", Map.of("threads", threads));
      Map<String, String> versions = new TreeMap<>();
      hello
          .get("versions")
          .fields()
          .forEachRemaining(each -> versions.put(each.getKey(), each.getValue().asText()));
      peer.versions = versions;
      peer.gpu = hello.get("gpu").asText();
      return peer;
    } catch (RuntimeException e) {
      peer.close();
      throw e;
    }
  }

  /** A script of this module, as a file that Python can run. */
  static Path script(String name) throws IOException {
    Path file = Files.createTempFile("benchmark", name);
    try (InputStream in = PythonPeer.class.getResourceAsStream("/" + name)) {
      Files.write(file, in.readAllBytes());
    }
    file.toFile().deleteOnExit();
    return file;
  }

  /** Python's, torch's and diffusers' versions. */
  Map<String, String> versions() {
    return versions;
  }

  /** The first GPU's name; empty where the peer sees none. */
  String gpu() {
    return gpu;
  }

  /**
   * One command.
   *
   * @return its answer; null for a command without one
   * @throws BenchmarkException if it failed, with Python's message
   */
  JsonNode ask(String command, Map<String, ?> arguments) {
    Map<String, Object> line = new LinkedHashMap<>(arguments);
    line.put("do", command);
    try {
      commands.write(JSON.writeValueAsString(line) + "\n");
      commands.flush();
      String answer = answers.readLine();
      if (answer == null) {
        throw ended(command, null);
      }
      JsonNode node = JSON.readTree(answer);
      if (node.has("error")) {
        throw new BenchmarkException(
            "The Python peer failed at %s: %s (%s)"
                .formatted(command, node.get("error").asText(), log));
      }
      return node.get("ok");
    } catch (JsonProcessingException e) {
      throw new BenchmarkException("The Python peer's answer to " + command + " is not JSON.", e);
    } catch (IOException e) {
      throw ended(command, e);
    }
  }

  /**
   * One command that may take too long.
   *
   * @return its answer; empty if it did not come in time: then the peer is ended
   */
  Optional<JsonNode> askWithin(Duration limit, String command, Map<String, ?> arguments) {
    CompletableFuture<Boolean> tooLate =
        new CompletableFuture<Boolean>()
            .completeOnTimeout(true, limit.toMillis(), TimeUnit.MILLISECONDS);
    tooLate.thenAccept(
        late -> {
          if (late) {
            process.descendants().forEach(ProcessHandle::destroyForcibly);
            process.destroyForcibly();
          }
        });
    try {
      JsonNode answer = ask(command, arguments);
      tooLate.complete(false);
      return Optional.of(answer);
    } catch (BenchmarkException e) {
      if (tooLate.complete(false)) {
        throw e;
      }
      return Optional.empty();
    }
  }

  /** A command whose answer is seconds. */
  double seconds(String command, Map<String, ?> arguments) {
    return ask(command, arguments).asDouble();
  }

  private BenchmarkException ended(String command, IOException cause) {
    return new BenchmarkException(
        "The Python peer ended at %s; what it said is in %s. It needs torch and diffusers (benchmarks/README.md)."
            .formatted(command, log),
        cause);
  }

  @Override
  public void close() {
    try {
      commands.close();
    } catch (IOException alreadyEnded) {
      process.destroy();
    }
    try {
      process.waitFor();
    } catch (InterruptedException e) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
    }
  }
}
