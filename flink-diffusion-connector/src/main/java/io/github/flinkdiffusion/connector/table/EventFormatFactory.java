/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.table;

import io.github.flinkdiffusion.connector.format.EventFormat;
import io.github.flinkdiffusion.connector.format.FormatSettings;
import io.github.flinkdiffusion.connector.format.RegistrySettings;
import java.util.HashSet;
import java.util.Set;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.format.DecodingFormat;
import org.apache.flink.table.connector.format.EncodingFormat;
import org.apache.flink.table.connector.sink.DynamicTableSink;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.factories.DeserializationFormatFactory;
import org.apache.flink.table.factories.DynamicTableFactory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.factories.SerializationFormatFactory;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.RowType;

/** {@code 'format' = 'diffusion-avro'}: events as rows. Options are {@link EventFormatOptions}. */
@Internal
public class EventFormatFactory
    implements DeserializationFormatFactory, SerializationFormatFactory {

  /** {@code 'format' = 'diffusion-json'}. */
  public static final class Json extends EventFormatFactory {
    public Json() {
      super(EventFormat.JSON);
    }
  }

  /** {@code 'format' = 'diffusion-registry-avro'}. */
  public static final class RegistryAvro extends EventFormatFactory {
    public RegistryAvro() {
      super(EventFormat.REGISTRY_AVRO);
    }
  }

  /** {@code 'format' = 'diffusion-registry-json'}. */
  public static final class RegistryJson extends EventFormatFactory {
    public RegistryJson() {
      super(EventFormat.REGISTRY_JSON);
    }
  }

  private final EventFormat format;

  public EventFormatFactory() {
    this(EventFormat.AVRO);
  }

  private EventFormatFactory(EventFormat format) {
    this.format = format;
  }

  static String identifier(EventFormat format) {
    return "diffusion-" + format;
  }

  @Override
  public String factoryIdentifier() {
    return identifier(format);
  }

  @Override
  public Set<ConfigOption<?>> requiredOptions() {
    return format.usesRegistry()
        ? Set.of(EventFormatOptions.EVENT, EventFormatOptions.REGISTRY_URL)
        : Set.of(EventFormatOptions.EVENT);
  }

  @Override
  public Set<ConfigOption<?>> optionalOptions() {
    Set<ConfigOption<?>> options = new HashSet<>(EventFormatOptions.ALL);
    if (format != EventFormat.AVRO) {
      options.addAll(EventFormatOptions.OF_NAMED_FIELDS);
    }
    if (format.usesRegistry()) {
      options.addAll(EventFormatOptions.OF_REGISTRY);
    }
    options.removeAll(requiredOptions());
    return options;
  }

  @Override
  public DecodingFormat<DeserializationSchema<RowData>> createDecodingFormat(
      DynamicTableFactory.Context context, ReadableConfig options) {
    FactoryUtil.validateFactoryOptions(this, options);
    EventKind kind = options.get(EventFormatOptions.EVENT);
    boolean ignoring = options.get(EventFormatOptions.IGNORE_PARSE_ERRORS);
    FormatSettings settings = settings(options);
    return new DecodingFormat<>() {
      @Override
      public DeserializationSchema<RowData> createRuntimeDecoder(
          DynamicTableSource.Context source, DataType columns) {
        RowType row = (RowType) columns.getLogicalType();
        EventColumns.requireReadable(kind, row);
        return new EventRowDeserializer(
            kind, settings, row, ignoring, source.createTypeInformation(columns));
      }

      @Override
      public ChangelogMode getChangelogMode() {
        return ChangelogMode.insertOnly();
      }
    };
  }

  @Override
  public EncodingFormat<SerializationSchema<RowData>> createEncodingFormat(
      DynamicTableFactory.Context context, ReadableConfig options) {
    FactoryUtil.validateFactoryOptions(this, options);
    EventKind kind = options.get(EventFormatOptions.EVENT);
    FormatSettings settings = settings(options);
    String topic = format.usesRegistry() ? topic(context) : "";
    return new EncodingFormat<>() {
      @Override
      public SerializationSchema<RowData> createRuntimeEncoder(
          DynamicTableSink.Context sink, DataType columns) {
        RowType row = (RowType) columns.getLogicalType();
        EventColumns.requireWritable(kind, row);
        return new EventRowSerializer(kind, settings, topic, row);
      }

      @Override
      public ChangelogMode getChangelogMode() {
        return ChangelogMode.insertOnly();
      }
    };
  }

  private FormatSettings settings(ReadableConfig options) {
    try {
      return new FormatSettings(
          format,
          options.get(EventFormatOptions.UNKNOWN_FIELDS),
          null,
          format.usesRegistry()
              ? new RegistrySettings(
                  options.get(EventFormatOptions.REGISTRY_URL),
                  options.get(EventFormatOptions.REGISTRY_FRAMING),
                  options.get(EventFormatOptions.REGISTRY_AUTO_REGISTER),
                  options.get(EventFormatOptions.REGISTRY_TIMEOUT),
                  options.get(EventFormatOptions.REGISTRY_USER),
                  options.get(EventFormatOptions.REGISTRY_PASSWORD))
              : null);
    } catch (IllegalArgumentException e) {
      throw new ValidationException(
          "Invalid options of the format '%s': %s.".formatted(factoryIdentifier(), e.getMessage()),
          e);
    }
  }

  /** It names the schema in the registry. */
  private String topic(DynamicTableFactory.Context context) {
    String topic = context.getCatalogTable().getOptions().get("topic");
    if (topic == null || topic.isBlank() || topic.contains(";")) {
      throw new ValidationException(
          ("A table of the format '%s' that is written to needs the option 'topic' with one topic:"
                  + " the schema is registered as <topic>-value.")
              .formatted(factoryIdentifier()));
    }
    return topic;
  }
}
