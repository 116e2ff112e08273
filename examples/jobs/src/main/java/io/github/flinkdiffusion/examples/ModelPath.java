/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples;

import io.github.flinkdiffusion.ops.hub.Hub;
import io.github.flinkdiffusion.ops.hub.HubException;
import io.github.flinkdiffusion.ops.hub.HubName;
import io.github.flinkdiffusion.ops.hub.HubWants;
import io.github.flinkdiffusion.ops.weights.WeightsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Pattern;
import picocli.CommandLine;

/**
 * A model or a file of one as an option names it: a path, or a name on the hub, which is
 * downloaded.
 */
final class ModelPath implements CommandLine.ITypeConverter<Path> {
  private static final int PERCENT = 100;

  /** How Python names a model on the hub, and as a path a folder in the working folder. */
  private static final Pattern OWNER_AND_NAME = Pattern.compile("[\\w.-]+/[\\w.-]+");

  @Override
  public Path convert(String text) {
    try {
      return of(text, HubWants.EVERYTHING);
    } catch (DemoException | HubException | WeightsException e) {
      throw new CommandLine.TypeConversionException(e.getMessage());
    }
  }

  /** Downloads what is missing, and shows how far it is. */
  static Path of(String text, HubWants wants) {
    if (!HubName.isOne(text)) {
      Path path = Path.of(text);
      if (OWNER_AND_NAME.matcher(text).matches() && !Files.exists(path)) {
        throw new DemoException(
            "There is no folder %s. For a model on Hugging Face's hub, write hf://%s."
                .formatted(text, text));
      }
      return path;
    }
    HubName name = HubName.parse(text);
    System.err.println("Looking for " + name);
    try (Downloads downloads = new Downloads()) {
      return Hub.standard(downloads::at).locate(name, wants);
    }
  }

  /** A bar for each group of files: configs come first, since weights follow from them. */
  private static final class Downloads implements AutoCloseable {
    private static final long WORTH_A_BAR = 1 << 20;

    private Progress bar;
    private long total;

    void at(String what, long done, long ofAll) {
      if (ofAll < WORTH_A_BAR) {
        return;
      }
      if (bar == null || ofAll != total) {
        close();
        System.err.printf("Downloading %d MiB%n", ofAll >> 20);
        bar = Progress.percent();
        total = ofAll;
      }
      bar.at((int) (done * PERCENT / ofAll), 0);
    }

    @Override
    public void close() {
      if (bar != null) {
        bar.close();
        bar = null;
      }
    }
  }
}
