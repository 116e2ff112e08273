/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.table;

import java.util.Set;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ReadableConfig;
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
public final class EventFormatFactory
    implements DeserializationFormatFactory, SerializationFormatFactory {

  @Override
  public String factoryIdentifier() {
    return "diffusion-avro";
  }

  @Override
  public Set<ConfigOption<?>> requiredOptions() {
    return Set.of(EventFormatOptions.EVENT);
  }

  @Override
  public Set<ConfigOption<?>> optionalOptions() {
    return Set.of(EventFormatOptions.IGNORE_PARSE_ERRORS);
  }

  @Override
  public DecodingFormat<DeserializationSchema<RowData>> createDecodingFormat(
      DynamicTableFactory.Context context, ReadableConfig options) {
    FactoryUtil.validateFactoryOptions(this, options);
    EventKind kind = options.get(EventFormatOptions.EVENT);
    boolean ignoring = options.get(EventFormatOptions.IGNORE_PARSE_ERRORS);
    return new DecodingFormat<>() {
      @Override
      public DeserializationSchema<RowData> createRuntimeDecoder(
          DynamicTableSource.Context source, DataType columns) {
        RowType row = (RowType) columns.getLogicalType();
        EventColumns.requireReadable(kind, row);
        return new EventRowDeserializer(kind, row, ignoring, source.createTypeInformation(columns));
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
    return new EncodingFormat<>() {
      @Override
      public SerializationSchema<RowData> createRuntimeEncoder(
          DynamicTableSink.Context sink, DataType columns) {
        RowType row = (RowType) columns.getLogicalType();
        EventColumns.requireWritable(kind, row);
        return new EventRowSerializer(kind, row);
      }

      @Override
      public ChangelogMode getChangelogMode() {
        return ChangelogMode.insertOnly();
      }
    };
  }
}
