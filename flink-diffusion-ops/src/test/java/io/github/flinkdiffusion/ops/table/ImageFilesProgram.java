/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Optional;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.functions.ScalarFunction;

/**
 * A job that writes numbered rows as image files, in a process that {@link ImageFilesKillITCase}
 * kills: it begins where the newest checkpoint of its folder is.
 */
final class ImageFilesProgram {
  static final int ROWS = 3_000;

  private ImageFilesProgram() {}

  /**
   * @param args the folder, and which life of the job this is
   */
  public static void main(String[] args) throws Exception {
    Path folder = Path.of(args[0]);
    Configuration config = new Configuration();
    config.setString("parallelism.default", "2");
    config.setString("execution.checkpointing.interval", "200 ms");
    config.setString(
        "execution.checkpointing.dir", folder.resolve("checkpoints").toUri().toString());
    config.setString("execution.checkpointing.num-retained", "2");
    config.setString(
        "execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION");
    newest(folder.resolve("checkpoints"))
        .ifPresent(
            checkpoint ->
                config.setString("execution.state-recovery.path", checkpoint.toUri().toString()));
    TableEnvironment sql =
        TableEnvironment.create(
            EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(config).build());
    sql.createTemporarySystemFunction("CONTENT", new Content(args[1]));
    sql.executeSql(
        """
        CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '300',
          'fields.n.kind' = 'sequence', 'fields.n.start' = '0', 'fields.n.end' = '%d')\
        """
            .formatted(ROWS - 1));
    sql.executeSql(
        """
        CREATE TABLE images (id BIGINT, image BYTES) WITH ('connector' = 'diffusion-images',
          'path' = '%s', 'file-name' = '{id}-{sha256}', 'contact-sheet.images' = '0')\
        """
            .formatted(folder.resolve("out").toUri()));
    sql.executeSql("INSERT INTO images SELECT n, CONTENT(n) FROM numbers").await();
  }

  /** The newest checkpoint that is complete, of any life. */
  private static Optional<Path> newest(Path checkpoints) throws IOException {
    if (!Files.exists(checkpoints)) {
      return Optional.empty();
    }
    try (Stream<Path> all = Files.walk(checkpoints, 3)) {
      return all.filter(file -> file.getFileName().toString().equals("_metadata"))
          .map(Path::getParent)
          .max(Comparator.comparingInt(ImageFilesProgram::number));
    }
  }

  /** Numbers go on after a restore. */
  private static int number(Path checkpoint) {
    return Integer.parseInt(checkpoint.getFileName().toString().substring("chk-".length()));
  }

  /** Other bytes in each life, so a row that appeared twice would be two files. */
  public static final class Content extends ScalarFunction {
    private static final long serialVersionUID = 1L;

    private final String life;

    Content(String life) {
      this.life = life;
    }

    public byte[] eval(Long n) {
      return (n + " " + life).getBytes(StandardCharsets.UTF_8);
    }
  }
}
