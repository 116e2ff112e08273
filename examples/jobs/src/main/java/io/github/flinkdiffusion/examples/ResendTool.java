/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.connector.event.FailureReason;
import io.github.flinkdiffusion.connector.format.EventFormat;
import java.time.Instant;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * Sends the requests of failures again.
 *
 * <p>Exit codes: 0 when it is done, 1 when something is wrong, with one line on standard error that
 * says what; 2 when the arguments are wrong; 3 when some failures cannot be sent again.
 */
@Command(
    name = "examples/resend",
    sortOptions = false,
    usageHelpAutoWidth = true,
    description = {
      "Send the requests of failures again, each once, with its key, its headers and its id.",
      "Without --send, only print what would be sent.",
      "",
      "A topic records what was sent, in the same transaction as the request. So each failure is"
          + " sent again once, whatever the filters are and however often this runs or is"
          + " killed. A request that fails again is a new failure, and counts towards"
          + " --most-times.",
      "Readers of the request topic must read committed records only, as this project's sources"
          + " do.",
      ""
    })
public final class ResendTool implements Callable<Integer> {
  private static final int SOME_IMPOSSIBLE = 3;

  @Mixin private HelpOption help;

  @Option(
      names = "--bootstrap-servers",
      paramLabel = "HOST:PORT",
      required = true,
      description = "Where Kafka is.")
  private String bootstrapServers;

  @Option(
      names = "--failures",
      paramLabel = "TOPIC",
      required = true,
      description = "The topic with the failures.")
  private String failures;

  @Option(
      names = "--to",
      paramLabel = "TOPIC",
      description = "Where the requests go (default: the topic that each came from).")
  private String to;

  @Option(
      names = "--send",
      description = "Send the requests, instead of only printing what would be sent.")
  private boolean send;

  @Option(
      names = "--reason",
      paramLabel = "REASON",
      split = ",",
      converter = ReasonConverter.class,
      description = "Only failures with these reasons, such as TIMEOUT,DEVICE_ERROR.")
  private Set<FailureReason> reasons = Set.of();

  @Option(
      names = "--id",
      paramLabel = "ID",
      split = ",",
      description = "Only failures of these requests.")
  private Set<String> ids = Set.of();

  @Option(
      names = "--since",
      paramLabel = "TIME",
      converter = TimeOption.Point.class,
      description =
          "Only failures written since then: 2026-11-29T08:00:00Z, or a time ago such as '2 h'.")
  private Instant since;

  @Option(
      names = "--until",
      paramLabel = "TIME",
      converter = TimeOption.Point.class,
      description = "Only failures written before then, in the form of --since.")
  private Instant until;

  @Option(
      names = "--most-times",
      paramLabel = "N",
      defaultValue = "3",
      description = "Maximum times that one request is sent again (default: ${DEFAULT-VALUE}).")
  private int mostTimes;

  @Option(
      names = "--format",
      paramLabel = "FORMAT",
      converter = FormatConverter.class,
      description =
          "Format of the request topic, as diffusion.kafka.source.format (default: each as the"
              + " failure holds it, which is JSON where failures are, else Avro). A record that was"
              + " no request stays as it is.")
  private EventFormat format;

  @Option(
      names = "--failures-format",
      paramLabel = "FORMAT",
      converter = FormatConverter.class,
      description =
          "Format of the failures, as diffusion.kafka.sink.format (default: avro or json, whichever"
              + " each is).")
  private EventFormat failuresFormat;

  @Mixin private RegistryOption registry;

  @Option(
      names = "--ledger",
      paramLabel = "TOPIC",
      description =
          "Topic that records what was sent; created if missing (default: the failures topic's"
              + " name with -resent).")
  private String ledger;

  @Option(
      names = "--kafka-property",
      paramLabel = "KEY=VALUE",
      description = "A property of the Kafka clients, such as security.protocol=SSL.")
  private Map<String, String> kafkaProperties = new HashMap<>();

  /** In any case, and saying which there are. */
  static final class ReasonConverter implements CommandLine.ITypeConverter<FailureReason> {
    @Override
    public FailureReason convert(String text) {
      try {
        return FailureReason.valueOf(text.strip().toUpperCase(Locale.ROOT).replace('-', '_'));
      } catch (IllegalArgumentException e) {
        throw new CommandLine.TypeConversionException(
            "'%s' is not a reason; expected one of %s"
                .formatted(text, Arrays.toString(FailureReason.values())));
      }
    }
  }

  /** As Flink's configuration writes them. */
  static final class FormatConverter implements CommandLine.ITypeConverter<EventFormat> {
    @Override
    public EventFormat convert(String text) {
      return Arrays.stream(EventFormat.values())
          .filter(format -> format.toString().equals(text))
          .findFirst()
          .orElseThrow(
              () ->
                  new CommandLine.TypeConversionException(
                      "'%s' is not a format; expected one of %s"
                          .formatted(text, Arrays.toString(EventFormat.values()))));
    }
  }

  private ResendTool() {}

  public static void main(String[] args) {
    DemoCommand.main(new ResendTool(), args);
  }

  /** As {@link #main}, but returns the exit code. */
  static int run(String... args) {
    return DemoCommand.run(new ResendTool(), args);
  }

  @Override
  public Integer call() {
    Properties client = new Properties();
    client.putAll(Topics.PATIENCE);
    client.putAll(kafkaProperties);
    client.setProperty("bootstrap.servers", bootstrapServers);
    Resending resending =
        new Resending(
            to,
            registry.settings(format),
            mostTimes,
            (topic, partition, offset) -> ResendRun.readAt(client, topic, partition, offset));
    ResendRun.Result result;
    try (ResendRun run =
        new ResendRun(
            client,
            failures,
            ledger == null ? failures + "-resent" : ledger,
            registry.settings(failuresFormat))) {
      result =
          run.run(
              new FailureFilter(reasons, ids, since, until), resending, send, System.out::println);
    }
    System.out.printf(
        Locale.ROOT,
        "%d failures, %d of them selected: %d %s, %d were sent before, %d cannot be sent.%n",
        result.failures(),
        result.matching(),
        result.sent(),
        send ? "sent again" : "would be sent again",
        result.before(),
        result.impossible());
    if (!send) {
      System.out.println("Nothing was sent. Add --send to send them.");
    }
    return result.impossible() == 0 ? 0 : SOME_IMPOSSIBLE;
  }
}
