/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.image.PngCodec;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.imaging.Audit;
import io.github.flinkdiffusion.ops.pipeline.DiffusionPipeline;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.PipelineSettings;
import io.github.flinkdiffusion.ops.pipeline.Pipelines;
import io.github.flinkdiffusion.ops.pipeline.Trajectory;
import io.github.flinkdiffusion.ops.weights.Lora;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ModelProviderITCase {
  private static final String FOLDER =
      Path.of("src/test/resources/fixtures/models/tiny-sd1").toAbsolutePath().toString();

  @RegisterExtension private static final MiniClusterExtension FLINK = SqlOnFlink.cluster();

  private TableEnvironment sql;

  @BeforeEach
  void newSession() {
    sql = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
    sql.getConfig().set("parallelism.default", "2");
  }

  private List<Row> query(String statement) throws Exception {
    return SqlOnFlink.query(sql, statement);
  }

  private void prompts(String... prompts) {
    StringBuilder values = new StringBuilder();
    for (int i = 0; i < prompts.length; i++) {
      values.append(i == 0 ? "" : ", ").append("('id-%d', %s)".formatted(i, literal(prompts[i])));
    }
    sql.executeSql(
        "CREATE TEMPORARY VIEW prompts AS SELECT * FROM (VALUES " + values + ") AS v(id, prompt)");
  }

  private static String literal(String text) {
    return text == null ? "CAST(NULL AS STRING)" : "'" + text.replace("'", "''") + "'";
  }

  private void model(String input, String output, String... options) {
    StringBuilder with = new StringBuilder("'provider' = 'diffusion'");
    if (List.of(options).stream().noneMatch(option -> option.startsWith("'model.folder'"))) {
      with.append(", 'model.folder' = '").append(FOLDER).append("'");
    }
    with.append(", 'device' = 'cpu', 'batch.rows' = '8'");
    for (String option : options) {
      with.append(", ").append(option);
    }
    sql.executeSql(
        "CREATE MODEL painter INPUT (%s) OUTPUT (%s) WITH (%s)".formatted(input, output, with));
  }

  private static final Path FIXTURES = Path.of("src/test/resources/fixtures").toAbsolutePath();
  private static final String SHORT = "'steps' = '2', 'scheduler' = 'DDIMScheduler'";
  private static final String IN = "id STRING, prompt STRING";

  private static final String CALL =
      "SELECT * FROM ML_PREDICT(TABLE prompts, MODEL painter, DESCRIPTOR(id, prompt)%s)";

  @Test
  void aRowRunsOnTheModelThatItNames() throws Exception {
    sql.executeSql(
        "CREATE TEMPORARY VIEW named AS SELECT * FROM (VALUES ('a', 'a moon', 'small'), ('b', 'a"
            + " moon', CAST(NULL AS STRING)), ('c', 'a moon', 'tall')) AS v(id, prompt, model)");
    model(
        IN + ", model STRING",
        "model STRING, `error-string` STRING",
        SHORT,
        "'models' = 'small=%s'".formatted(FIXTURES.resolve("models/tiny-sd2")),
        "'on-error' = 'column'");

    assertThat(
            query(
                "SELECT id, model0, `error-string` FROM ML_PREDICT(TABLE named, MODEL painter,"
                    + " DESCRIPTOR(id, prompt, model))"))
        .satisfiesExactlyInAnyOrder(
            row -> assertThat(row).isEqualTo(Row.of("a", "tiny-sd2", null)),
            row ->
                assertThat(row)
                    .isEqualTo(Row.of("b", Path.of(FOLDER).getFileName().toString(), null)),
            row ->
                assertThat(row.getField(2))
                    .asString()
                    .contains("There is no model 'tall'", "default, small"));
  }

  @Test
  void makesThePictureThatThePipelineMakes() throws Exception {
    prompts("a red apple", "a blue moon", "a green tree");
    model(
        IN,
        "image BYTES, width INT, height INT, seed BIGINT, steps INT, scheduler STRING,"
            + " guidance_scale DOUBLE, model STRING, model_digest STRING,"
            + " prompt_truncated BOOLEAN, flagged BOOLEAN, audit STRING",
        SHORT,
        "'guidance-scale' = '3'");
    List<Row> rows = query(CALL.formatted(""));
    assertThat(rows).hasSize(3);
    try (DiffusionPipeline pipeline =
        Pipelines.open(Path.of(FOLDER), PipelineSettings.on(DeviceSpec.CPU))) {
      for (Row row : rows) {
        Raster expected = alone(pipeline, row.getFieldAs("id"), row.getFieldAs("prompt"), 3.0);
        Raster picture = PngCodec.decode(row.getFieldAs("image"));
        for (int i = 0; i < expected.data().length; i++) {
          // A batch of another size rounds differently, which can turn one of 256 levels.
          assertThat(Math.abs(picture.data()[i] - expected.data()[i])).isLessThan(1.6f / 255);
        }
        assertThat(row.<Integer>getFieldAs("width")).isEqualTo(64);
        assertThat(row.<Integer>getFieldAs("height")).isEqualTo(64);
        assertThat(row.<Integer>getFieldAs("steps")).isEqualTo(2);
        assertThat(row.<String>getFieldAs("scheduler")).isEqualTo("DDIMScheduler");
        assertThat(row.<Double>getFieldAs("guidance_scale")).isEqualTo(3.0);
        assertThat(row.<String>getFieldAs("model")).isEqualTo("tiny-sd1");
        assertThat(row.<String>getFieldAs("model_digest"))
            .isEqualTo(pipeline.model().info().digest());
        assertThat(row.<Boolean>getFieldAs("prompt_truncated")).isFalse();
        assertThat(row.<Boolean>getFieldAs("flagged")).isFalse();
        Audit audit = Audit.parse(row.getFieldAs("audit"));
        assertThat(Audit.of(picture.metadata())).contains(audit);
        assertThat(audit.modelDigest()).isEqualTo(pipeline.model().info().digest());
        assertThat(audit.arguments().get(Parameters.PROMPT)).isEqualTo(row.getFieldAs("prompt"));
      }
    }
  }

  private static Raster alone(
      DiffusionPipeline pipeline, String id, String prompt, double guidance) {
    List<Trajectory> trajectory =
        pipeline.start(
            List.of(
                pipeline
                    .model()
                    .prepare(
                        GenerationSpec.of(id)
                            .with(Parameters.PROMPT, prompt)
                            .with(Parameters.STEPS, 2L)
                            .with(Parameters.SCHEDULER, "DDIMScheduler")
                            .with(Parameters.GUIDANCE_SCALE, guidance))));
    while (!trajectory.get(0).done()) {
      pipeline.step(trajectory);
    }
    return pipeline.finish(trajectory).get(0).image();
  }

  @Test
  void aCallOverridesTheModelAndAColumnOverridesTheCall() throws Exception {
    sql.executeSql(
        "CREATE TEMPORARY VIEW prompts AS SELECT * FROM (VALUES"
            + " ('a', 'a red apple', CAST(NULL AS INT)), ('b', 'a red apple', 1))"
            + " AS v(id, prompt, steps)");
    model(IN + ", steps INT", "steps_ INT".replace("_", "") + ", seed BIGINT", SHORT);
    List<Row> rows =
        query(
            "SELECT id, steps0, seed FROM ML_PREDICT(TABLE prompts, MODEL painter,"
                + " DESCRIPTOR(id, prompt, steps), MAP['steps', '3', 'seed', '7'])");
    assertThat(rows).containsExactlyInAnyOrder(Row.of("a", 3, 7L), Row.of("b", 1, 7L));
  }

  @Test
  void aColumnSaysWhatIsWhereInTheImage() throws Exception {
    sql.executeSql(
        "CREATE TEMPORARY VIEW prompts AS SELECT * FROM (VALUES ('a', 'a table', CAST(NULL AS"
            + " STRING)), ('b', 'a table', '[{\"phrase\": \"an apple\", \"box\": [0, 0, 0.5,"
            + " 0.5]}]'), ('c', 'a table', '[{\"phrase\": \"an apple\"}]')) AS v(id, prompt,"
            + " gligen_objects)");
    model(
        IN + ", gligen_objects STRING",
        "seed BIGINT, audit STRING, `error-string` STRING",
        SHORT,
        "'model.folder' = '" + FOLDER.replace("tiny-sd1", "tiny-gligen") + "'");
    List<Row> rows =
        query(
            "SELECT id, audit, `error-string` FROM ML_PREDICT(TABLE prompts, MODEL painter,"
                + " DESCRIPTOR(id, prompt, gligen_objects), MAP['seed', '7'])");
    assertThat(rows).hasSize(3);
    for (Row row : rows) {
      String id = row.getFieldAs("id");
      if (id.equals("c")) {
        assertThat(row.<String>getFieldAs("error-string")).contains("gligenObjects");
        continue;
      }
      assertThat(
              Audit.parse(row.getFieldAs("audit"))
                  .arguments()
                  .has(Parameters.GLIGEN_SCHEDULED_SAMPLING_BETA))
          .as(id)
          .isEqualTo(id.equals("b"));
    }
  }

  @Test
  void withoutAnIdEqualRowsGiveEqualSeeds() throws Exception {
    prompts("a red apple", "a red apple", "a blue moon");
    model("prompt STRING", "seed BIGINT", SHORT);
    List<Row> rows =
        query(
            "SELECT prompt, seed FROM ML_PREDICT(TABLE prompts, MODEL painter,"
                + " DESCRIPTOR(prompt))");
    assertThat(rows).hasSize(3);
    assertThat(rows.stream().distinct().collect(Collectors.toSet())).hasSize(2);
  }

  @ParameterizedTest
  @CsvSource({"true", "false"})
  void aRowThatCanNotBeDoneSaysWhyInTheErrorColumn(boolean async) throws Exception {
    prompts("a red apple", null);
    sql.executeSql(
        "CREATE MODEL painter INPUT (%s) OUTPUT (width INT, `error-string` STRING) WITH ('provider' = 'diffusion', 'model.folder' = '%s', 'device' = 'cpu', %s)"
            .formatted(IN, FOLDER, SHORT));
    List<Row> rows =
        query(
            "SELECT id, width, `error-string` FROM ML_PREDICT(TABLE prompts, MODEL painter, DESCRIPTOR(id, prompt), MAP['async', '%s'])"
                .formatted(async));
    assertThat(rows)
        .containsExactlyInAnyOrder(
            Row.of("id-0", 64, null),
            Row.of("id-1", null, "The request has no prompt; it must be a text."));
  }

  @Test
  void aRowThatCanNotBeDoneCanBeLeftOutOrFailTheJob() throws Exception {
    prompts("a red apple", null);
    model(IN, "width INT", SHORT);
    assertThat(query(CALL.formatted(", MAP['on-error', 'DROP']"))).hasSize(1);
    // By default, Flink restarts a job with checkpoints for ever, and each time this row fails it.
    sql.getConfig().set("restart-strategy.type", "fixed-delay");
    sql.getConfig().set("restart-strategy.fixed-delay.attempts", "1");
    assertThatThrownBy(() -> query(CALL.formatted("")))
        .hasStackTraceContaining("The failure is not recoverable")
        .hasStackTraceContaining("The request has no prompt");
  }

  @Test
  void aRowThatTakesTooLongSaysSoBeforeFlinkFailsTheJob() throws Exception {
    prompts("a red apple");
    model(IN, "width INT, `error-string` STRING", "'scheduler' = 'DDIMScheduler'");
    List<Row> rows =
        query(
            CALL.formatted(
                ", MAP['timeout', '1 s', 'on-error', 'COLUMN', 'steps', '900', 'width', '512',"
                    + " 'height', '512']"));
    assertThat(rows).hasSize(1);
    assertThat(rows.get(0).<String>getFieldAs("error-string"))
        .startsWith("No result after 900 ms. Flink would fail the job after 1 s ('timeout')");
    // Only this row: what follows it on the device is answered.
    assertThat(query(CALL.formatted(", MAP['steps', '2']")).get(0).<Integer>getFieldAs("width"))
        .isEqualTo(64);
  }

  /** In the words of docs/SQL.md: a list, as in Flink's configuration. */
  @Test
  void lorasInTheWithClauseMakeTheImageThatThePipelineMakesWithThem() throws Exception {
    prompts("a red apple");
    Path loras = FIXTURES.resolve("lora");
    Lora first = new Lora(loras.resolve("peft.safetensors"), 0.8);
    Lora second = new Lora(loras.resolve("kohya-sd1.safetensors"), 0.5);
    model(
        IN,
        "image BYTES, audit STRING",
        SHORT,
        "'guidance-scale' = '3'",
        "'model.loras' = '%s=0.8;%s=0.5'".formatted(first.file(), second.file()));
    Row row = query(CALL.formatted("")).get(0);
    Raster image = PngCodec.decode(row.getFieldAs("image"));
    PipelineSettings cpu = PipelineSettings.on(DeviceSpec.CPU);
    assertThat(furthest(image, alone(cpu))).as("without them").isGreaterThan(2 / 255f);
    assertThat(furthest(image, alone(cpu.withLoras(List.of(first)))))
        .as("with the first alone")
        .isGreaterThan(2 / 255f);
    assertThat(furthest(image, alone(cpu.withLoras(List.of(first, second)))))
        .as("with both")
        .isLessThan(1.6f / 255);
    assertThat(row.<String>getFieldAs("audit")).contains("peft.safetensors", "kohya-sd1");
  }

  private static Raster alone(PipelineSettings settings) {
    try (DiffusionPipeline pipeline = Pipelines.open(Path.of(FOLDER), settings)) {
      return alone(pipeline, "id-0", "a red apple", 3.0);
    }
  }

  private static float furthest(Raster image, Raster other) {
    float furthest = 0;
    for (int i = 0; i < other.data().length; i++) {
      furthest = Math.max(furthest, Math.abs(image.data()[i] - other.data()[i]));
    }
    return furthest;
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "'model.loras' = '/no/such.safetensors=0.8' | LoRA /no/such.safetensors does not exist; it"
            + " must be a file on every task manager. The job's options add it to the model in",
        "'model.loras' = '%s/lora/peft.safetensors=strong' | peft.safetensors=strong' in option"
            + " diffusion.model.loras: expected file=scale, such as",
        "'model.loras' = '%s/lora/peft.safetensors=NaN' | peft.safetensors=NaN' in option"
            + " diffusion.model.loras: expected file=scale, such as",
        "'model.loras' = '%s/lora/kohya-sdxl.safetensors=1' | could not be opened: LoRA"
            + " %s/lora/kohya-sdxl.safetensors:"
            + " 'lora_unet_input_blocks_1_0_in_layers_2.lora_up.weight'",
        "'model.loras' = '%s/models/tiny-sd1/unet/diffusion_pytorch_model.safetensors=1' |"
            + " diffusion_pytorch_model.safetensors: tensor 'conv_in.bias' is not supported;"
            + " supported are the factors",
        "'model.loras' = '%s/lora/cases.json=1' | cases.json: says that its header is"
            + " 2314861732404660827 bytes long; 2 to 100000000 are accepted, so it is not a"
            + " safetensors file",
        "'model.configs' = '%s/models/tiny-sd1' | tiny-sd1 is a folder, which has configs of its"
            + " own; those of %s/models/tiny-sd1 are for a single-file checkpoint.",
        "'model.folder' = '%s/single-file/tiny-sdxl.safetensors', 'model.configs' = '%s/lora' |"
            + " cannot be used: Model folder %s/lora has no model_index.json",
        "'model.folder' = '%s/single-file/tiny-sdxl.safetensors', 'model.configs' ="
            + " '%s/models/tiny-dit' | Model tiny-sdxl needs classLabel, but its INPUT has no"
            + " column class_label",
        "'model.folder' = '%s/single-file/tiny-sdxl.safetensors', 'model.configs' ="
            + " '%s/models/tiny-sd1' | [vae]: tensor encoder.down_blocks.1.resnets.0.conv1.weight"
            + " has shape [8, 8, 3, 3] where the config asks for [16, 8, 3, 3]"
      })
  void aWrongLoraOrConfigHasOneClearSentence(String option, String sentence) {
    prompts("a red apple");
    model(IN, "width INT", option.replace("%s", FIXTURES.toString()), SHORT);
    assertThatThrownBy(() -> query(CALL.formatted("")))
        .hasStackTraceContaining(sentence.replace("%s", FIXTURES.toString()));
  }

  @Test
  void aSingleFileWithItsConfigsMakesTheImageOfTheFolder() throws Exception {
    prompts("a red apple");
    Path folder = FIXTURES.resolve("models/tiny-sdxl");
    model(
        IN,
        "image BYTES",
        SHORT,
        "'model.folder' = '%s'".formatted(FIXTURES.resolve("single-file/tiny-sdxl.safetensors")),
        "'model.configs' = '%s'".formatted(folder));
    byte[] ofFile = query(CALL.formatted("")).get(0).getFieldAs("image");
    sql.executeSql("DROP MODEL painter");
    model(IN, "image BYTES", SHORT, "'model.folder' = '%s'".formatted(folder));
    byte[] ofFolder = query(CALL.formatted("")).get(0).getFieldAs("image");
    assertThat(PngCodec.decode(ofFile).data()).isEqualTo(PngCodec.decode(ofFolder).data());
  }

  @Test
  void aPictureIsMadeOfAPicture() throws Exception {
    byte[] png = PngCodec.encode(Raster.filled(3, 64, 64, 0.5f));
    StringBuilder hex = new StringBuilder();
    for (byte each : png) {
      hex.append("%02x".formatted(each));
    }
    sql.executeSql(
        "CREATE TEMPORARY VIEW prompts AS SELECT 'a' AS id, 'a red apple' AS prompt, x'%s' AS image, 0.5 AS strength"
            .formatted(hex));
    model(IN + ", image BYTES, strength DECIMAL(2, 1)", "width INT, `error-string` STRING", SHORT);
    List<Row> rows =
        query(
            "SELECT id, width, `error-string` FROM ML_PREDICT(TABLE prompts, MODEL painter,"
                + " DESCRIPTOR(id, prompt, image, strength))");
    assertThat(rows).containsExactly(Row.of("a", 64, null));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "'sceduler' = 'DDIMScheduler' | width INT | id STRING, prompt STRING | | The WITH clause"
            + " has unknown options: 'sceduler' (did you mean 'scheduler'?). Expected are",
        "'steps' = 'many' | width INT | id STRING, prompt STRING | | Invalid value 'many' for"
            + " option 'steps': expected a whole number.",
        "'encoding.threads' = 'many' | width INT | id STRING, prompt STRING | | Invalid value"
            + " 'many' for option 'encoding.threads': expected a whole number from 1.",
        "'encoding.workers' = 'many' | width INT | id STRING, prompt STRING | | Invalid value"
            + " 'many' for option 'encoding.workers': expected a whole number from 1.",
        "'encoding.threads' = '0' | width INT | id STRING, prompt STRING | | Invalid value 0 for"
            + " option 'encoding.threads': expected a number from 1",
        "'request.retries' = '11' | width INT | id STRING, prompt STRING | | Invalid value 11 for"
            + " option 'request.retries': expected a number from 0 to 10.",
        "'model.precision' = 'INT4' | width INT | id STRING, prompt STRING | | Invalid value"
            + " 'INT4' for option 'model.precision': expected FLOAT32, FLOAT16 or BFLOAT16.",
        "'model.pipeline' = 'WanPipeline' | width INT | id STRING, prompt STRING | | Invalid"
            + " value WanPipeline for option 'model.pipeline': expected",
        "'model.folder' = '/no/such/model' | width INT | id STRING, prompt STRING | | The model on"
            + " device cpu could not be opened: Model folder /no/such/model does not exist on this"
            + " machine; every task manager must find it under this path.",
        "'model.loras' = 'style.safetensors' | width INT | id STRING, prompt STRING | | Invalid"
            + " entry 'style.safetensors' in option 'model.loras': expected file=scale, such as",
        "'model.configs' = '/no/such/configs' | width INT | id STRING, prompt STRING | |"
            + " /no/such/configs",
        "'on-error' = 'PANIC' | width INT | id STRING, prompt STRING | | Invalid value 'PANIC' for"
            + " option 'on-error': expected FAIL, DROP or COLUMN.",
        "'steps' = '2' | width STRING | id STRING, prompt STRING | | Output column 'width' is"
            + " STRING; it must be INT.",
        "'steps' = '2' | breadth INT | id STRING, prompt STRING | | Output column 'breadth' is"
            + " unknown; expected one of image BYTES",
        "'steps' = '2' | width INT | id STRING, promt STRING | | Input column 'promt' is no"
            + " parameter of a diffusion model; columns may be id, model, prompt",
        "'steps' = '2' | width INT | id STRING, seed STRING | | Input column 'seed' is STRING; it"
            + " must be BIGINT or INT.",
        "'steps' = '2' | width INT | id STRING, prompt INT | | cannot be assigned to model input"
            + " type INT",
        "'steps' = '2' | width INT | id STRING, negative_prompt STRING | | Model tiny-sd1 needs"
            + " prompt, but its INPUT has no column prompt; add the column, and name it in"
            + " DESCRIPTOR.",
        "'steps' = '2' | width INT | id STRING, prompt STRING | 'stepps', '3' | The CONFIG map of"
            + " ML_PREDICT has unknown keys: 'stepps' (did you mean 'steps'?). Expected are",
        "'steps' = '2' | width INT | id STRING, prompt STRING | 'steps', 'x' | Invalid value 'x'"
            + " for option 'steps': expected a whole number.",
        "'steps' = '2' | width INT | id STRING, prompt STRING | 'batch.rows', '4' | The CONFIG map"
            + " of ML_PREDICT has options of the model's WITH clause: batch.rows.",
        "'steps' = '2' | width INT | id STRING, prompt STRING | 'async', 'false' | The model's WITH"
            + " clause sets 'batch.rows', but with 'async' = 'false' Flink gives it one row at a"
            + " time",
        "'steps' = '2' | width INT | id STRING, prompt STRING | 'on-error', 'COLUMN' | 'on-error'"
            + " is 'COLUMN', but the model's output has no column `error-string` STRING to hold the"
            + " reason."
      })
  void aMisuseHasOneClearSentence(
      String option, String output, String input, String config, String sentence) {
    prompts("a red apple");
    model(input, output, option);
    String call = CALL.formatted(config == null ? "" : ", MAP[" + config + "]");
    assertThatThrownBy(() -> query(call)).hasStackTraceContaining(sentence);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "'batch.aging' = '8 s' | | The model's WITH clause sets 'batch.aging', but with 'async' ="
            + " 'false'",
        "'steps' = '2' | , 'max-concurrent-operations', '8' | The CONFIG map of ML_PREDICT has"
            + " 'max-concurrent-operations', but with 'async' = 'false'"
      })
  void whatConcernsBatchesIsRefusedWhereFlinkGivesOneRowAtATime(
      String option, String config, String sentence) {
    prompts("a red apple");
    sql.executeSql(
        "CREATE MODEL painter INPUT (%s) OUTPUT (width INT) WITH ('provider' = 'diffusion', 'model.folder' = '%s', 'device' = 'cpu', %s)"
            .formatted(IN, FOLDER, option));
    String call =
        CALL.formatted(", MAP['async', 'false'%s]".formatted(config == null ? "" : config));
    assertThatThrownBy(() -> query(call)).hasStackTraceContaining(sentence);
  }

  @Test
  void aModelNeedsAFolderWhichTheSessionMayName() throws Exception {
    prompts("a red apple");
    sql.executeSql(
        "CREATE MODEL painter INPUT (%s) OUTPUT (width INT) WITH ('provider' = 'diffusion', 'device' = 'cpu', %s)"
            .formatted(IN, SHORT));
    assertThatThrownBy(() -> query(CALL.formatted("")))
        .hasStackTraceContaining("The WITH clause lacks 'model.folder': set it to the path");
    sql.getConfig().set("diffusion.model.folder", FOLDER);
    assertThat(query(CALL.formatted(""))).hasSize(1);
  }

  @Test
  void batchModeWorksWhereFlinkHasItAndSaysSoElsewhere() throws Exception {
    sql = TableEnvironment.create(EnvironmentSettings.inBatchMode());
    prompts("a red apple", "a blue moon");
    model(IN, "width INT", SHORT);
    assertThat(sql.getConfig().get(ExecutionOptions.RUNTIME_MODE))
        .isEqualTo(RuntimeExecutionMode.BATCH);
    if (EnvironmentInformation.getVersion().startsWith("2.2.")) {
      assertThatThrownBy(() -> query(CALL.formatted("")))
          .hasStackTraceContaining("ML_PREDICT works in batch mode since Flink 2.3");
    } else {
      assertThat(query(CALL.formatted(""))).hasSize(2);
    }
  }
}
