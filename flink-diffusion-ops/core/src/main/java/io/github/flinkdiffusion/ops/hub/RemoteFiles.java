/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.hub;

import java.io.IOException;
import java.io.InputStream;
import java.util.List;
import org.apache.flink.annotation.Internal;

/** A model's files where this machine cannot map them, such as an object store. */
@Internal
public interface RemoteFiles {

  /**
   * One of them.
   *
   * @param path relative to the model's folder, with {@code /}; the name of a file that is the
   *     model
   * @param bytes its size
   * @param modified when it was written, in milliseconds since 1970-01-01 UTC
   */
  record Found(String path, long bytes, long modified) {}

  /**
   * All files in the folder, and in those in it; the file itself if it is none.
   *
   * @throws IOException if there is nothing, or it cannot be read
   */
  List<Found> list() throws IOException;

  /** The content of a file that was found. */
  InputStream open(Found file) throws IOException;
}
