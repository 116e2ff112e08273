/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.training;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.flinkdiffusion.ops.training.Distillation.Consistency;
import io.github.flinkdiffusion.ops.training.Distillation.Scales;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a student's folder says of the guidance that suits it. */
class StudentFolderTest {
  private static final String WORDS = "vocabulary.json";

  @TempDir Path folder;

  private Path student(String words, Scales scales) throws Exception {
    Path teacher = folder.resolve("teacher");
    new TrainedFolder(ModelFolder.open(Fixture.MODELS.resolve("tiny-sd1")), teacher)
        .write(List.of(), Map.of(), DType.F32);
    if (words != null) {
      Files.writeString(teacher.resolve(WORDS), words);
    }
    Path student = folder.resolve("student");
    new StudentFolder(ModelFolder.open(teacher), new Consistency(50, 10, scales), unet -> unet)
        .write(student, List.of(), DType.F32);
    return student.resolve(WORDS);
  }

  private JsonNode guidance(Scales scales) throws Exception {
    Path words = student("{\"form\": \"a NOUN\", \"guidance\": 3}", scales);
    JsonNode json = new ObjectMapper().readTree(words.toFile());
    assertThat(json.path("form").asText()).isEqualTo("a NOUN");
    return json.path("guidance");
  }

  @Test
  void aScaleThatIsInTheStudentIsNotAskedForOnceMore() throws Exception {
    assertThat(guidance(new Scales(3, 3)).asDouble()).isEqualTo(1);
  }

  @Test
  void aStudentThatTakesAScaleIsAskedWithOneThatItLearned() throws Exception {
    assertThat(guidance(new Scales(2, 5)).asDouble()).isEqualTo(3.5);
  }

  @Test
  void aStudentWithoutGuidanceIsAskedAsItsTeacherIs() throws Exception {
    assertThat(guidance(Scales.NONE).asDouble()).isEqualTo(3);
  }

  @Test
  void nothingIsSaidWhereTheTeachersFolderSaysNothing() throws Exception {
    assertThat(student(null, new Scales(3, 3))).doesNotExist();
    assertThat(student("{\"form\": \"a NOUN\"}", new Scales(3, 3)))
        .content()
        .doesNotContain("guidance");
  }
}
