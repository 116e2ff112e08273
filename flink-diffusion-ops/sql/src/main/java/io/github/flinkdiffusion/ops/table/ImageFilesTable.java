/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.sink.DynamicTableSink;
import org.apache.flink.table.connector.sink.SinkV2Provider;

/** A table of {@link ImageFilesFactory}. */
final class ImageFilesTable implements DynamicTableSink {
  private final String name;
  private final ImageFilesSink.Settings settings;

  ImageFilesTable(String name, ImageFilesSink.Settings settings) {
    this.name = name;
    this.settings = settings;
  }

  @Override
  public ChangelogMode getChangelogMode(ChangelogMode requested) {
    return ChangelogMode.insertOnly();
  }

  @Override
  public SinkRuntimeProvider getSinkRuntimeProvider(Context context) {
    return SinkV2Provider.of(new ImageFilesSink(name, settings));
  }

  @Override
  public DynamicTableSink copy() {
    return new ImageFilesTable(name, settings);
  }

  @Override
  public String asSummaryString() {
    return "image files in " + settings.folder();
  }
}
