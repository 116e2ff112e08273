package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.description.HtmlFormatter;
import org.junit.jupiter.api.Test;

/**
 * Keeps docs/OPTIONS.md equal to what the code says. After a change of options, write it anew:
 *
 * <pre>mvn -pl flink-diffusion-ops -am test -Dtest=OptionsReferenceTest \
 *     -Dsurefire.failIfNoSpecifiedTests=false -Ddocs.write=true</pre>
 */
class OptionsReferenceTest {
  private static final Path DOCUMENT = Path.of("../docs/OPTIONS.md");

  private static final String HEAD =
      """
      # Options of a diffusion operator

      Each can be set in Flink's configuration (`-Ddiffusion.device=gpu:0`, `config.yaml`) and by a method of `TextToImage`, which wins.
      Written by `OptionsReferenceTest` from `DiffusionOptions`; do not edit.

      | option | default | type | |
      | --- | --- | --- | --- |
      """;

  @Test
  void theReferenceSaysWhatTheCodeSays() throws IOException {
    String expected = reference();
    if (Boolean.getBoolean("docs.write")) {
      Files.createDirectories(DOCUMENT.getParent());
      Files.writeString(DOCUMENT, expected);
    }
    assertThat(DOCUMENT).hasContent(expected);
  }

  @Test
  void allOptionsAreListed() throws IllegalAccessException {
    List<Object> declared = new ArrayList<>();
    for (Field field : DiffusionOptions.class.getDeclaredFields()) {
      if (Modifier.isPublic(field.getModifiers()) && field.getType() == ConfigOption.class) {
        declared.add(field.get(null));
      }
    }
    assertThat(DiffusionOptions.ALL).containsExactlyElementsOf((List) declared);
  }

  private static String reference() {
    StringBuilder table = new StringBuilder(HEAD);
    HtmlFormatter html = new HtmlFormatter();
    for (ConfigOption<?> option : DiffusionOptions.ALL) {
      table
          .append("| `")
          .append(option.key())
          .append("` | ")
          .append(option.hasDefaultValue() ? "`" + text(option.defaultValue()) + "`" : "none")
          .append(" | ")
          .append(type(option))
          .append(" | ")
          .append(html.format(option.description()))
          .append(" |\n");
    }
    return table.toString();
  }

  private static String text(Object value) {
    return value instanceof Duration duration ? duration.toSeconds() + " s" : value.toString();
  }

  /** The option's type, which Flink keeps to itself, as its own documentation finds it. */
  private static String type(ConfigOption<?> option) {
    try {
      Field clazz = ConfigOption.class.getDeclaredField("clazz");
      clazz.setAccessible(true);
      Class<?> type = (Class<?>) clazz.get(option);
      return type.isEnum() ? "one of " + values(type) : type.getSimpleName();
    } catch (ReflectiveOperationException e) {
      throw new AssertionError(e);
    }
  }

  private static String values(Class<?> type) {
    return String.join(
        ", ", java.util.Arrays.stream(type.getEnumConstants()).map(Object::toString).toList());
  }
}
