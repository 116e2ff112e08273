/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.kafka.ClientProperties;
import io.github.flinkdiffusion.connector.kafka.KafkaOptions;
import io.github.flinkdiffusion.connector.kafka.NamedPayloads;
import io.github.flinkdiffusion.connector.payload.PayloadCleanUp;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Callable;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.GlobalConfiguration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.plugin.PluginUtils;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * Deletes stored images that no event names any more; see {@link PayloadCleanUp} for when that is
 * safe.
 *
 * <p>Exit codes: 0 when it is done, 1 when something is wrong, with one line on standard error that
 * says what; 2 when the arguments are wrong.
 */
@Command(
    name = "examples/clean-payloads",
    sortOptions = false,
    usageHelpAutoWidth = true,
    description = {
      "Delete images of a payload store that no event names: those of attempts that were rolled"
          + " back, and those whose events the topics no longer hold.",
      "Without --delete, only print what would be deleted.",
      "",
      "Name EVERY topic whose events may name images of the store: requests, results, failures. An"
          + " image that only another topic names is deleted.",
      "Set --older-than to at least a day more than an image can wait for its event to be"
          + " committed: more than any transaction may be open, and more than any job may rest"
          + " in a savepoint from which it will continue.",
      ""
    })
public final class PayloadCleanUpTool implements Callable<Integer> {
  private static final int FOLDERS = 256;
  private static final int PERCENT = 100;

  @Mixin private HelpOption help;

  @Option(
      names = "--store",
      paramLabel = "URI",
      description = "The store (default: diffusion.payload.store of the configuration).")
  private String store;

  @Option(
      names = "--topic",
      paramLabel = "NAME",
      required = true,
      split = ",",
      description = "Topics whose events name images; may be given several times.")
  private List<String> topics;

  @Option(
      names = "--bootstrap-servers",
      paramLabel = "HOST:PORT",
      description =
          "Where Kafka is (default: diffusion.kafka.bootstrap-servers of the configuration).")
  private String bootstrapServers;

  @Option(
      names = "--older-than",
      paramLabel = "DURATION",
      defaultValue = "7 d",
      converter = TimeOption.Span.class,
      description =
          "Only images that were last written or used longer ago than this, at least 2 d (default:"
              + " ${DEFAULT-VALUE}).")
  private Duration olderThan;

  @Option(
      names = "--delete",
      description = "Delete the images, instead of only printing what would be deleted.")
  private boolean delete;

  @Option(
      names = "--flink-conf",
      paramLabel = "FOLDER",
      description =
          "Folder with Flink's config.yaml, for the defaults above and the file system's"
              + " credentials. File system plugins are taken from the folder in the environment"
              + " variable FLINK_PLUGINS_DIR.")
  private Path flinkConf;

  @Option(
      names = "--kafka-property",
      paramLabel = "KEY=VALUE",
      description = "A property of the Kafka client, such as security.protocol=SSL.")
  private Map<String, String> kafkaProperties = Map.of();

  @Option(
      names = "--ignore-undecodable",
      description =
          "Continue even if some records are not events that this version can read. Images that"
              + " they name are unknown, and may be deleted.")
  private boolean ignoreUndecodable;

  private PayloadCleanUpTool() {}

  public static void main(String[] args) {
    DemoCommand.main(new PayloadCleanUpTool(), args);
  }

  /** As {@link #main}, but returns the exit code. */
  static int run(String... args) {
    return DemoCommand.run(new PayloadCleanUpTool(), args);
  }

  @Override
  public Integer call() {
    Configuration configuration =
        flinkConf == null
            ? new Configuration()
            : GlobalConfiguration.loadConfiguration(flinkConf.toString());
    String storeUri = required("--store", store, configuration, PayloadOptions.STORE);
    Properties client = ClientProperties.of(configuration);
    kafkaProperties.forEach(client::setProperty);
    client.setProperty(
        "bootstrap.servers",
        required(
            "--bootstrap-servers",
            bootstrapServers,
            configuration,
            KafkaOptions.BOOTSTRAP_SERVERS));
    FileSystem.initialize(
        configuration, PluginUtils.createPluginManagerFromRootFolder(configuration));

    PayloadCleanUp cleanUp = list(storeUri);
    NamedPayloads.Read read = read(client, cleanUp);
    System.out.printf(
        Locale.ROOT,
        "%d events name images %d times%n%d images are too young to be checked%n%s named by an"
            + " event%n",
        read.events(),
        read.references(),
        cleanUp.young(),
        text(cleanUp.named(), "old image"));
    PayloadCleanUp.Deleted planned = cleanUp.wouldDelete();
    if (!delete) {
      report("would be deleted", planned);
      System.out.println("Nothing was deleted. Add --delete to delete them.");
      return 0;
    }
    check(read);
    report("deleted", delete(cleanUp, planned));
    return 0;
  }

  private static String required(
      String option, String given, Configuration configuration, ConfigOption<String> configured) {
    if (given != null) {
      return given;
    }
    return configuration
        .getOptional(configured)
        .orElseThrow(
            () ->
                new DemoException(
                    "Give %s, or --flink-conf with a configuration that has %s."
                        .formatted(option, configured.key())));
  }

  private PayloadCleanUp list(String storeUri) {
    System.err.println("Listing " + storeUri);
    try (Progress progress = Progress.of(FOLDERS)) {
      PayloadCleanUp cleanUp =
          PayloadCleanUp.list(storeUri, olderThan, folders -> progress.at(folders, 0));
      progress.at(FOLDERS, 0);
      return cleanUp;
    }
  }

  private NamedPayloads.Read read(Properties client, PayloadCleanUp cleanUp) {
    System.err.println("Reading " + String.join(", ", topics));
    try (Progress progress = Progress.of(PERCENT)) {
      return NamedPayloads.read(
          client,
          topics,
          cleanUp::keep,
          (done, total) -> progress.at((int) (done * PERCENT / total), 0));
    }
  }

  /** What would have images deleted that are still needed. */
  private void check(NamedPayloads.Read read) {
    if (read.events() == 0) {
      throw new DemoException(
          "There is no event in %s, so every old image would be deleted. Check --topic and --bootstrap-servers."
              .formatted(String.join(", ", topics)));
    }
    if (read.undecodable() > 0 && !ignoreUndecodable) {
      throw new DemoException(
          ("%d records are not events that this version can read, and images that they name would"
                  + " be deleted. The first: %s Use a newer version, leave the topic out, or add"
                  + " --ignore-undecodable.")
              .formatted(read.undecodable(), read.firstUndecodable().orElseThrow()));
    }
  }

  private static PayloadCleanUp.Deleted delete(
      PayloadCleanUp cleanUp, PayloadCleanUp.Deleted planned) {
    System.err.println("Deleting");
    long files = planned.payloads().count() + planned.unfinished().count();
    try (Progress progress = Progress.of((int) Math.max(1, Math.min(files, Integer.MAX_VALUE)))) {
      return cleanUp.delete(done -> progress.at(done, 0));
    }
  }

  private static void report(String what, PayloadCleanUp.Deleted deleted) {
    System.out.printf("%s %s%n", text(deleted.payloads(), "old image"), what);
    System.out.printf("%s %s%n", text(deleted.unfinished(), "unfinished file"), what);
  }

  private static String text(PayloadCleanUp.Amount amount, String thing) {
    return "%d %s%s (%s)"
        .formatted(
            amount.count(),
            thing,
            amount.count() == 1 ? "" : "s",
            new MemorySize(amount.bytes()).toHumanReadableString());
  }
}
