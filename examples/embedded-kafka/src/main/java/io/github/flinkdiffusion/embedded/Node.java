/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.embedded;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import kafka.server.BrokerServer;
import kafka.server.ControllerServer;
import kafka.server.KafkaConfig;
import kafka.server.KafkaRaftServer;
import kafka.server.SharedServer;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.metrics.Metrics;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.metadata.bootstrap.BootstrapDirectory;
import org.apache.kafka.metadata.properties.MetaPropertiesEnsemble;
import org.apache.kafka.metadata.storage.Formatter;
import org.apache.kafka.server.ServerSocketFactory;
import org.apache.kafka.server.common.MetadataVersion;
import org.apache.kafka.server.fault.FaultHandler;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One combined broker and controller, its two listening sockets and its folder.
 *
 * <p>It is put together from Kafka's parts instead of {@link KafkaRaftServer}, for two reasons. The
 * sockets are bound before Kafka starts and handed over, so there is no moment in which a port that
 * was found free can be taken by somebody else. And a fatal fault ends the start with an exception;
 * {@code KafkaRaftServer} halts the JVM, which would be the test run or the user's program.
 */
final class Node implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Node.class);
  private static final int NODE_ID = 1;
  private static final int BACKLOG = 50;
  private static final int DEFAULT_RECEIVE_BUFFER = -1;
  private static final String BROKER = "PLAINTEXT";
  private static final String CONTROLLER = "CONTROLLER";
  private static final String HOST = InetAddress.getLoopbackAddress().getHostAddress();

  private final Path folder;
  private final Map<String, ServerSocketChannel> sockets = new LinkedHashMap<>();
  private final Metrics metrics = new Metrics();
  private BrokerServer broker;
  private ControllerServer controller;

  private Node(Path folder) {
    this.folder = folder;
  }

  /**
   * Starts a node in a new folder below {@code parent}; after a failure nothing of it is left.
   *
   * @param port the broker's port, 0 for any free one
   * @param settings broker settings that win over this class's own
   * @param users passwords by name, known from the start by SCRAM-SHA-512
   */
  static Node start(
      Path parent, int port, Map<String, String> settings, Map<String, String> users) {
    Node node;
    try {
      node = new Node(Files.createTempDirectory(parent, "embedded-kafka-"));
    } catch (IOException e) {
      throw new EmbeddedKafkaException("Cannot create the broker's folder below " + parent, e);
    }
    try {
      node.startUp(port, settings, users);
      return node;
    } catch (Exception | LinkageError e) {
      try {
        node.close();
      } catch (RuntimeException closing) {
        e.addSuppressed(closing);
      }
      throw new EmbeddedKafkaException(
          "Cannot start the embedded Kafka broker on "
              + HOST
              + (port == 0 ? ", any free port" : ":" + port)
              + ", settings "
              + settings.keySet()
              + ": "
              + e.getMessage(),
          e);
    }
  }

  String bootstrapServers() {
    return HOST + ":" + portOf(BROKER);
  }

  private void startUp(int port, Map<String, String> settings, Map<String, String> users)
      throws Exception {
    bind(BROKER, port);
    bind(CONTROLLER, 0);
    format(users);
    KafkaConfig config = KafkaConfig.fromProps(properties(settings), false);
    MetaPropertiesEnsemble identity =
        new MetaPropertiesEnsemble.Loader()
            .addLogDirs(List.of(folder.toString()))
            .addMetadataLogDir(folder.toString())
            .load();
    SharedServer shared =
        new SharedServer(
            config,
            identity,
            Time.SYSTEM,
            metrics,
            CompletableFuture.completedFuture(
                Map.of(NODE_ID, new InetSocketAddress(HOST, portOf(CONTROLLER)))),
            List.of(),
            (name, fatal, action) -> new ReportedFault(name, action),
            this::takeSocket);
    controller =
        new ControllerServer(
            shared,
            KafkaRaftServer.configSchema(),
            new BootstrapDirectory(folder.toString()).read());
    broker = new BrokerServer(shared);
    controller.startup();
    broker.startup();
  }

  private void bind(String listener, int port) throws IOException {
    sockets.put(
        listener,
        ServerSocketFactory.INSTANCE.openServerSocket(
            listener, new InetSocketAddress(HOST, port), BACKLOG, DEFAULT_RECEIVE_BUFFER));
  }

  private int portOf(String listener) {
    return sockets.get(listener).socket().getLocalPort();
  }

  private ServerSocketChannel takeSocket(
      String listener, InetSocketAddress address, int backlog, int receiveBuffer) {
    return sockets.get(listener);
  }

  private void format(Map<String, String> users) throws Exception {
    new Formatter()
        .setPrintStream(new PrintStream(OutputStream.nullOutputStream()))
        .setClusterId(Uuid.randomUuid().toString())
        .setNodeId(NODE_ID)
        .setReleaseVersion(MetadataVersion.latestProduction())
        .setControllerListenerName(CONTROLLER)
        .setMetadataLogDirectory(folder.toString())
        .addDirectory(folder.toString())
        .setScramArguments(
            users.entrySet().stream()
                .map(
                    user ->
                        "SCRAM-SHA-512=[name=%s,password=%s]"
                            .formatted(user.getKey(), user.getValue()))
                .toList())
        .run();
  }

  private Properties properties(Map<String, String> settings) {
    Properties p = new Properties();
    p.setProperty("process.roles", "broker,controller");
    p.setProperty("node.id", Integer.toString(NODE_ID));
    p.setProperty("controller.quorum.voters", NODE_ID + "@" + HOST + ":" + portOf(CONTROLLER));
    String brokerAt = BROKER + "://" + HOST + ":" + portOf(BROKER);
    p.setProperty(
        "listeners", brokerAt + "," + CONTROLLER + "://" + HOST + ":" + portOf(CONTROLLER));
    p.setProperty("advertised.listeners", brokerAt);
    p.setProperty("controller.listener.names", CONTROLLER);
    p.setProperty(
        "listener.security.protocol.map", BROKER + ":PLAINTEXT," + CONTROLLER + ":PLAINTEXT");
    p.setProperty("inter.broker.listener.name", BROKER);
    p.setProperty("log.dirs", folder.toString());
    p.setProperty("auto.create.topics.enable", "false");
    // One node: its internal topics can have no second copy, and one partition starts fastest.
    for (String topic : List.of("offsets.topic", "transaction.state.log")) {
      p.setProperty(topic + ".replication.factor", "1");
      p.setProperty(topic + ".num.partitions", "1");
    }
    p.setProperty("transaction.state.log.min.isr", "1");
    p.setProperty("share.coordinator.state.topic.replication.factor", "1");
    p.setProperty("share.coordinator.state.topic.min.isr", "1");
    p.setProperty("share.coordinator.state.topic.num.partitions", "1");
    // A lone consumer need not wait for others to join its group.
    p.setProperty("group.initial.rebalance.delay.ms", "0");
    // The log cleaner takes 128 MiB of heap by default, which a test JVM does not have to spare.
    p.setProperty("log.cleaner.dedupe.buffer.size", "2097152");
    p.putAll(settings);
    return p;
  }

  /** Stops what was started, in the order Kafka wants, and deletes the folder whatever happens. */
  @Override
  public void close() {
    List<Exception> failures = new ArrayList<>();
    if (broker != null) {
      attempt(failures, broker::shutdown);
    }
    if (controller != null) {
      attempt(failures, controller::shutdown);
    }
    if (broker != null && failures.isEmpty()) {
      attempt(failures, broker::awaitShutdown);
      attempt(failures, controller::awaitShutdown);
    }
    attempt(failures, metrics::close);
    sockets.values().forEach(socket -> attempt(failures, socket::close));
    attempt(failures, () -> deleteRecursively(folder));
    if (!failures.isEmpty()) {
      EmbeddedKafkaException e =
          new EmbeddedKafkaException(
              "The embedded Kafka broker in " + folder + " did not stop cleanly", failures.get(0));
      failures.stream().skip(1).forEach(e::addSuppressed);
      throw e;
    }
  }

  private interface Action {
    void run() throws Exception;
  }

  private static void attempt(List<Exception> failures, Action action) {
    try {
      action.run();
    } catch (Exception e) {
      failures.add(e);
    }
  }

  private static void deleteRecursively(Path folder) throws IOException {
    Files.walkFileTree(
        folder,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            Files.deleteIfExists(file);
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult visitFileFailed(Path file, IOException e) throws IOException {
            if (e instanceof NoSuchFileException) {
              return FileVisitResult.CONTINUE; // a segment that the broker deleted meanwhile
            }
            throw e;
          }

          @Override
          public FileVisitResult postVisitDirectory(Path dir, IOException e) throws IOException {
            if (e != null) {
              throw e;
            }
            Files.deleteIfExists(dir);
            return FileVisitResult.CONTINUE;
          }
        });
  }

  /** Says what went wrong instead of ending the JVM. */
  private record ReportedFault(String name, Runnable action) implements FaultHandler {
    @Override
    public RuntimeException handleFault(String message, Throwable cause) {
      LOG.error("Embedded Kafka, {}: {}", name, message, cause);
      try {
        action.run();
      } catch (RuntimeException e) {
        LOG.error("Embedded Kafka, {}: reporting the fault failed", name, e);
      }
      return cause instanceof IOException io
          ? new UncheckedIOException(name + ": " + message, io)
          : new EmbeddedKafkaException(name + ": " + message, cause);
    }
  }
}
