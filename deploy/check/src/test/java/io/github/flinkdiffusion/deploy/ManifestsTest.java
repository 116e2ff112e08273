/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.deploy;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.connector.kafka.KafkaOptions;
import io.github.flinkdiffusion.connector.kafka.internal.Checkpointing;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.KnownOptions;
import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Enumeration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.regex.Pattern;
import java.util.stream.StreamSupport;
import org.apache.flink.autoscaler.config.AutoScalerOptions;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.FallbackKey;
import org.apache.flink.kubernetes.configuration.KubernetesConfigOptions;
import org.apache.flink.runtime.clusterframework.TaskExecutorProcessUtils;
import org.apache.flink.runtime.jobmanager.JobManagerProcessUtils;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Every manifest of deploy/kubernetes, against its schema and against what the job needs. */
class ManifestsTest {
  private static final CustomResourceSchema FLINK_DEPLOYMENT =
      CustomResourceSchema.read("META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml");

  private static final String COMPOSE = "../container/compose.yaml";

  /** Kafka's default of transaction.max.timeout.ms. */
  private static final Duration BROKER_LIMIT = Duration.ofMinutes(15);

  /** Keys that hold a name, so that no option says them. */
  private static final Pattern NAMED =
      Pattern.compile(
          "metrics\\.reporter\\.prometheus\\.(factory\\.class|port)"
              + "|external-resource\\.gpu\\.(amount|driver-factory\\.class|kubernetes\\.config-key"
              + "|param\\.discovery-script\\.path)");

  @ParameterizedTest
  @ValueSource(strings = {"cpu", "gpu", "sql-session", "kafka", "download"})
  void everyManifestIsAccepted(String folder) {
    for (JsonNode resource : Manifests.of(folder).resources()) {
      List<String> faults =
          StrictResource.knows(resource)
              ? StrictResource.faults(resource)
              : FLINK_DEPLOYMENT.faults(ofAKnownFlink(resource));
      assertThat(faults).as(Manifests.identity(resource)).isEmpty();
    }
  }

  /** Its definition on Maven Central is older than Flink 2.3. */
  private static JsonNode ofAKnownFlink(JsonNode deployment) {
    assertThat(deployment.path("kind").asText()).isEqualTo("FlinkDeployment");
    ObjectNode copy = deployment.deepCopy();
    assertThat(copy.path("spec").path("flinkVersion").asText()).isEqualTo("v2_3");
    ((ObjectNode) copy.path("spec")).put("flinkVersion", "v1_20");
    return copy;
  }

  @Test
  void faultsOfManifestsAreFound() {
    ObjectNode deployment = Manifests.of("cpu").only("FlinkDeployment").deepCopy();
    ((ObjectNode) deployment.path("spec")).put("flinkVersion", "v1_20").put("imagePulPolicy", "x");
    ((ObjectNode) deployment.path("spec").path("job")).put("parallelism", "two");
    assertThat(FLINK_DEPLOYMENT.faults(deployment))
        .containsExactlyInAnyOrder(
            ".spec.imagePulPolicy is not known",
            ".spec.job.parallelism is \"two\", no whole number");
    ObjectNode claim = Manifests.of("cpu").only("PersistentVolumeClaim").deepCopy();
    ((ObjectNode) claim.path("spec")).put("accesModes", "ReadWriteMany");
    assertThat(StrictResource.faults(claim)).containsExactly(".spec.accesModes is not known");
  }

  @ParameterizedTest
  @ValueSource(strings = {"cpu", "gpu", "sql-session", COMPOSE})
  void everyOptionExistsAndTakesItsValue(String folder) throws Exception {
    Configuration config = configuration(folder);
    Map<String, ConfigOption<?>> options = options();
    Set<String> unknown = new TreeSet<>();
    for (String key : config.toMap().keySet()) {
      if (options.containsKey(key)) {
        assertThat(config.getOptional(options.get(key))).as(key).isPresent();
      } else if (!key.startsWith("diffusion.") && !NAMED.matcher(key).matches()) {
        unknown.add(key);
      }
    }
    assertThat(unknown).isEmpty();
    KnownOptions.refuseUnknown(config);
    DiffusionSettings.of(config);
  }

  @ParameterizedTest
  @ValueSource(strings = {"cpu", "gpu", "sql-session", COMPOSE})
  void timeOutsAgree(String folder) {
    Configuration config = configuration(folder);
    Checkpointing checkpoints =
        Checkpointing.of(StreamExecutionEnvironment.getExecutionEnvironment(config));
    Duration restart = config.get(KafkaOptions.ALLOWED_RESTART_TIME);
    assertThat(checkpoints.enabled()).isTrue();
    assertThat(checkpoints.longestTransaction(restart)).isLessThanOrEqualTo(BROKER_LIMIT);
    if (config.get(AutoScalerOptions.AUTOSCALER_ENABLED)) {
      assertThat(config.get(AutoScalerOptions.RESTART_TIME)).isLessThanOrEqualTo(restart);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"cpu", "gpu", "sql-session"})
  void flinkAcceptsTheMemoryOfItsPods(String folder) {
    JsonNode spec = Manifests.of(folder).only("FlinkDeployment").path("spec");
    Configuration config = configuration(folder);
    config.setString(
        "taskmanager.memory.process.size", spec.at("/taskManager/resource/memory").asText());
    config.setString(
        "jobmanager.memory.process.size", spec.at("/jobManager/resource/memory").asText());
    assertThat(
            TaskExecutorProcessUtils.processSpecFromConfig(config).getTaskHeapSize().getMebiBytes())
        .as("heap for requests in flight")
        .isGreaterThan(1024);
    assertThat(
            JobManagerProcessUtils.processSpecFromConfig(config)
                .getJvmHeapMemorySize()
                .getMebiBytes())
        .isGreaterThan(256);
  }

  @ParameterizedTest
  @ValueSource(strings = {"cpu", "gpu"})
  void topicsAndUserAreTheJobs(String folder) {
    Manifests kafka = Manifests.of("kafka");
    Configuration config = configuration(folder);
    String prefix = Manifests.of(folder).only("FlinkDeployment").at("/spec/job/args/0").asText();
    List<String> topics = new ArrayList<>();
    for (JsonNode topic : kafka.all("KafkaTopic")) {
      topics.add(topic.at("/metadata/name").asText());
      assertThat(topic.at("/spec/config/max.message.bytes").asLong())
          .isGreaterThanOrEqualTo(config.get(KafkaOptions.MAX_EVENT_SIZE).getBytes());
    }
    assertThat(topics)
        .containsExactlyInAnyOrder(
            prefix + "prompts", prefix + "images", prefix + "failures", prefix + "progress");
    List<String> allowed = new ArrayList<>();
    kafka
        .only("KafkaUser")
        .at("/spec/authorization/acls")
        .forEach(acl -> allowed.add(acl.at("/resource/name").asText()));
    assertThat(allowed)
        .containsAll(topics)
        .contains(
            config.get(KafkaOptions.GROUP_ID),
            config.get(KafkaOptions.TRANSACTIONAL_ID_PREFIX) + "/");
  }

  @ParameterizedTest
  @ValueSource(strings = {"cpu", "gpu", "sql-session"})
  void prometheusReachesThePortOfTheReporter(String folder) {
    Manifests manifests = Manifests.of(folder);
    int port =
        Integer.parseInt(configuration(folder).toMap().get("metrics.reporter.prometheus.port"));
    assertThat(
            manifests
                .only("FlinkDeployment")
                .at("/spec/podTemplate/spec/containers/0/ports/0/containerPort")
                .asInt())
        .isEqualTo(port);
    JsonNode ingress = manifests.only("NetworkPolicy").at("/spec/ingress");
    assertThat(
            StreamSupport.stream(ingress.spliterator(), false)
                .filter(rule -> rule.toString().contains("monitoring"))
                .map(rule -> rule.at("/ports/0/port").asInt()))
        .containsExactly(port);
  }

  private static Configuration configuration(String from) {
    return Configuration.fromMap(
        from.equals(COMPOSE)
            ? Manifests.flinkPropertiesOfCompose(Path.of(COMPOSE))
            : Manifests.flinkConfiguration(from));
  }

  /** Of Flink's core, its Kubernetes client, and the operator's autoscaler. */
  private static Map<String, ConfigOption<?>> options() throws Exception {
    Map<String, ConfigOption<?>> options = new HashMap<>();
    for (Class<?> type : optionClasses()) {
      for (Field field : type.getDeclaredFields()) {
        if (Modifier.isStatic(field.getModifiers()) && field.getType() == ConfigOption.class) {
          field.setAccessible(true);
          ConfigOption<?> option = (ConfigOption<?>) field.get(null);
          options.put(option.key(), option);
          for (FallbackKey other : option.fallbackKeys()) {
            options.putIfAbsent(other.getKey(), option);
          }
        }
      }
    }
    return options;
  }

  private static List<Class<?>> optionClasses() throws IOException, ReflectiveOperationException {
    List<Class<?>> classes =
        new ArrayList<>(List.of(KubernetesConfigOptions.class, AutoScalerOptions.class));
    Path core =
        Path.of(CoreOptions.class.getProtectionDomain().getCodeSource().getLocation().getPath());
    try (JarFile jar = new JarFile(core.toFile())) {
      for (Enumeration<JarEntry> entries = jar.entries(); entries.hasMoreElements(); ) {
        String name = entries.nextElement().getName();
        if (name.matches("org/apache/flink/configuration/\\w+Options\\.class")) {
          classes.add(Class.forName(name.replace('/', '.').replace(".class", "")));
        }
      }
    }
    return classes;
  }
}
