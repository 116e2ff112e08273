/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaField;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.Payload;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.event.RecordContext;
import io.github.flinkdiffusion.connector.event.RecordPosition;
import io.github.flinkdiffusion.connector.kafka.KafkaOptions;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.image.Images;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.Basis;
import io.github.flinkdiffusion.ops.pipeline.Caching;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.Numbers;
import io.github.flinkdiffusion.ops.pipeline.Parameter;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.TrajectorySnapshot;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import io.github.flinkdiffusion.ops.serving.LiveOptions;
import io.github.flinkdiffusion.ops.serving.ModelFolderPipelines;
import io.github.flinkdiffusion.ops.serving.ModelSettings;
import io.github.flinkdiffusion.ops.serving.SeriesOptions;
import java.lang.reflect.Field;
import java.lang.reflect.RecordComponent;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.avro.Schema;
import org.apache.avro.specific.SpecificRecord;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Everything that an operator can be told is known either to decide an image or not to: options,
 * events, parameters, and the settings of a model. Whatever is added and not classified here fails
 * by its name. {@link InFlightChangesTest} changes each option under way.
 */
class WhatDecidesAnImageTest {
  private static final String ROOT = "io.github.flinkdiffusion";

  /** Options of operators that hold requests; {@link ImageDeciders} has each. */
  private static final List<Class<?>> OF_OPERATORS =
      List.of(
          DiffusionOptions.class, ImageTaskOptions.class, LiveOptions.class, PayloadOptions.class);

  /** Options that no operator which holds requests reads. */
  private static final List<Class<?>> OF_OTHERS =
      List.of(
          KafkaOptions.class, // of sources and sinks
          SeriesOptions.class); // of the operator that gathers series, which generates nothing

  /** Options of SQL, whose functions hold no requests in checkpoints: rows are computed again. */
  private static final String OF_SQL = ".table.";

  static List<ConfigOption<?>> options(Class<?> declaring) {
    return Arrays.stream(declaring.getFields())
        .filter(field -> field.getType() == ConfigOption.class)
        .<ConfigOption<?>>map(WhatDecidesAnImageTest::value)
        .toList();
  }

  private static ConfigOption<?> value(Field field) {
    try {
      return (ConfigOption<?>) field.get(null);
    } catch (IllegalAccessException e) {
      throw new AssertionError(e);
    }
  }

  static List<ConfigOption<?>> ofOperators() {
    return OF_OPERATORS.stream()
        .flatMap(each -> options(each).stream())
        .collect(Collectors.toList());
  }

  static List<ConfigOption<?>> ofOthers() {
    return OF_OTHERS.stream().flatMap(each -> options(each).stream()).collect(Collectors.toList());
  }

  @Test
  void everyClassOfOptionsIsKnown() {
    Set<String> known =
        Stream.concat(OF_OPERATORS.stream(), OF_OTHERS.stream())
            .map(Class::getName)
            .collect(Collectors.toSet());
    Set<String> unknown = new TreeSet<>();
    for (JavaClass each :
        new ClassFileImporter()
            .withImportOption(new ImportOption.DoNotIncludeTests())
            .importPackages(ROOT)) {
      for (JavaField field : each.getFields()) {
        if (field.getRawType().isEquivalentTo(ConfigOption.class)
            && !known.contains(each.getName())
            && !each.getName().contains(OF_SQL)) {
          unknown.add(each.getName());
        }
      }
    }
    assertThat(unknown).as("classes whose options nobody has classified").isEmpty();
  }

  @Test
  void everyOptionIsClassified() {
    assertThat(ImageDeciders.byKey().keySet())
        .as("a new option goes into ImageDeciders, with what a change does to requests in flight")
        .containsExactlyInAnyOrderElementsOf(
            ofOperators().stream().map(ConfigOption::key).toList());
  }

  /** Complete without a list: whatever these options are set to, the operators see the same. */
  @ParameterizedTest
  @MethodSource("ofOthers")
  void optionsOfOthersChangeNothingForAnOperator(ConfigOption<?> option) {
    Configuration config =
        new Configuration().set(DiffusionOptions.MODEL_FOLDER, "/models/of-nobody");
    DiffusionSettings settings = DiffusionSettings.of(config);
    ModelSettings model = ModelSettings.of(config);
    config.setString(option.key(), another(option));
    assertThat(DiffusionSettings.of(config)).isEqualTo(settings);
    assertThat(ModelSettings.of(config)).isEqualTo(model);
  }

  private static String another(ConfigOption<?> option) {
    Object value = option.defaultValue();
    if (value instanceof Boolean is) {
      return Boolean.toString(!is);
    }
    if (value instanceof Number) {
      return "7";
    }
    if (value instanceof Duration) {
      return "77 s";
    }
    if (value instanceof MemorySize) {
      return "77 mb";
    }
    if (value instanceof Enum<?> constant) {
      Object[] all = constant.getDeclaringClass().getEnumConstants();
      return all[(constant.ordinal() + 1) % all.length].toString();
    }
    return value instanceof Map || value instanceof Collection ? "a:b" : "7";
  }

  // ------------------------------------------------------------------ settings of a model

  /** Components of {@link ModelSettings} by the option that sets them. */
  private static final Map<String, String> SETTINGS =
      Map.ofEntries(
          Map.entry("folder", "diffusion.model.folder"),
          Map.entry("pipeline", "diffusion.model.pipeline"),
          Map.entry("engine", "diffusion.engine"),
          Map.entry("precision", "diffusion.model.precision"),
          Map.entry("archives", "diffusion.model.archives"),
          Map.entry("safetyChecker", "diffusion.model.safety-checker"),
          Map.entry("watermark", "diffusion.model.watermark"),
          Map.entry("loras", "diffusion.model.loras"),
          Map.entry("configs", "diffusion.model.configs"),
          Map.entry("variant", "diffusion.model.variant"),
          Map.entry("precisions", "diffusion.model.precisions"),
          Map.entry("devices", "diffusion.model.devices"),
          Map.entry("unloadsTextEncoders", "diffusion.model.unload-text-encoders"),
          Map.entry("caching", "diffusion.cache.interval"),
          Map.entry("allowedLoras", "diffusion.loras.allowed"),
          Map.entry("residentLoras", "diffusion.loras.resident"),
          Map.entry("ipAdapters", "diffusion.model.ip-adapters"),
          Map.entry("imageEncoder", "diffusion.model.image-encoder"),
          Map.entry("unetGuidance", "diffusion.unet-guidance.enabled"));

  @Test
  void everySettingOfAModelIsAnOptionThatIsClassified() {
    assertThat(SETTINGS.keySet())
        .containsExactlyInAnyOrderElementsOf(
            Arrays.stream(ModelSettings.class.getRecordComponents())
                .map(RecordComponent::getName)
                .toList());
    assertThat(ImageDeciders.byKey().keySet()).containsAll(SETTINGS.values());
  }

  /** Jobs of one process share a model that has the same name: all that decides is in it. */
  @ParameterizedTest
  @MethodSource("settingsOfModels")
  void modelsThatAreSetOtherwiseAreNotShared(String component) throws Exception {
    ModelSettings plain = settings("");
    ModelSettings other = settings(component);
    assertThat(other).isNotEqualTo(plain);
    boolean shared =
        new ModelFolderPipelines(other).model().equals(new ModelFolderPipelines(plain).model());
    assertThat(shared).isEqualTo(component.equals("archives"));
  }

  static Stream<String> settingsOfModels() {
    return Arrays.stream(ModelSettings.class.getRecordComponents()).map(RecordComponent::getName);
  }

  /** With other values than usual where there must be some, and one component changed. */
  private static ModelSettings settings(String changed) throws ReflectiveOperationException {
    RecordComponent[] components = ModelSettings.class.getRecordComponents();
    Object[] values = new Object[components.length];
    for (int i = 0; i < components.length; i++) {
      boolean other = components[i].getName().equals(changed);
      Class<?> type = components[i].getType();
      if (type == String.class) {
        values[i] = other ? "other" : "some";
      } else if (type == boolean.class) {
        values[i] = other;
      } else if (type == int.class) {
        values[i] = other ? 7 : 3;
      } else if (type == List.class) {
        values[i] = List.of(other ? "b=2" : "a=1");
      } else if (type == Precision.class) {
        values[i] = other ? Precision.BFLOAT16 : Precision.FLOAT32;
      } else if (type == Caching.class) {
        values[i] = new Caching(2, other ? 1 : 0, 1000);
      } else {
        throw new AssertionError(components[i] + " is of a type that has no values here");
      }
    }
    return ModelSettings.class
        .getDeclaredConstructor(
            Arrays.stream(components).map(RecordComponent::getType).toArray(Class<?>[]::new))
        .newInstance(values);
  }

  /** Of the kind of device, which no test here can change. */
  @Test
  void anotherKindOfDeviceIsADifference() {
    Basis onCpu = new Basis(new TreeMap<>(Map.of(Basis.DIGEST, "d", Basis.DEVICE, "cpu")));
    Basis onGpu = new Basis(new TreeMap<>(Map.of(Basis.DIGEST, "d", Basis.DEVICE, "gpu")));
    assertThat(onGpu.differencesFrom(onCpu)).containsExactly("device (cpu, now gpu)");
  }

  // ------------------------------------------------------------------ requests

  static Collection<Parameter<?>> parameters() {
    return Parameters.all();
  }

  /** A request in flight keeps each of its parameters, so a restart cannot change one. */
  @ParameterizedTest
  @MethodSource("parameters")
  void everyParameterIsSavedWithTheSteps(Parameter<?> parameter) throws Exception {
    GenerationRequest request = new GenerationRequest("a", with(parameter));
    InFlight.Running running =
        new InFlight.Running(
            OptionalLong.empty(),
            PromptEvent.newBuilder().setId("a").setPrompt("").build(),
            new TrajectorySnapshot(
                request, Basis.ofDigest("d"), 1, new float[1], new float[0][], new byte[0]),
            0);
    InFlight read = InFlightSerializer.deserialize(InFlightSerializer.serialize(running));
    assertThat(((InFlight.Running) read).trajectory().request()).isEqualTo(request);
  }

  @SuppressWarnings("unchecked") // the value is of the parameter's type
  private static Arguments with(Parameter<?> parameter) {
    Map<Class<?>, Object> examples =
        Map.of(
            String.class,
            "text",
            Long.class,
            3L,
            Double.class,
            0.25,
            Numbers.class,
            new Numbers(0.5, 0.25),
            Raster.class,
            new Raster(1, 1, 2, new float[] {0.25f, 0.75f}));
    return Arguments.NONE.with(
        (Parameter<Object>) parameter,
        Objects.requireNonNull(examples.get(parameter.type()), parameter.name()));
  }

  /** Fields that decide an image; null for those that do not. */
  private static final Map<String, Object> OF_PROMPTS = new HashMap<>();

  private static final Map<String, Object> OF_TASKS = new HashMap<>();

  static {
    Payload image =
        Payloads.inline(Images.write(new Raster(1, 1, 1, new float[1]), "image/png"), "");
    for (Map<String, Object> fields : List.of(OF_PROMPTS, OF_TASKS)) {
      fields.put("id", "another"); // a seed comes from it, where the request has none
      fields.put("prompt", "another");
      fields.put("negativePrompt", "another");
      fields.put("seed", 77L);
      fields.put("steps", 7);
      fields.put("guidanceScale", 7.0);
      fields.put("scheduler", "another");
      fields.put("width", 8);
      fields.put("height", 8);
      fields.put("parameters", Map.of("eta", "0.5"));
      fields.put("images", Map.of("controlImage", image));
      fields.put("priority", null);
      fields.put("deadline", null);
      fields.put("origin", null);
      fields.put("attributes", null);
      fields.put("context", null);
    }
    OF_TASKS.put("image", image);
    OF_TASKS.put("mask", image);
    OF_TASKS.put("imageGuidanceScale", 2.0);
    OF_TASKS.put("strength", 0.5);
    OF_TASKS.put("noiseLevel", 5);
    OF_TASKS.put("ensembleSize", 2);
  }

  /** Read from files, or how the image is cut: not among what a part asks. */
  private static final Set<String> BESIDE_ARGUMENTS =
      Set.of("id", "images", "image", "mask", "ensembleSize");

  private static final Map<String, Object> OTHER_VALUES =
      Map.of(
          "priority",
          7,
          "deadline",
          77L,
          "origin",
          new RecordPosition("topic", 1, 2L),
          "attributes",
          Map.of("customer", "b"),
          "context",
          new RecordContext(ByteBuffer.wrap(new byte[1]), Map.of()));

  @Test
  void everyFieldOfAPromptIsClassified() {
    PromptEvent plain = PromptEvent.newBuilder().setId("a").setPrompt("a cat").build();
    assertFields(
        PromptEvent.getClassSchema(),
        OF_PROMPTS,
        () -> PromptEvent.newBuilder(plain).build(),
        event -> Events.spec((PromptEvent) event, Subtask.settings()).arguments());
  }

  @Test
  void everyFieldOfAnImageTaskIsClassified() {
    ImageTaskEvent plain =
        ImageTaskEvent.newBuilder().setId("a").setImage((Payload) OF_TASKS.get("image")).build();
    assertFields(
        ImageTaskEvent.getClassSchema(),
        OF_TASKS,
        () -> ImageTaskEvent.newBuilder(plain).build(),
        event -> Events.asked((ImageTaskEvent) event));
  }

  private static void assertFields(
      Schema schema,
      Map<String, Object> decides,
      Supplier<SpecificRecord> event,
      Function<SpecificRecord, Arguments> asked) {
    assertThat(decides.keySet())
        .as("a new field of %s is classified here", schema.getName())
        .containsExactlyInAnyOrderElementsOf(
            schema.getFields().stream().map(Schema.Field::name).toList());
    Arguments before = asked.apply(event.get());
    Map<String, Boolean> changed = new LinkedHashMap<>();
    Map<String, Boolean> expected = new LinkedHashMap<>();
    for (Schema.Field field : schema.getFields()) {
      if (BESIDE_ARGUMENTS.contains(field.name())) {
        continue;
      }
      Object value = decides.get(field.name());
      SpecificRecord other = event.get();
      other.put(field.pos(), value == null ? OTHER_VALUES.get(field.name()) : value);
      changed.put(field.name(), !asked.apply(other).equals(before));
      expected.put(field.name(), value != null);
    }
    assertThat(changed).isEqualTo(expected);
  }
}
