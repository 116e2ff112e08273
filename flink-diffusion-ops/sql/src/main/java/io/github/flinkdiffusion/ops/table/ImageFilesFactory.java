/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import java.net.URI;
import java.util.Set;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.core.fs.Path;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.connector.sink.DynamicTableSink;
import org.apache.flink.table.factories.DynamicTableSinkFactory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.table.types.logical.RowType;

/**
 * {@code 'connector' = 'diffusion-images'}: a table whose rows become image files, each exactly
 * once, and a contact sheet of them. Options are {@link ImageFilesOptions}.
 *
 * <p>The column {@code image} BYTES holds a file of any kind. A row without one becomes a text file
 * with what its column {@code problem} or {@code error-string} says. The column {@code prompt}, if
 * there is one, is the caption on the contact sheet.
 */
@Internal
public final class ImageFilesFactory implements DynamicTableSinkFactory {

  @Override
  public String factoryIdentifier() {
    return "diffusion-images";
  }

  @Override
  public Set<ConfigOption<?>> requiredOptions() {
    return Set.of(ImageFilesOptions.PATH);
  }

  @Override
  public Set<ConfigOption<?>> optionalOptions() {
    return Set.of(ImageFilesOptions.FILE_NAME, ImageFilesOptions.CONTACT_SHEET_IMAGES);
  }

  @Override
  public DynamicTableSink createDynamicTableSink(Context context) {
    FactoryUtil.TableFactoryHelper helper = FactoryUtil.createTableFactoryHelper(this, context);
    helper.validate();
    ReadableConfig options = helper.getOptions();
    RowType row = (RowType) context.getPhysicalRowDataType().getLogicalType();
    String table = context.getObjectIdentifier().getObjectName();
    requireCommits(table, context.getConfiguration());
    int shown = options.get(ImageFilesOptions.CONTACT_SHEET_IMAGES);
    if (shown < 0 || shown > 1000) {
      throw new ValidationException(
          "Option '%s' of table '%s' cannot be %d; it must be 0 to 1000."
              .formatted(ImageFilesOptions.CONTACT_SHEET_IMAGES.key(), table, shown));
    }
    String template =
        options
            .getOptional(ImageFilesOptions.FILE_NAME)
            .orElse(row.getFieldIndex("id") < 0 ? "{sha256}" : "{id}");
    return new ImageFilesTable(
        table,
        new ImageFilesSink.Settings(
            folder(options.get(ImageFilesOptions.PATH)).toString(),
            new ImageRows(
                FileName.of(template, row),
                imageColumn(table, row),
                textColumn(row, "problem", OutputColumns.ERROR),
                textColumn(row, "prompt")),
            shown));
  }

  /** Files appear when a checkpoint is complete, or at the end of a job in batch mode. */
  private static void requireCommits(String table, ReadableConfig session) {
    if (session.get(ExecutionOptions.RUNTIME_MODE) == RuntimeExecutionMode.STREAMING
        && session.getOptional(CheckpointingOptions.CHECKPOINTING_INTERVAL).isEmpty()) {
      throw new ValidationException(
          "Files of table '%s' appear with each checkpoint, and the job would make none. SET '%s' = '10s', for example."
              .formatted(table, CheckpointingOptions.CHECKPOINTING_INTERVAL.key()));
    }
  }

  /** Task managers have other working directories than the client. */
  private static Path folder(String path) {
    Path folder;
    try {
      folder = new Path(path);
    } catch (IllegalArgumentException e) {
      throw new ValidationException(
          "Option 'path' cannot be '%s': it must be a folder, such as 'file:///out' or 's3://bucket/out' (%s)."
              .formatted(path, e.getMessage()),
          e);
    }
    URI uri = folder.toUri();
    return uri.getScheme() == null && !folder.isAbsolute()
        ? new Path(java.nio.file.Path.of(path).toAbsolutePath().toUri())
        : folder;
  }

  private static int imageColumn(String table, RowType row) {
    int image = row.getFieldIndex("image");
    if (image < 0 || !row.getTypeAt(image).is(LogicalTypeRoot.VARBINARY)) {
      throw new ValidationException(
          "Table '%s' has no column 'image' of type BYTES, whose values become files; its columns are %s."
              .formatted(table, row.asSummaryString()));
    }
    return image;
  }

  /** -1 where there is none. */
  private static int textColumn(RowType row, String... names) {
    for (String name : names) {
      int column = row.getFieldIndex(name);
      if (column >= 0 && row.getTypeAt(column).is(LogicalTypeRoot.VARCHAR)) {
        return column;
      }
    }
    return -1;
  }
}
