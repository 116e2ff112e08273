/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Properties;
import org.apache.flink.annotation.Internal;

/** The version of Flink Diffusion that runs, as the build wrote it into a resource. */
@Internal
public final class SoftwareVersion {
  /** Of classes that no build has given a version, such as a compiler's output alone. */
  private static final String UNBUILT = "unbuilt";

  /** Such as {@code 0.1.0}. */
  public static final String CURRENT = read();

  private SoftwareVersion() {}

  private static String read() {
    Properties properties = new Properties();
    try (InputStream in = SoftwareVersion.class.getResourceAsStream("version.properties")) {
      if (in != null) {
        properties.load(in);
      }
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot read the resource version.properties", e);
    }
    String version = properties.getProperty("version", UNBUILT);
    return version.startsWith("${") ? UNBUILT : version;
  }
}
