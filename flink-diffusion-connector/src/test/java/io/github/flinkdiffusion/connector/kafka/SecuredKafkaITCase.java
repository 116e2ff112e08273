/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.github.flinkdiffusion.connector.event.EventCodec;
import io.github.flinkdiffusion.connector.event.FailureEvent;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.ProgressEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.embedded.EmbeddedKafka;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.ExceptionUtils;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * A broker with TLS, SCRAM and ACLs: a job works with the rights that docs/OPERATE.md lists, and
 * each of them is needed.
 */
class SecuredKafkaITCase {
  private static final String STORE_PASSWORD = "keystore-secret";
  private static final Duration PATIENCE = Duration.ofSeconds(60);

  /** Those of docs/OPERATE.md, and how a job ends that lacks one. */
  enum Right {
    READ_REQUESTS(
        ResourceType.TOPIC,
        "prompts",
        PatternType.LITERAL,
        AclOperation.READ,
        "Failed to get metadata for topics [prompts]"),
    READ_CANCELLATIONS(
        ResourceType.TOPIC,
        "cancellations",
        PatternType.LITERAL,
        AclOperation.READ,
        "Failed to get metadata for topics [cancellations]"),
    WRITE_PROGRESS(
        ResourceType.TOPIC,
        "progress",
        PatternType.LITERAL,
        AclOperation.WRITE,
        "Not authorized to access topics: [progress]"),
    SEE_OPEN_TRANSACTIONS_OF_FAILURES(
        ResourceType.TOPIC,
        "failures",
        PatternType.LITERAL,
        AclOperation.READ,
        "the application has read permissions on the target topics"),
    WRITE_RESULTS(
        ResourceType.TOPIC,
        "images",
        PatternType.LITERAL,
        AclOperation.WRITE,
        "Not authorized to access topics: [images]"),
    WRITE_FAILURES(
        ResourceType.TOPIC,
        "failures",
        PatternType.LITERAL,
        AclOperation.WRITE,
        "Not authorized to access topics: [failures]"),
    SEE_OPEN_TRANSACTIONS_OF_RESULTS(
        ResourceType.TOPIC,
        "images",
        PatternType.LITERAL,
        AclOperation.READ,
        "the application has read permissions on the target topics"),
    USE_TRANSACTIONS(
        ResourceType.TRANSACTIONAL_ID,
        "app",
        PatternType.PREFIXED,
        AclOperation.WRITE,
        "Transactional Id authorization failed");

    private final ResourceType type;
    private final String name;
    private final PatternType pattern;
    private final AclOperation operation;
    private final String without;

    Right(
        ResourceType type,
        String name,
        PatternType pattern,
        AclOperation operation,
        String without) {
      this.type = type;
      this.name = name;
      this.pattern = pattern;
      this.operation = operation;
      this.without = without;
    }

    /** The user that has all rights but this one. */
    String userWithout() {
      return "without-" + name().toLowerCase(Locale.ROOT);
    }

    AclBinding of(String user) {
      return new AclBinding(
          new ResourcePattern(type, name, pattern),
          new AccessControlEntry("User:" + user, "*", operation, AclPermissionType.ALLOW));
    }
  }

  @TempDir private static Path folder;
  private static EmbeddedKafka kafka;

  @BeforeAll
  static void startBroker() throws Exception {
    keytool(
        "-genkeypair -alias broker -keyalg EC -groupname secp256r1 -dname CN=broker"
            + " -ext SAN=ip:127.0.0.1,dns:localhost -keystore broker.p12");
    keytool("-exportcert -rfc -alias broker -file broker.pem -keystore broker.p12");
    keytool("-importcert -noprompt -alias broker -file broker.pem -keystore trusted.p12");
    EmbeddedKafka.Builder builder =
        EmbeddedKafka.builder()
            .folder(folder)
            .setting("listener.security.protocol.map", "PLAINTEXT:SASL_SSL,CONTROLLER:PLAINTEXT")
            .setting("ssl.keystore.location", folder.resolve("broker.p12").toString())
            .setting("ssl.keystore.password", STORE_PASSWORD)
            .setting("ssl.key.password", STORE_PASSWORD)
            .setting("ssl.truststore.location", folder.resolve("trusted.p12").toString())
            .setting("ssl.truststore.password", STORE_PASSWORD)
            .setting("sasl.enabled.mechanisms", "SCRAM-SHA-512")
            .setting("sasl.mechanism.inter.broker.protocol", "SCRAM-SHA-512")
            .setting("listener.name.plaintext.scram-sha-512.sasl.jaas.config", login("admin"))
            .setting(
                "authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer")
            // The controller's own listener has no users.
            .setting("super.users", "User:admin;User:ANONYMOUS")
            .scramUser("admin", "admin-secret")
            .clientSettings(security("admin"));
    users().forEach(user -> builder.scramUser(user, user + "-secret"));
    kafka = builder.start();
    kafka.createTopics(1, "prompts", "images", "failures", "progress", "cancellations");
    grant();
    kafka.send(
        List.of(
            new ProducerRecord<>(
                "prompts",
                EventCodec.prompts()
                    .encode(PromptEvent.newBuilder().setId("p1").setPrompt("a red fox").build())),
            new ProducerRecord<>("prompts", new byte[] {1, 2, 3})));
  }

  @AfterAll
  static void stopBroker() {
    if (kafka != null) {
      kafka.close();
    }
  }

  private static Stream<String> users() {
    return Stream.concat(
        Stream.of("app", "nobody"), Stream.of(Right.values()).map(Right::userWithout));
  }

  private static void grant() throws Exception {
    List<AclBinding> bindings =
        users()
            .filter(user -> !user.equals("nobody"))
            .flatMap(
                user ->
                    Stream.of(Right.values())
                        .filter(right -> !right.userWithout().equals(user))
                        .map(right -> right.of(user)))
            .collect(Collectors.toCollection(ArrayList::new));
    try (Admin admin = kafka.admin()) {
      admin.createAcls(bindings).all().get();
      await()
          .atMost(PATIENCE)
          .until(
              () ->
                  admin.describeAcls(AclBindingFilter.ANY).values().get().size()
                      == bindings.size());
    }
  }

  private static void keytool(String arguments) throws Exception {
    Path program = Path.of(System.getProperty("java.home"), "bin", "keytool");
    ProcessBuilder builder =
        new ProcessBuilder(
            Stream.concat(
                    Stream.of(program.toString()),
                    Stream.of(
                        (arguments + " -storetype PKCS12 -storepass " + STORE_PASSWORD).split(" ")))
                .toList());
    Process process =
        builder
            .directory(folder.toFile())
            .redirectErrorStream(true)
            .redirectOutput(folder.resolve("keytool.log").toFile())
            .start();
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    assertThat(process.exitValue()).as("keytool %s", arguments).isZero();
  }

  private static String login(String user) {
    return "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"%s\" password=\"%s-secret\";"
        .formatted(user, user);
  }

  private static Map<String, String> security(String user) {
    return Map.of(
        "security.protocol",
        "SASL_SSL",
        "sasl.mechanism",
        "SCRAM-SHA-512",
        "sasl.jaas.config",
        login(user),
        "ssl.truststore.location",
        folder.resolve("trusted.p12").toString(),
        "ssl.truststore.password",
        STORE_PASSWORD);
  }

  private static void run(String user, Map<String, String> properties) throws Exception {
    run(user, properties, Map.of("ssl.truststore.password", STORE_PASSWORD));
  }

  private static void run(
      String user, Map<String, String> properties, Map<String, String> trustPassword)
      throws Exception {
    Map<String, String> secrets = new HashMap<>(trustPassword);
    secrets.put("sasl.jaas.config", login(user));
    Configuration config =
        new Configuration()
            .set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofMillis(300))
            .set(RestartStrategyOptions.RESTART_STRATEGY, "none")
            .set(KafkaOptions.BOOTSTRAP_SERVERS, kafka.bootstrapServers())
            .set(KafkaOptions.TRANSACTIONAL_ID_PREFIX, "app-" + user)
            .set(KafkaOptions.PROPERTIES, properties)
            .set(KafkaOptions.SECRET_PROPERTIES, secrets);
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(config);
    env.setParallelism(1);
    var prompts =
        Decoded.split(
            env.fromSource(
                DiffusionSources.prompts()
                    .setTopics("prompts")
                    .setBounded(OffsetsInitializer.latest())
                    .build(env),
                WatermarkStrategy.noWatermarks(),
                "prompts"));
    prompts
        .events()
        .map(SecuredKafkaITCase::image)
        .returns(ImageEvent.class)
        .sinkTo(DiffusionSinks.images().setTopic("images").setFailuresTopic("failures").build(env));
    prompts
        .events()
        .map(
            prompt ->
                ProgressEvent.newBuilder()
                    .setId(prompt.getId())
                    .setStep(1)
                    .setTotalSteps(2)
                    .build())
        .returns(ProgressEvent.class)
        .sinkTo(DiffusionSinks.progress().setTopic("progress").build(env));
    var cancellations =
        Decoded.split(
            env.fromSource(
                DiffusionSources.cancellations()
                    .setTopics("cancellations")
                    .setBounded(OffsetsInitializer.latest())
                    .build(env),
                WatermarkStrategy.noWatermarks(),
                "cancellations"));
    prompts
        .failures()
        .union(cancellations.failures())
        .sinkTo(DiffusionSinks.failures().setTopic("failures").build(env));
    env.execute("secured");
  }

  private static ImageEvent image(PromptEvent prompt) {
    return ImageEvent.newBuilder()
        .setId(prompt.getId())
        .setPrompt(prompt.getPrompt())
        .setImage(ByteBuffer.wrap(new byte[] {1}))
        .setWidth(1)
        .setHeight(1)
        .build();
  }

  private static Map<String, String> tls() {
    return Map.of(
        "security.protocol", "SASL_SSL",
        "sasl.mechanism", "SCRAM-SHA-512",
        "ssl.truststore.location", folder.resolve("trusted.p12").toString());
  }

  private static String messages(Throwable thrown) {
    StringBuilder all = new StringBuilder();
    for (Throwable cause = thrown; cause != null; cause = cause.getCause()) {
      all.append(cause.getClass().getSimpleName())
          .append(": ")
          .append(cause.getMessage())
          .append('\n');
    }
    return all.toString();
  }

  @Test
  void withTheRightsThatAreListedAJobReadsAndWritesExactlyOnce() throws Exception {
    run("app", tls());
    assertThat(kafka.readCommitted("images", 1, PATIENCE))
        .extracting(record -> EventCodec.images().decode(record.value()).getId())
        .containsExactly("p1");
    assertThat(kafka.readCommitted("failures", 1, PATIENCE))
        .extracting(record -> EventCodec.failures().decode(record.value()))
        .extracting(FailureEvent::getTopic)
        .containsExactly("prompts");
  }

  @ParameterizedTest
  @EnumSource(Right.class)
  void withoutOneOfThemTheJobFailsAndSaysWhichOne(Right right) {
    assertThatThrownBy(() -> run(right.userWithout(), tls()))
        .satisfies(thrown -> assertThat(messages(thrown)).contains(right.without));
  }

  @Test
  void aWrongPasswordAndABrokerWithoutTrustFailWithTheirReasons() {
    assertThatThrownBy(() -> run("stranger", tls()))
        .satisfies(
            thrown ->
                assertThat(ExceptionUtils.stringifyException(thrown))
                    .contains("invalid credentials"));
    assertThatThrownBy(
            () ->
                run(
                    "app",
                    Map.of("security.protocol", "SASL_SSL", "sasl.mechanism", "SCRAM-SHA-512"),
                    Map.of()))
        .satisfies(
            thrown ->
                assertThat(ExceptionUtils.stringifyException(thrown))
                    .contains("SslAuthenticationException"));
  }
}
