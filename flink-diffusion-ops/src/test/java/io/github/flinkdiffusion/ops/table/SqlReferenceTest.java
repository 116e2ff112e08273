/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.flinkdiffusion.connector.table.EventFormatOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.description.HtmlFormatter;
import org.junit.jupiter.api.Test;

/**
 * Keeps docs/SQL_OPTIONS.md equal to what the code says, and docs/SQL.md complete. After a change,
 * write the first anew:
 *
 * <pre>mvn -pl flink-diffusion-ops -am test -Dtest=SqlReferenceTest \
 *     -Dsurefire.failIfNoSpecifiedTests=false -Ddocs.write=true</pre>
 */
class SqlReferenceTest {
  private static final Path OPTIONS = Path.of("../docs/SQL_OPTIONS.md");
  private static final Path MANUAL = Path.of("../docs/SQL.md");

  @Test
  void theReferenceSaysWhatTheCodeSays() throws IOException {
    String expected =
        """
        # Options in SQL

        Written by `SqlReferenceTest`; do not edit. [SQL.md](SQL.md) says where they stand; those that begin with
        `diffusion.` are in [OPTIONS.md](OPTIONS.md).

        ## Of a model
        In the `WITH` clause of `CREATE MODEL`, and, with a function's name and a point before them (`upscale.steps`), of
        `LOAD MODULE diffusion`. Parameters of a request can be in the map of a call, too.
        """
            + table(DiffusionModelOptions.all())
            + """

            ## Of the module
            """
            + table(List.of(DiffusionModuleFactory.ON_ERROR))
            + """

            ## Of a table with `'connector' = 'diffusion-images'`
            """
            + table(ImageFilesOptions.ALL)
            + """

            ## Of the formats `diffusion-avro`, `diffusion-json`, `diffusion-registry-avro` and `diffusion-registry-json`
            With the format's name and a point before them (`diffusion-avro.event`).
            """
            + table(EventFormatOptions.ALL)
            + """

            Of all but `diffusion-avro`:
            """
            + table(EventFormatOptions.OF_NAMED_FIELDS)
            + """

            Of `diffusion-registry-avro` and `diffusion-registry-json`:
            """
            + table(EventFormatOptions.OF_REGISTRY);
    if (Boolean.getBoolean("docs.write")) {
      Files.writeString(OPTIONS, expected);
    }
    assertThat(OPTIONS).hasContent(expected);
  }

  @Test
  void theManualHasEveryFunction() throws IOException {
    assertThat(DiffusionModuleFactory.functions()).hasSizeGreaterThan(10);
    String manual = Files.readString(MANUAL);
    for (String function : DiffusionModuleFactory.functions()) {
      assertThat(manual).contains("`" + function.toUpperCase(Locale.ROOT) + "(");
    }
  }

  private static String table(Collection<ConfigOption<?>> options) {
    HtmlFormatter html = new HtmlFormatter();
    StringBuilder table = new StringBuilder("\n| option | default | |\n| --- | --- | --- |\n");
    for (ConfigOption<?> option : options) {
      String value = option.hasDefaultValue() ? "`" + option.defaultValue() + "`" : "none";
      table.append(
          "| `%s` | %s | %s |\n".formatted(option.key(), value, html.format(option.description())));
    }
    return table.toString();
  }
}
