/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import java.util.List;
import org.apache.flink.annotation.Internal;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;

/** Options of the connector {@code diffusion-images}. */
@Internal
public final class ImageFilesOptions {

  public static final ConfigOption<String> PATH =
      ConfigOptions.key("path")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Folder of the files, on any file system that Flink knows (file:///out, s3://bucket/out)."
                  + " A path without a scheme that is not absolute begins at the client's working"
                  + " directory. Required.");

  public static final ConfigOption<String> FILE_NAME =
      ConfigOptions.key("file-name")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Name of a row's file below the folder, without its ending: text with columns in braces,"
                  + " such as {day}/{id}. {sha256} is the digest of the image. Letters, digits, '-', '_'"
                  + " and '.' of a value are kept, all else is written as %XX. Of two rows with the same"
                  + " name, the later one's file remains. Default: {id} where the table has a column id,"
                  + " else {sha256}.");

  public static final ConfigOption<Integer> CONTACT_SHEET_IMAGES =
      ConfigOptions.key("contact-sheet.images")
          .intType()
          .defaultValue(60)
          .withDescription(
              "Images on contact-sheet.png, the newest ones, at most 1000. The sheet is written anew"
                  + " after each checkpoint that adds images. 0 writes no sheet.");

  /** All of them, in the order of the reference page. */
  public static final List<ConfigOption<?>> ALL = List.of(PATH, FILE_NAME, CONTACT_SHEET_IMAGES);

  private ImageFilesOptions() {}
}
