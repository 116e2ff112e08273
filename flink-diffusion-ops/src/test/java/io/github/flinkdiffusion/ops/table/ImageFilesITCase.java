/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntSupplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.functions.ScalarFunction;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** Tables whose rows become image files. */
class ImageFilesITCase {
  @RegisterExtension private static final MiniClusterExtension FLINK = SqlOnFlink.cluster();

  @TempDir private Path folder;

  private static TableEnvironment streaming() {
    TableEnvironment sql = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
    sql.getConfig().set("parallelism.default", "2");
    sql.getConfig().set("execution.checkpointing.interval", "100 ms");
    sql.getConfig().set("restart-strategy.type", "fixed-delay");
    sql.getConfig().set("restart-strategy.fixed-delay.delay", "10 ms");
    sql.getConfig().set("restart-strategy.fixed-delay.attempts", "2");
    return sql;
  }

  private void images(TableEnvironment sql, String columns, String options) {
    sql.executeSql(
        "CREATE TABLE images (%s) WITH ('connector' = 'diffusion-images', 'path' = '%s'%s)"
            .formatted(columns, folder.resolve("out").toUri(), options));
  }

  private static String png(int side) {
    float[] values = new float[side * side];
    Arrays.fill(values, 0.5f);
    return "x'"
        + HexFormat.of().formatHex(PngCodec.encode(new Raster(1, side, side, values)))
        + "'";
  }

  /** Files by their names below the folder; hidden ones are not committed. */
  private Map<String, byte[]> files() throws IOException {
    Path out = folder.resolve("out");
    if (!Files.exists(out)) {
      return Map.of();
    }
    try (Stream<Path> all = Files.walk(out)) {
      return all.filter(Files::isRegularFile)
          .filter(file -> !file.getFileName().toString().startsWith("."))
          .collect(
              Collectors.toMap(file -> out.relativize(file).toString(), ImageFilesITCase::content));
    }
  }

  private static byte[] content(Path file) {
    try {
      return Files.readAllBytes(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void assertFilesOfRows() throws IOException {
    Map<String, byte[]> files = files();
    assertThat(files.keySet())
        .containsExactlyInAnyOrder(
            "p1.png", "%2E.%2Fb.png", "p3.txt", "p4.bin", "contact-sheet.png");
    assertThat(new String(files.get("p3.txt"), StandardCharsets.UTF_8))
        .isEqualTo("The request has no prompt\n");
    assertThat(files.get("p4.bin")).containsExactly(1, 2, 3);
    assertThat(Images.mediaType(files.get("p1.png"))).contains("image/png");
    Raster sheet = PngCodec.decode(files.get("contact-sheet.png"));
    // Two images side by side, and no more.
    assertThat(sheet.width()).isBetween(2 * 160, 3 * 160);
  }

  private static final String ROWS =
      """
      INSERT INTO images VALUES
        ('p1', %s, 'a red apple', CAST(NULL AS STRING)),
        ('../b', %s, 'a green tree', CAST(NULL AS STRING)),
        ('p3', CAST(NULL AS BYTES), 'nothing', 'The request has no prompt'),
        ('p4', x'010203', 'bytes', CAST(NULL AS STRING))\
      """
          .formatted(png(16), png(200));

  private static final String COLUMNS = "id STRING, image BYTES, prompt STRING, problem STRING";

  @Test
  void rowsBecomeFilesAndAContactSheet() throws Exception {
    TableEnvironment sql = streaming();
    images(sql, COLUMNS, "");
    sql.executeSql(ROWS).await();
    assertFilesOfRows();

    sql.executeSql(
            "INSERT INTO images VALUES ('p5', %s, 'later', CAST(NULL AS STRING))".formatted(png(8)))
        .await();
    Raster sheet = PngCodec.decode(files().get("contact-sheet.png"));
    assertThat(sheet.width()).as("a later job adds to the sheet").isBetween(3 * 160, 4 * 160);
  }

  @Test
  void theSameInBatchMode() throws Exception {
    TableEnvironment sql = TableEnvironment.create(EnvironmentSettings.inBatchMode());
    images(sql, COLUMNS, "");
    sql.executeSql(ROWS).await();
    assertFilesOfRows();
  }

  /** Each attempt writes other bytes, so a row that appeared twice would be two files. */
  @Test
  void eachRowIsOneFileThoughTheJobFailsBetweenCheckpoints() throws Exception {
    TableEnvironment sql = streaming();
    sql.getConfig().set("parallelism.default", "1");
    FailingTwice.ATTEMPT.set(0);
    FailingTwice.BEFORE.set(0);
    FailingTwice.visible = () -> filesOf(folder.resolve("out"));
    sql.createTemporarySystemFunction("FAILING_TWICE", FailingTwice.class);
    sql.executeSql(
        """
        CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '250',
          'fields.n.kind' = 'sequence', 'fields.n.start' = '0', 'fields.n.end' = '99999')\
        """);
    images(sql, "id BIGINT, image BYTES", ", 'file-name' = 'f/{id}-{sha256}'");
    JobClient job =
        sql.executeSql("INSERT INTO images SELECT n, FAILING_TWICE(n) FROM numbers")
            .getJobClient()
            .orElseThrow();
    await()
        .atMost(Duration.ofMinutes(3))
        .until(
            () ->
                FailingTwice.ATTEMPT.get() == 2
                    && filesOf(folder.resolve("out")) > FailingTwice.BEFORE.get());
    job.cancel().get();

    List<Integer> rows =
        files().keySet().stream()
            .filter(name -> name.startsWith("f/"))
            .map(name -> Integer.parseInt(name.replaceAll("f/(\\d+)-[0-9a-f]{64}\\.bin", "$1")))
            .sorted()
            .toList();
    assertThat(rows).as("none twice, none left out").isEqualTo(upTo(rows.size()));
    List<String> attempts =
        files().values().stream()
            .map(content -> new String(content, StandardCharsets.UTF_8).split(" ")[1])
            .distinct()
            .toList();
    // An attempt may fail before its first checkpoint: then none of its files are there.
    assertThat(attempts).isSubsetOf("0", "1", "2").contains("2");
  }

  private static List<Integer> upTo(int end) {
    return IntStream.range(0, end).boxed().toList();
  }

  private static int filesOf(Path out) {
    Path below = out.resolve("f");
    if (!Files.exists(below)) {
      return 0;
    }
    try (Stream<Path> all = Files.list(below)) {
      return (int) all.filter(file -> !file.getFileName().toString().startsWith(".")).count();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Fails where some rows are committed and others are written, twice. */
  public static final class FailingTwice extends ScalarFunction {
    private static final long serialVersionUID = 1L;
    static final AtomicInteger ATTEMPT = new AtomicInteger();

    /** Files that were visible at the failure before. */
    static final AtomicInteger BEFORE = new AtomicInteger();

    static IntSupplier visible;

    public byte[] eval(Long n) {
      int attempt = ATTEMPT.get();
      int committed = visible.getAsInt();
      if (attempt < 2 && committed > BEFORE.get() && n > committed + 5) {
        BEFORE.set(committed);
        ATTEMPT.compareAndSet(attempt, attempt + 1);
        throw new IllegalStateException("This test fails attempt " + attempt);
      }
      return (n + " " + attempt).getBytes(StandardCharsets.UTF_8);
    }
  }

  @Test
  void withoutCheckpointsTheStatementIsRefused() {
    TableEnvironment sql = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
    images(sql, COLUMNS, "");
    assertThatThrownBy(() -> sql.executeSql(ROWS))
        .rootCause()
        .hasMessageContaining("SET 'execution.checkpointing.interval' = '10s'");
  }

  @Test
  void aTableWithoutAnImageAndANameWithoutAColumnAreRefused() {
    TableEnvironment sql = streaming();
    images(sql, "id STRING, picture BYTES", "");
    assertThatThrownBy(() -> sql.executeSql("INSERT INTO images VALUES ('a', x'01')"))
        .rootCause()
        .hasMessageContaining("Table 'images' has no column 'image' of type BYTES");
    sql.executeSql("DROP TABLE images");
    images(sql, "id STRING, image BYTES", ", 'file-name' = '{day}/{id}'");
    assertThatThrownBy(() -> sql.executeSql("INSERT INTO images VALUES ('a', x'01')"))
        .rootCause()
        .hasMessageContaining("names the column 'day', which the table does not have; it has id");
    sql.executeSql("DROP TABLE images");
    images(sql, "id STRING, image BYTES", ", 'file-name' = '../{id}'");
    assertThatThrownBy(() -> sql.executeSql("INSERT INTO images VALUES ('a', x'01')"))
        .rootCause()
        .hasMessageContaining("Option 'file-name' cannot be '../{id}'");
  }
}
