/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.doctor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpServer;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import io.github.flinkdiffusion.ops.engine.Engines;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Clock;
import java.time.Duration;
import java.util.Collections;
import java.util.Enumeration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.JobManagerOptions;
import org.apache.flink.configuration.ResourceManagerOptions;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.common.config.ConfigResource;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A setup without a fault, and then one fault after another. */
class DoctorITCase {
  private static final String MODEL = "src/test/resources/fixtures/models/tiny-sd1";

  private static EmbeddedKafka kafka;
  private static HttpServer registry;
  @TempDir private static Path shared;

  @TempDir private Path folder;
  private Configuration config;
  private Map<String, String> java;
  private Engines engines;
  private Clock clock;
  private List<String> topics;

  @BeforeAll
  static void start() throws IOException {
    kafka =
        EmbeddedKafka.builder()
            .folder(shared)
            .setting("transaction.max.timeout.ms", "600000")
            .start();
    kafka.createTopics(1, "prompts", "images", "small");
    registry = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    registry.createContext(
        "/subjects",
        exchange -> {
          exchange.sendResponseHeaders(200, -1);
          exchange.close();
        });
    registry.start();
  }

  @AfterAll
  static void stop() {
    registry.stop(0);
    kafka.close();
  }

  @BeforeEach
  void aSetupWithoutFault() throws IOException {
    config = new Configuration();
    config.setString(
        "classloader.parent-first-patterns.additional",
        "ai.onnxruntime.;ai.djl.;io.github.flinkdiffusion.");
    config.setString("taskmanager.memory.process.size", "1344m");
    config.setString("taskmanager.memory.managed.size", "64m");
    config.setString("taskmanager.memory.jvm-metaspace.size", "160m");
    config.setString("taskmanager.memory.task.off-heap.size", "256m");
    config.setString("io.tmp.dirs", Files.createDirectory(folder.resolve("tmp")).toString());
    config.setString("rest.port", Integer.toString(freePort()));
    config.setString(
        "execution.checkpointing.dir", folder.resolve("checkpoints").toUri().toString());
    config.setString(
        "execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION");
    config.setString("execution.checkpointing.interval", "10s");
    config.setString("execution.checkpointing.timeout", "2min");
    config.setString("diffusion.model.folder", MODEL);
    config.setString("diffusion.device", "cpu");
    config.setString("diffusion.kafka.bootstrap-servers", kafka.bootstrapServers());
    config.setString("diffusion.kafka.transactional-id-prefix", "test");
    config.setString("diffusion.kafka.sink.format", "registry-avro");
    config.setString(
        "diffusion.kafka.registry.url", "http://127.0.0.1:" + registry.getAddress().getPort());
    java = new HashMap<>();
    java.put("java.specification.version", "17");
    java.put("os.arch", "amd64");
    java.put("java.io.tmpdir", folder.toString());
    engines = Engines.standard();
    clock = Clock.systemUTC();
    topics = List.of("prompts", "images");
  }

  @Test
  void aGoodSetupHasNoErrorsAndNoWarnings() {
    assertThat(examine()).extracting(Finding::level).containsOnly(Finding.Level.OK);
  }

  @Test
  void findsAnOldJava() {
    java.put("java.specification.version", "11");
    assertFound("java", "Java 11", "Install JDK 17");
  }

  @Test
  void findsAnEngineWhoseLibraryIsMissing() throws IOException {
    config.setString("diffusion.engine", "pytorch");
    try (URLClassLoader withoutEngines = classLoaderWithoutLibraries()) {
      engines = Engines.of(withoutEngines);
      assertFound("engine", "pytorch", "lib/");
    }
  }

  @Test
  void findsAGpuThatIsNotThere() {
    config.setString("diffusion.device", "gpu:63");
    assertFound("engine", "gpu:63", "docs/GPUS.md");
  }

  @Test
  void findsMoreMemoryThanTheMachineHas() {
    config.setString("taskmanager.memory.process.size", "900t");
    assertFound("memory", "this machine or container has", "Lower taskmanager.memory.process.size");
  }

  @Test
  void findsAScratchFolderThatIsAFile() throws IOException {
    Path file = Files.createFile(folder.resolve("file"));
    config.setString("io.tmp.dirs", file.toString());
    assertFound("disk", file + " (io.tmp.dirs)", "set io.tmp.dirs");
  }

  @Test
  void findsAPortThatAnotherProcessHas() throws IOException {
    try (ServerSocket other = new ServerSocket(0)) {
      config.setString("rest.port", Integer.toString(other.getLocalPort()));
      assertFound("ports", other.getLocalPort() + " (rest.port)", "set rest.port");
    }
  }

  @Test
  void findsABrokerThatDoesNotAnswer() throws IOException {
    config.setString("diffusion.kafka.bootstrap-servers", "127.0.0.1:" + freePort());
    assertFound("kafka", "does not answer", "diffusion.kafka.bootstrap-servers");
  }

  @Test
  void findsCheckpointsThatOutliveTransactions() {
    config.setString("execution.checkpointing.timeout", "10min");
    assertFound(
        "kafka",
        "may live for 600 s, and must for up to 790 s",
        "transaction.max.timeout.ms to at least 790000 ms");
  }

  @Test
  void findsATopicThatIsMissing() {
    topics = List.of("prompts", "imagse");
    assertFound("kafka", "There is no topic 'imagse'", "max.message.bytes=16777216");
  }

  @Test
  void findsATopicThatTakesSmallRecordsOnly() throws Exception {
    ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, "small");
    try (Admin admin = kafka.admin()) {
      admin
          .incrementalAlterConfigs(
              Map.of(
                  topic,
                  List.of(
                      new AlterConfigOp(
                          new ConfigEntry("max.message.bytes", "1048588"),
                          AlterConfigOp.OpType.SET))))
          .all()
          .get();
    }
    topics = List.of("small");
    assertFound("kafka", "records of 1048588 bytes", "max.message.bytes to 16777216");
  }

  @Test
  void findsARegistryThatDoesNotAnswer() throws IOException {
    config.setString("diffusion.kafka.registry.url", "http://127.0.0.1:" + freePort());
    assertFound("registry", "does not answer", "diffusion.kafka.registry.url");
  }

  @Test
  void findsARegistryOfAnotherApi() {
    config.setString("diffusion.kafka.registry.framing", "apicurio");
    assertFound("registry", "/system/info answers 404", "diffusion.kafka.registry.framing");
  }

  @Test
  void findsAModelFileThatIsCutShort() throws IOException {
    Path weights = weights(copyOfModel());
    try (var channel = Files.newByteChannel(weights, StandardOpenOption.WRITE)) {
      channel.truncate(Files.size(weights) - 1);
    }
    assertFound("model", weights.getFileName().toString(), "download the model again");
  }

  @Test
  void findsAComponentThatIsMisspeltInTheIndex() throws IOException {
    Path copy = copyOfModel();
    Path index = copy.resolve("model_index.json");
    Files.writeString(
        index, Files.readString(index).replace("\"text_encoder\"", "\"txt_encoder\""));
    assertFound("model", "has no component 'text_encoder'", "correct it");
    assertWarned(
        "names 'txt_encoder', which is not there. Sub-folders that it does not name: text_encoder.",
        "correct the name in model_index.json");
  }

  @Test
  void findsAModelThatIsNotThere() {
    config.setString("diffusion.model.folder", "/nonexistent/model");
    assertFound("model", "/nonexistent/model", "mount the volume");
  }

  @Test
  void findsCheckpointStorageThatCannotBeWritten() throws IOException {
    Path file = Files.createFile(folder.resolve("file"));
    config.setString("execution.checkpointing.dir", file.resolve("below").toUri().toString());
    assertFound("storage", "Cannot write to", "let this user write there");
  }

  @Test
  void findsCheckpointsInMemory() {
    config.removeKey("execution.checkpointing.dir");
    assertFound("storage", "in the JobManager's memory", "s3://bucket/checkpoints");
  }

  @Test
  void findsAClockThatIsAnHourOff() {
    clock = Clock.offset(Clock.systemUTC(), Duration.ofSeconds(3650)); // it is read twice
    assertFound("clock", "they differ by 36", "NTP");
  }

  @Test
  void findsAMisspeltOption() {
    config.setString("diffusion.capasity", "8");
    assertFound("options", "diffusion.capasity", "Correct the option");
  }

  @Test
  void aCheckThatHangsIsAnError() {
    Check hanging =
        new Check() {
          @Override
          public String name() {
            return "mount";
          }

          @Override
          public List<Finding> examine(Setup setup) throws InterruptedException {
            Thread.currentThread().join();
            return List.of();
          }
        };
    assertThat(new Doctor(List.of(hanging), Duration.ofMillis(50)).examine(setup()))
        .singleElement()
        .satisfies(finding -> assertThat(finding.found()).contains("did not end"));
  }

  @Test
  void theCommandPrintsFindingsAndFails() throws IOException {
    Path conf = Files.createDirectory(folder.resolve("conf"));
    Files.writeString(
        conf.resolve("config.yaml"), "diffusion.device: cpu\ndiffusion.capasity: 8\n");
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    int code =
        Doctor.run(
            new String[] {"--conf", conf.toString(), "--problems", "-Ddiffusion.capacity=4"},
            new PrintStream(out, true, StandardCharsets.UTF_8),
            System.err);
    assertThat(code).isEqualTo(1);
    assertThat(out.toString(StandardCharsets.UTF_8))
        .contains("ERROR    options", "diffusion.capasity", "-> Correct the option")
        .doesNotContain("OK ");
  }

  @Test
  void theCommandRefusesWhatItDoesNotKnow() {
    ByteArrayOutputStream err = new ByteArrayOutputStream();
    assertThat(
            Doctor.run(
                new String[] {"--topic", "a"},
                System.out,
                new PrintStream(err, true, StandardCharsets.UTF_8)))
        .isEqualTo(2);
    assertThat(err.toString(StandardCharsets.UTF_8)).contains("There is no argument '--topic'");
  }

  @Test
  void examinesTheTaskManagersOfACluster() throws Exception {
    config.setString("diffusion.capasity", "8");
    // The embedded cluster does not start with sizes for processes of their own.
    Stream.of("process.size", "managed.size", "jvm-metaspace.size", "task.off-heap.size")
        .forEach(size -> config.removeKey("taskmanager.memory." + size));
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(2, config);
    Map<String, List<Finding>> findings = ClusterDoctor.examine(env, topics);
    assertThat(findings).hasSize(1); // both subtasks are in this process
    assertThat(findings.values().iterator().next())
        .filteredOn(finding -> finding.level() == Finding.Level.ERROR)
        .extracting(Finding::check)
        .contains("options");
  }

  @Test
  void tooFewFreeSlotsAreNamed() {
    Stream.of("process.size", "managed.size", "jvm-metaspace.size", "task.off-heap.size")
        .forEach(size -> config.removeKey("taskmanager.memory." + size));
    config.set(TaskManagerOptions.NUM_TASK_SLOTS, 1);
    config.set(JobManagerOptions.SLOT_REQUEST_TIMEOUT, Duration.ofMillis(500));
    config.set(
        ResourceManagerOptions.STANDALONE_CLUSTER_STARTUP_PERIOD_TIME, Duration.ofMillis(500));
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(3, config);
    assertThatThrownBy(() -> ClusterDoctor.examine(env, List.of()))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageStartingWith("The cluster has fewer than 3 free slots.");
  }

  private void assertWarned(String found, String advice) {
    assertThat(examine())
        .filteredOn(finding -> finding.level() == Finding.Level.WARNING)
        .singleElement()
        .satisfies(
            finding -> {
              assertThat(finding.check()).isEqualTo("model");
              assertThat(finding.found()).contains(found);
              assertThat(finding.advice()).contains(advice);
            });
  }

  private void assertFound(String check, String found, String advice) {
    assertThat(examine())
        .filteredOn(finding -> finding.level() == Finding.Level.ERROR)
        .singleElement()
        .satisfies(
            finding -> {
              assertThat(finding.check()).isEqualTo(check);
              assertThat(finding.found()).contains(found);
              assertThat(finding.advice()).contains(advice);
            });
  }

  private List<Finding> examine() {
    return new Doctor().examine(setup());
  }

  private Setup setup() {
    return new Setup(config, topics, java, Map.of("OMP_WAIT_POLICY", "passive"), engines, clock);
  }

  /** This project's classes without what they stand on: no engine finds its library. */
  private static URLClassLoader classLoaderWithoutLibraries() {
    ClassLoader real = Engines.class.getClassLoader();
    return new URLClassLoader(new URL[0], real) {
      @Override
      public Enumeration<URL> getResources(String name) throws IOException {
        return Collections.emptyEnumeration();
      }
    };
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0)) {
      return socket.getLocalPort();
    }
  }

  /** What tests then damage, as the model that is examined. */
  private Path copyOfModel() throws IOException {
    Path copy = folder.resolve("model");
    copy(Path.of(MODEL), copy);
    config.setString("diffusion.model.folder", copy.toString());
    return copy;
  }

  private static Path weights(Path model) throws IOException {
    try (Stream<Path> files = Files.walk(model.resolve("unet"))) {
      return files
          .filter(file -> file.toString().endsWith(".safetensors"))
          .findFirst()
          .orElseThrow();
    }
  }

  private static void copy(Path from, Path to) throws IOException {
    try (Stream<Path> files = Files.walk(from)) {
      for (Path file : (Iterable<Path>) files::iterator) {
        Files.copy(file, to.resolve(from.relativize(file).toString()));
      }
    }
  }
}
