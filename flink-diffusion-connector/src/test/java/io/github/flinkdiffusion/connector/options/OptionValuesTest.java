/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.options;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

class OptionValuesTest {
  private enum Color {
    RED,
    GREEN
  }

  private static final ConfigOption<Integer> CAPACITY =
      ConfigOptions.key("diffusion.capacity").intType().defaultValue(64);
  private static final ConfigOption<Map<String, String>> PROPERTIES =
      ConfigOptions.key("diffusion.kafka.properties").mapType().noDefaultValue();
  private static final List<ConfigOption<?>> KNOWN = List.of(CAPACITY, PROPERTIES);

  record Refused(ConfigOption<?> option, String text, String sentence) {}

  static final List<Refused> REFUSED =
      List.of(
          new Refused(
              CAPACITY,
              "abc",
              "Invalid value 'abc' for option diffusion.capacity: expected a whole number."),
          new Refused(option().longType().noDefaultValue(), "1.5", "expected a whole number."),
          new Refused(option().doubleType().noDefaultValue(), "much", "expected a number."),
          new Refused(option().booleanType().noDefaultValue(), "yes", "expected true or false."),
          new Refused(option().durationType().noDefaultValue(), "soon", "expected a time such as"),
          new Refused(option().memoryType().noDefaultValue(), "big", "expected a size such as"),
          new Refused(
              option().enumType(Color.class).noDefaultValue(),
              "BLUE",
              "expected one of RED, GREEN."),
          new Refused(
              option().intType().asList().noDefaultValue(), "1;gray", "expected a list of numbers"),
          new Refused(CAPACITY, "9".repeat(1000), "9".repeat(100) + "...'"));

  @Test
  void aFormerKeyIsKnownAndItsTextIsShown() {
    ConfigOption<Integer> renamed =
        option().intType().defaultValue(1).withFallbackKeys("diffusion.former");
    assertThat(
            OptionValues.unknown(
                config("diffusion.former", "2"), "diffusion.", List.of(CAPACITY, renamed)))
        .isEmpty();
    assertThat(
            OptionValues.unknown(
                config("diffusion.formers", "2"), "diffusion.", List.of(CAPACITY, renamed)))
        .isPresent();
    assertThatThrownBy(
            () ->
                OptionValues.read(
                    config("diffusion.former", "many"), renamed, IllegalStateException::new))
        .hasMessage("Invalid value 'many' for option diffusion.x: expected a whole number.");
  }

  private static ConfigOptions.OptionBuilder option() {
    return ConfigOptions.key("diffusion.x");
  }

  private static Configuration config(String key, String text) {
    return Configuration.fromMap(Map.of(key, text));
  }

  @ParameterizedTest
  @FieldSource("REFUSED")
  void aTextThatIsNoValueIsRefusedWithWhatIsAccepted(Refused refused) {
    assertThatThrownBy(
            () ->
                OptionValues.read(
                    config(refused.option.key(), refused.text),
                    refused.option,
                    IllegalStateException::new))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageStartingWith("Invalid value ")
        .hasMessageContaining(" for option " + refused.option.key() + ": ")
        .hasMessageContaining(refused.sentence);
  }

  @Test
  void aValueThatMayBeSecretIsNotShown() {
    String secret = "sasl.jaas.config=password-of-the-test";
    assertThatThrownBy(
            () ->
                OptionValues.read(
                    config(PROPERTIES.key(), secret), PROPERTIES, IllegalStateException::new))
        .hasMessageContaining("expected entries key:value")
        .hasNoCause()
        .message()
        .doesNotContain("password-of-the-test");
  }

  @Test
  void aValueIsReadAndAnUnsetOptionIsEmpty() {
    ConfigOption<Duration> time = option().durationType().noDefaultValue();
    ConfigOption<MemorySize> size = option().memoryType().noDefaultValue();
    assertThat(OptionValues.read(config(time.key(), "3 s"), time, IllegalStateException::new))
        .contains(Duration.ofSeconds(3));
    assertThat(OptionValues.read(config(size.key(), "3 kb"), size, IllegalStateException::new))
        .contains(MemorySize.parse("3 kb"));
    assertThat(OptionValues.read(new Configuration(), CAPACITY, IllegalStateException::new))
        .isEmpty();
  }

  @Test
  void aKeyThatThereIsNotIsNamedWithTheNearestOne() {
    assertThat(OptionValues.unknown(config("diffusion.capasity", "8"), "diffusion.", KNOWN))
        .hasValueSatisfying(
            sentence ->
                assertThat(sentence)
                    .startsWith(
                        "Unknown option 'diffusion.capasity' (did you mean"
                            + " 'diffusion.capacity'?)."));
    assertThat(OptionValues.unknown(config("diffusion.capacity", "8"), "diffusion.", KNOWN))
        .isEmpty();
    assertThat(OptionValues.unknown(config("state.backend", "x"), "diffusion.", KNOWN)).isEmpty();
  }

  @Test
  void anOptionThatIsAMapMayHaveKeysBelowIt() {
    assertThat(
            OptionValues.unknown(
                config("diffusion.kafka.properties.security.protocol", "SSL"), "diffusion.", KNOWN))
        .isEmpty();
    assertThat(
            OptionValues.unknown(
                config("diffusion.kafka.propertys.security.protocol", "SSL"), "diffusion.", KNOWN))
        .isPresent();
  }
}
