package io.github.flinkdiffusion.ops.table;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.apache.flink.runtime.testutils.MiniClusterResourceConfiguration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.api.TableResult;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.apache.flink.util.CloseableIterator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/**
 * Runs the SQL of the manual and of the README as it stands there, but for the models' folders,
 * which are fixtures here. Each block is a session of its own, in which {@code prompts} exists.
 */
class SqlManualITCase {
  private static final Path MODELS = Path.of("src/test/resources/fixtures/models").toAbsolutePath();

  private static final Map<String, Path> FOLDERS =
      Map.of(
          "/models/stable-diffusion-v1-5", MODELS.resolve("tiny-sd1"),
          "/models/stable-diffusion-x4-upscaler", MODELS.resolve("tiny-x4-upscaler"));

  private static final Pattern BLOCK = Pattern.compile("(?ms)^```sql\\n(.*?)^```$");
  private static final Pattern END_OF_STATEMENT = Pattern.compile(";\\s*(\\n|$)");

  @RegisterExtension
  private static final MiniClusterExtension FLINK =
      new MiniClusterExtension(
          new MiniClusterResourceConfiguration.Builder()
              .setNumberTaskManagers(1)
              .setNumberSlotsPerTaskManager(2)
              .build());

  @Test
  void everyBlockOfTheManualMakesPictures() throws Exception {
    List<String> blocks = blocks(Path.of("../docs/SQL.md"));
    assertThat(blocks).hasSizeGreaterThanOrEqualTo(2);
    for (String block : blocks) {
      assertThat(picturesOf(block)).as(block).hasSize(2);
    }
  }

  @Test
  void everyBlockOfTheReadmeMakesPictures() throws Exception {
    for (String block : blocks(Path.of("../README.md"))) {
      assertThat(picturesOf(block)).as(block).hasSize(2);
    }
  }

  /** What the block's queries yield; each row must hold a picture. */
  private static List<Raster> picturesOf(String block) throws Exception {
    TableEnvironment sql = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
    sql.getConfig().set("parallelism.default", "1");
    sql.executeSql(
        "CREATE TEMPORARY VIEW prompts AS SELECT * FROM"
            + " (VALUES ('p1', 'a red apple'), ('p2', 'a blue moon')) AS v(id, prompt)");
    List<Raster> pictures = new ArrayList<>();
    for (String statement : END_OF_STATEMENT.split(block)) {
      TableResult result = sql.executeSql(here(statement));
      try (CloseableIterator<Row> rows = result.collect()) {
        while (statement.startsWith("SELECT") && rows.hasNext()) {
          pictures.add(picture(rows.next()));
        }
      }
    }
    return pictures;
  }

  private static Raster picture(Row row) {
    byte[] image = row.getFieldAs(row.getArity() - 1);
    assertThat(image).as("the last column of %s", row).isNotNull();
    return PngCodec.decode(image);
  }

  private static String here(String statement) {
    String changed = statement;
    for (Map.Entry<String, Path> folder : FOLDERS.entrySet()) {
      changed = changed.replace("'" + folder.getKey() + "'", "'" + folder.getValue() + "'");
    }
    return changed;
  }

  private static List<String> blocks(Path page) throws IOException {
    return BLOCK
        .matcher(Files.readString(page))
        .results()
        .map((MatchResult block) -> block.group(1).strip())
        .toList();
  }
}
