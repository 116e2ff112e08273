/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.table;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.flink.configuration.description.HtmlFormatter;
import org.junit.jupiter.api.Test;

/**
 * Keeps examples/sql/events.sql equal to the events' schemas. After a change, write it anew:
 *
 * <pre>mvn -pl flink-diffusion-connector -am test -Dtest=EventTablesTest \
 *     -Dsurefire.failIfNoSpecifiedTests=false -Ddocs.write=true</pre>
 */
class EventTablesTest {
  private static final Path STATEMENTS = Path.of("../examples/sql/events.sql");

  /** As the jobs of examples/jobs name them. */
  private static final Map<EventKind, String> TOPICS =
      new EnumMap<>(
          Map.of(
              EventKind.PROMPT, "prompts",
              EventKind.IMAGE_TASK, "image-tasks",
              EventKind.IMAGE, "images",
              EventKind.TEXT, "captions",
              EventKind.FAILURE, "failures",
              EventKind.PROGRESS, "progress",
              EventKind.CANCEL, "cancellations",
              EventKind.MODEL, "models",
              EventKind.VOTE, "votes"));

  @Test
  void theStatementsHaveEveryFieldOfEveryEvent() throws IOException {
    StringBuilder expected =
        new StringBuilder(
            """
            -- The topics of the DataStream jobs as tables: leave out the columns and tables that you do not need.
            -- Written by EventTablesTest from the events' schemas; do not edit.
            --
            -- Exactly once needs checkpoints, and a transactional id prefix that no other running job has: a second job that
            -- writes the same table says INSERT INTO t /*+ OPTIONS('sink.transactional-id-prefix' = '...') */.
            -- The transaction timeout is the most that brokers allow unless they are told otherwise (transaction.max.timeout.ms).
            -- Topics must exist, and take records of 16 MB (max.message.bytes). The time of an event is that of its record.
            """);
    for (EventKind kind : EventKind.values()) {
      expected.append(table(kind));
    }
    if (Boolean.getBoolean("docs.write")) {
      Files.writeString(STATEMENTS, expected);
    }
    assertThat(STATEMENTS).hasContent(expected.toString());
  }

  @Test
  void theReferenceNamesEveryEvent() {
    String description = new HtmlFormatter().format(EventFormatOptions.EVENT.description());
    String names = description.replaceFirst(".*: (.*)[.] Required.*", "$1");
    assertThat(names.split(", | or "))
        .containsExactly(
            Arrays.stream(EventKind.values()).map(EventKind::toString).toArray(String[]::new));
  }

  private static String table(EventKind kind) {
    String columns =
        EventColumn.of(kind.schema()).stream()
            .map(
                column ->
                    "  `%s` %s%s COMMENT '%s',\n"
                        .formatted(
                            column.name(),
                            EventColumns.sqlType(column.schema()),
                            column.required() ? " NOT NULL" : "",
                            firstSentence(column.field().doc())))
            .collect(Collectors.joining());
    String topic = TOPICS.get(kind);
    assertThat(topic).as("topic of " + kind).isNotNull();
    return """

    CREATE TABLE %s_events (
    %s  `event_time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
      WATERMARK FOR `event_time` AS `event_time` - INTERVAL '5' SECOND
    ) COMMENT '%s' WITH (
      'connector' = 'kafka',
      'topic' = '%s',
      'properties.bootstrap.servers' = 'localhost:9092',
      'properties.group.id' = 'sql-%s',
      'properties.isolation.level' = 'read_committed',
      'scan.startup.mode' = 'earliest-offset',
      'key.format' = 'raw',
      'key.fields' = 'id',
      'format' = 'diffusion-avro',
      'diffusion-avro.event' = '%s'%s
    );
    """
        .formatted(
            kind.name().toLowerCase(Locale.ROOT),
            columns,
            firstSentence(kind.schema().getDoc()),
            topic,
            topic,
            kind,
            kind == EventKind.PROGRESS ? "" : sink(topic));
  }

  /** Nobody but a job tells of progress. */
  private static String sink(String topic) {
    return """
    ,
      'properties.max.request.size' = '16777216',
      'properties.transaction.timeout.ms' = '900000',
      'sink.delivery-guarantee' = 'exactly-once',
      'sink.transactional-id-prefix' = 'sql-%s/',
      'sink.transaction-naming-strategy' = 'pooling'\
    """
        .formatted(topic);
  }

  private static String firstSentence(String doc) {
    // Neither "e.g. Euler..." nor "1 .. 1000" ends one.
    String sentence = doc.replaceFirst("(?<!e[.]g|[.])[.] [A-Z].*", ".");
    return sentence.replaceFirst("\\.$", "").replace("'", "''");
  }
}
