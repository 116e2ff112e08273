/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;

/** The same on a server that others wrote. */
@Tag("nightly") // downloads 31 MB
class S3MockITCase extends S3ITCase {
  @Override
  S3Server start(Path folder) throws IOException {
    return new S3Mock(folder);
  }
}
