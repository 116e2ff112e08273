/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.table;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.format.EventFormat;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import io.github.flinkdiffusion.connector.format.Framing;
import io.github.flinkdiffusion.connector.format.RegistrySettings;
import io.github.flinkdiffusion.connector.format.TestRegistry;
import io.github.flinkdiffusion.connector.format.UnknownFields;
import java.io.IOException;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.Schema;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.catalog.CatalogTable;
import org.apache.flink.table.catalog.Column;
import org.apache.flink.table.catalog.ObjectIdentifier;
import org.apache.flink.table.catalog.ResolvedCatalogTable;
import org.apache.flink.table.catalog.ResolvedSchema;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.factories.DeserializationFormatFactory;
import org.apache.flink.table.factories.DynamicTableFactory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.factories.SerializationFormatFactory;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.util.SimpleUserCodeClassLoader;
import org.apache.flink.util.UserCodeClassLoader;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Tables in each format, as Flink finds and opens them. */
class EventFormatsTest {
  private static final DataType COLUMNS =
      DataTypes.ROW(
          DataTypes.FIELD("id", DataTypes.STRING()),
          DataTypes.FIELD("prompt", DataTypes.STRING()),
          DataTypes.FIELD("seed", DataTypes.BIGINT()));

  private TestRegistry registry;

  @BeforeEach
  void start() throws IOException {
    registry = new TestRegistry();
  }

  @AfterEach
  void stop() {
    registry.close();
  }

  @ParameterizedTest
  @EnumSource(names = "PLAIN_AVRO", mode = EnumSource.Mode.EXCLUDE)
  void rowsAreTheEventsOfDataStreamJobs(EventFormat format) throws Exception {
    byte[] written = writer(format, Map.of()).serialize(row("p1", "a red heart", 7L));

    PromptEvent event = ofJob(format).reader(PromptEvent.class).read(written, null);
    assertThat(event)
        .isEqualTo(
            PromptEvent.newBuilder().setId("p1").setPrompt("a red heart").setSeed(7L).build());

    byte[] ofJob = ofJob(format).writer(PromptEvent.class, "prompts").write(event);
    RowData read = reader(format, Map.of()).deserialize(ofJob);
    assertThat(read.getString(0)).hasToString("p1");
    assertThat(read.getString(1)).hasToString("a red heart");
    assertThat(read.getLong(2)).isEqualTo(7L);
    if (format.usesRegistry()) {
      assertThat(registry.asked).anyMatch(each -> each.contains("/subjects/prompts-value"));
    }
  }

  @Test
  void aLineOfJsonIsARow() throws Exception {
    RowData row =
        reader(EventFormat.JSON, Map.of())
            .deserialize("{\"id\": \"p1\", \"prompt\": \"a cat\"}".getBytes(UTF_8));
    assertThat(row.getString(1)).hasToString("a cat");
    assertThat(row.isNullAt(2)).isTrue();
  }

  @Test
  void whatIsMissingOrUnknownIsNamedWithTheOptionsOfTheTable() throws Exception {
    DeserializationSchema<RowData> json = reader(EventFormat.JSON, Map.of());
    assertThatThrownBy(() -> json.deserialize("{\"prompt\": \"a cat\"}".getBytes(UTF_8)))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("id")
        .hasMessageContaining("'diffusion-json.ignore-parse-errors' = 'true'");

    byte[] unknown = "{\"id\": \"p1\", \"prompt\": \"a cat\", \"shop\": \"b\"}".getBytes(UTF_8);
    assertThatThrownBy(() -> json.deserialize(unknown)).hasMessageContaining("shop");
    assertThat(
            reader(EventFormat.JSON, Map.of("unknown-fields", "attributes")).deserialize(unknown))
        .isNotNull();
    assertThat(reader(EventFormat.JSON, Map.of("ignore-parse-errors", "true")).deserialize(unknown))
        .isNull();
  }

  @Test
  void optionsAreCheckedWhenTheTableIsUsed() {
    assertThatThrownBy(() -> reader(EventFormat.REGISTRY_AVRO, Map.of("registry.url", "registry")))
        .isInstanceOf(ValidationException.class)
        .hasMessageContaining("'registry' is not the URL of a registry");
    assertThatThrownBy(() -> reader(EventFormat.REGISTRY_AVRO, Map.of("registry.user", "a")))
        .isInstanceOf(ValidationException.class)
        .hasMessageContaining("set both user and password");
    assertThatThrownBy(() -> writer(EventFormat.REGISTRY_JSON, Map.of(), Map.of("topic", "a;b")))
        .isInstanceOf(ValidationException.class)
        .hasMessageContaining("'topic' with one topic");
    assertThat(new EventFormatFactory().optionalOptions())
        .containsExactly(EventFormatOptions.IGNORE_PARSE_ERRORS);
  }

  private FormatSettings ofJob(EventFormat format) {
    return new FormatSettings(
        format,
        UnknownFields.REFUSE,
        null,
        format.usesRegistry()
            ? new RegistrySettings(
                registry.url(), Framing.CONFLUENT, true, Duration.ofSeconds(5), null, null)
            : null);
  }

  private DeserializationSchema<RowData> reader(EventFormat format, Map<String, String> more)
      throws Exception {
    DeserializationSchema<RowData> reader =
        FactoryUtil.discoverFactory(
                getClass().getClassLoader(),
                DeserializationFormatFactory.class,
                "diffusion-" + format)
            .createDecodingFormat(table(Map.of()), options(format, more))
            .createRuntimeDecoder(SOURCE, COLUMNS);
    reader.open(OPENING);
    return reader;
  }

  private SerializationSchema<RowData> writer(EventFormat format, Map<String, String> more)
      throws Exception {
    return writer(format, more, Map.of("topic", "prompts"));
  }

  private SerializationSchema<RowData> writer(
      EventFormat format, Map<String, String> more, Map<String, String> table) throws Exception {
    SerializationSchema<RowData> writer =
        FactoryUtil.discoverFactory(
                getClass().getClassLoader(),
                SerializationFormatFactory.class,
                "diffusion-" + format)
            .createEncodingFormat(table(table), options(format, more))
            .createRuntimeEncoder(null, COLUMNS);
    writer.open(OPENING);
    return writer;
  }

  private Configuration options(EventFormat format, Map<String, String> more) {
    Map<String, String> options = new HashMap<>(Map.of("event", "prompt"));
    if (format.usesRegistry()) {
      options.put("registry.url", registry.url());
    }
    options.putAll(more);
    return Configuration.fromMap(options);
  }

  private static DynamicTableFactory.Context table(Map<String, String> options) {
    return new FactoryUtil.DefaultDynamicTableContext(
        ObjectIdentifier.of("c", "d", "t"),
        new ResolvedCatalogTable(
            CatalogTable.newBuilder()
                .schema(Schema.newBuilder().fromRowDataType(COLUMNS).build())
                .options(options)
                .build(),
            ResolvedSchema.of(List.of(Column.physical("id", DataTypes.STRING())))),
        Map.of(),
        new Configuration(),
        EventFormatsTest.class.getClassLoader(),
        false);
  }

  private static RowData row(String id, String prompt, long seed) {
    return GenericRowData.of(StringData.fromString(id), StringData.fromString(prompt), seed);
  }

  private static final DynamicTableSource.Context SOURCE =
      new DynamicTableSource.Context() {
        @Override
        public <T> TypeInformation<T> createTypeInformation(DataType type) {
          return null;
        }

        @Override
        public <T> TypeInformation<T> createTypeInformation(LogicalType type) {
          return null;
        }

        @Override
        public DynamicTableSource.DataStructureConverter createDataStructureConverter(
            DataType type) {
          throw new UnsupportedOperationException();
        }
      };

  private static final Opening OPENING = new Opening();

  private static final class Opening
      implements DeserializationSchema.InitializationContext,
          SerializationSchema.InitializationContext {
    @Override
    public MetricGroup getMetricGroup() {
      return new UnregisteredMetricsGroup();
    }

    @Override
    public UserCodeClassLoader getUserCodeClassLoader() {
      return SimpleUserCodeClassLoader.create(EventFormatsTest.class.getClassLoader());
    }
  }
}
