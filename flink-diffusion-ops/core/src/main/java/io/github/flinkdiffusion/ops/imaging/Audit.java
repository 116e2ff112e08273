/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.imaging;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.ops.image.ImageMetadata;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Model;
import io.github.flinkdiffusion.ops.pipeline.ModelInfo;
import io.github.flinkdiffusion.ops.pipeline.Parameter;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.weights.Sha256;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import org.apache.flink.annotation.Internal;

/**
 * How a result came about: enough to make it again and to compare. It stands in the result's event
 * and, as one JSON text named {@value #KEYWORD}, in the picture's own file, so a picture that has
 * left Kafka still says it.
 *
 * <p>It follows from request, model and software alone. Neither the time nor the machine nor the
 * request's id is in it: the same request gives the same bytes again, and an id may say who a
 * patient is. Of input images it holds the digests of their bytes, never what they say.
 *
 * <p>Its {@code parameters} are those of the request by their names in {@link Parameters}; what the
 * model was loaded with besides its folder, {@link ModelInfo#loadedAs}, as {@code model.precision}
 * and the like; and what the caller adds. A text of more than {@value #MOST_TEXT} characters is not
 * in it: of such a prompt there are {@code prompt.sha256}, the digest of its UTF-8 bytes, and
 * {@code prompt.length}, its characters.
 *
 * @param model name of the model folder
 * @param modelDigest SHA-256 over weights and configs, lower-case hex
 * @param task such as {@code text-to-image}, see {@link Model#taskName}
 * @param scheduler diffusers class name
 * @param steps num_inference_steps
 * @param seed of the noise
 * @param parameters every other parameter that was used, given or by default
 * @param inputDigests SHA-256, lower-case hex, of the bytes of each input file, by its parameter
 * @param softwareVersion of Flink Diffusion
 */
@Internal
public record Audit(
    String model,
    String modelDigest,
    String task,
    String scheduler,
    int steps,
    long seed,
    SortedMap<String, String> parameters,
    SortedMap<String, String> inputDigests,
    String softwareVersion) {

  /** Name of the text in PNG and TIFF files. */
  public static final String KEYWORD = "diffusion-audit";

  /**
   * Name of the text that tells which of a request's pictures a file holds, such as {@link
   * Composition#UNCERTAINTY}; the answer itself has none.
   */
  public static final String RESULT = "diffusion-result";

  /** What the names of {@link ModelInfo#loadedAs} begin with. */
  public static final String LOADED_AS = "model.";

  /** Characters of a text that is in the record itself. */
  static final int MOST_TEXT = 4096;

  /** Characters of a record that is read: more than any that is written. */
  private static final int MOST_JSON = 1 << 20;

  private static final int MOST_SHOWN = 100;

  private static final int FORMAT = 1;
  private static final String SHA256 = ".sha256";
  private static final String LENGTH = ".length";

  /** In ASCII, which every kind of file holds as it is. */
  private static final JsonMapper JSON =
      JsonMapper.builder(
              JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder()
                          .maxNestingDepth(8)
                          .maxStringLength(MOST_JSON)
                          .build())
                  .build())
          .enable(JsonWriteFeature.ESCAPE_NON_ASCII)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  public Audit {
    Objects.requireNonNull(model, "model");
    Objects.requireNonNull(modelDigest, "modelDigest");
    Objects.requireNonNull(task, "task");
    Objects.requireNonNull(scheduler, "scheduler");
    parameters = Collections.unmodifiableSortedMap(new TreeMap<>(parameters));
    inputDigests = Collections.unmodifiableSortedMap(new TreeMap<>(inputDigests));
    Objects.requireNonNull(softwareVersion, "softwareVersion");
  }

  /**
   * The record of a result that this software makes.
   *
   * @param inputDigests SHA-256, lower-case hex, of the bytes of each input file, by its parameter
   * @param further what the result depends on besides, such as {@code ensembleSize}
   */
  public static Audit of(
      Model model,
      GenerationRequest request,
      Map<String, String> inputDigests,
      Map<String, String> further) {
    return of(model.info(), model.taskName(request.arguments()), request, inputDigests, further);
  }

  /** As the other, of a model that is not here. */
  public static Audit of(
      ModelInfo model,
      String task,
      GenerationRequest request,
      Map<String, String> inputDigests,
      Map<String, String> further) {
    SortedMap<String, String> parameters = new TreeMap<>();
    for (Parameter<?> parameter : request.arguments().parameters()) {
      put(parameters, parameter, request);
    }
    model.loadedAs().forEach((name, value) -> parameters.put(LOADED_AS + name, value));
    parameters.putAll(further);
    return new Audit(
        model.name(),
        model.digest(),
        task,
        Objects.requireNonNullElse(request.scheduler(), ""),
        request.arguments().has(Parameters.STEPS) ? request.steps() : 0,
        request.seed(),
        parameters,
        new TreeMap<>(inputDigests),
        SoftwareVersion.CURRENT);
  }

  private static <T> void put(
      SortedMap<String, String> parameters, Parameter<T> parameter, GenerationRequest request) {
    if (parameter.type() == Raster.class
        || parameter == Parameters.SEED
        || parameter == Parameters.SCHEDULER
        || parameter == Parameters.STEPS) {
      return;
    }
    String text = parameter.format(request.get(parameter));
    if (text.length() <= MOST_TEXT) {
      parameters.put(parameter.name(), text);
    } else {
      parameters.put(parameter.name() + SHA256, Sha256.hex(text.getBytes(StandardCharsets.UTF_8)));
      parameters.put(parameter.name() + LENGTH, Integer.toString(text.length()));
    }
  }

  // ---------------------------------------------------------------- to make it again

  /** What the model was loaded as, with the names of {@link ModelInfo#loadedAs}. */
  public SortedMap<String, String> loadedAs() {
    SortedMap<String, String> loadedAs = new TreeMap<>();
    parameters.forEach(
        (name, value) -> {
          if (name.startsWith(LOADED_AS)) {
            loadedAs.put(name.substring(LOADED_AS.length()), value);
          }
        });
    return loadedAs;
  }

  /**
   * Texts that were too long for the record, by their parameter, with the digests of their UTF-8.
   */
  public SortedMap<String, String> omittedTexts() {
    SortedMap<String, String> omitted = new TreeMap<>();
    parameters.forEach(
        (name, value) -> {
          if (name.endsWith(SHA256)) {
            omitted.put(name.substring(0, name.length() - SHA256.length()), value);
          }
        });
    return omitted;
  }

  /**
   * The record with texts that were too long for it, to make the result again.
   *
   * @param texts by their parameter
   * @throws AuditException when one is missing, or is not the one that was used
   */
  public Audit withOmittedTexts(Map<String, String> texts) {
    SortedMap<String, String> complete = new TreeMap<>(parameters);
    omittedTexts()
        .forEach(
            (name, digest) -> {
              String text = texts.get(name);
              if (text == null) {
                throw new AuditException(
                    "The %s has %s characters, too many for the audit record; it must be set again"
                        .formatted(name, parameters.getOrDefault(name + LENGTH, "many")));
              }
              String given = Sha256.hex(text.getBytes(StandardCharsets.UTF_8));
              if (!given.equals(digest)) {
                throw new AuditException(
                    ("The %s differs from the one that was used: its SHA-256 is %s, the audit"
                            + " record has %s")
                        .formatted(name, given, digest));
              }
              complete.remove(name + SHA256);
              complete.remove(name + LENGTH);
              complete.put(name, text);
            });
    return new Audit(
        model, modelDigest, task, scheduler, steps, seed, complete, inputDigests, softwareVersion);
  }

  /**
   * What the request said, by the names of its {@link Parameters}, without its pictures and without
   * texts that were too long.
   */
  public SortedMap<String, String> request() {
    SortedMap<String, String> texts = new TreeMap<>();
    parameters.forEach(
        (name, value) -> {
          if (Parameters.named(name).isPresent()) {
            texts.put(name, value);
          }
        });
    texts.put(Parameters.SEED.name(), Long.toString(seed));
    texts.put(Parameters.STEPS.name(), Integer.toString(steps));
    if (!scheduler.isEmpty()) {
      texts.put(Parameters.SCHEDULER.name(), scheduler);
    }
    return texts;
  }

  /**
   * As {@link #request}, as values.
   *
   * @throws AuditException when a value is none that its parameter can have
   */
  public Arguments arguments() {
    try {
      return Arguments.parse(request());
    } catch (InvalidRequestException e) {
      throw new AuditException(
          "The request of the audit record cannot be repeated: " + e.getMessage(), e);
    }
  }

  /**
   * Parameters that a result was made again with and that have other values here: each with its
   * name and both values. What only one of both records holds is left out, since versions and
   * callers write more or less.
   */
  public List<String> differences(Audit again) {
    return parameters.entrySet().stream()
        .filter(here -> again.parameters.containsKey(here.getKey()))
        .filter(here -> !here.getValue().equals(again.parameters.get(here.getKey())))
        .map(
            here ->
                "%s: %s, then %s"
                    .formatted(
                        here.getKey(),
                        shown(here.getValue()),
                        shown(again.parameters.get(here.getKey()))))
        .toList();
  }

  /** The record with other parameters. */
  public Audit withParameters(SortedMap<String, String> others) {
    return new Audit(
        model, modelDigest, task, scheduler, steps, seed, others, inputDigests, softwareVersion);
  }

  // ---------------------------------------------------------------- in files

  /** The picture with this record among its texts, in place of any that its source had. */
  public Raster in(Raster picture) {
    return picture.withMetadata(without(picture.metadata()).withTexts(texts()));
  }

  /** What a file says, but for how it came about itself: not true of what is made from it. */
  static ImageMetadata without(ImageMetadata source) {
    SortedMap<String, String> texts = new TreeMap<>(source.texts());
    texts.keySet().removeAll(List.of(KEYWORD, RESULT));
    return new ImageMetadata(
        source.georeference(), source.spacing(), texts, source.tags(), source.medical());
  }

  /** This record as a text of a file. */
  public Map<String, String> texts() {
    return Map.of(KEYWORD, toJson());
  }

  /**
   * The record among a file's texts.
   *
   * @throws AuditException when it is damaged
   */
  public static Optional<Audit> of(ImageMetadata metadata) {
    return Optional.ofNullable(metadata.texts().get(KEYWORD)).map(Audit::parse);
  }

  /** On one line, in printable ASCII, keys in one order. */
  public String toJson() {
    ObjectNode json = JSON.createObjectNode();
    json.put("format", FORMAT);
    json.put("task", task);
    json.put("model", model);
    json.put("modelDigest", modelDigest);
    json.put("scheduler", scheduler);
    json.put("steps", steps);
    json.put("seed", seed);
    parameters.forEach(json.putObject("parameters")::put);
    inputDigests.forEach(json.putObject("inputDigests")::put);
    json.put("softwareVersion", softwareVersion);
    try {
      // Jackson escapes what is no ASCII, and of the control characters all but the last one.
      return JSON.writeValueAsString(json).replace("\u007f", "\\u007f");
    } catch (JsonProcessingException e) {
      throw new AuditException("An audit record cannot be written: " + e.getMessage(), e);
    }
  }

  /**
   * Reads what {@link #toJson} wrote. Fields of later versions are left out.
   *
   * @throws AuditException for another text
   */
  public static Audit parse(String json) {
    if (json.length() > MOST_JSON) {
      throw new AuditException(
          "An audit record of %d characters; at most %d are accepted"
              .formatted(json.length(), MOST_JSON));
    }
    JsonNode node;
    try {
      node = JSON.readTree(json);
    } catch (JsonProcessingException e) {
      throw new AuditException("The audit record is not JSON: " + e.getOriginalMessage(), e);
    }
    if (integer(node, "format") != FORMAT) {
      throw new AuditException(
          "The audit record has format %s; this version reads format %d"
              .formatted(node.get("format"), FORMAT));
    }
    return new Audit(
        text(node, "model"),
        text(node, "modelDigest"),
        text(node, "task"),
        text(node, "scheduler"),
        Math.toIntExact(Math.min(integer(node, "steps"), Integer.MAX_VALUE)),
        integer(node, "seed"),
        texts(node, "parameters"),
        texts(node, "inputDigests"),
        text(node, "softwareVersion"));
  }

  private static String text(JsonNode node, String field) {
    JsonNode value = node.path(field);
    if (!value.isTextual()) {
      throw damaged(field, value, "a text");
    }
    return value.textValue();
  }

  private static long integer(JsonNode node, String field) {
    JsonNode value = node.path(field);
    if (!value.isIntegralNumber() || !value.canConvertToLong()) {
      throw damaged(field, value, "a whole number");
    }
    return value.longValue();
  }

  private static SortedMap<String, String> texts(JsonNode node, String field) {
    JsonNode value = node.path(field);
    if (!value.isObject()) {
      throw damaged(field, value, "an object");
    }
    SortedMap<String, String> texts = new TreeMap<>();
    value.fieldNames().forEachRemaining(name -> texts.put(name, text(value, name)));
    return texts;
  }

  private static AuditException damaged(String field, JsonNode value, String accepted) {
    String found = value.isMissingNode() ? "missing" : value.toString();
    return new AuditException(
        "The audit record's field '%s' is %s; %s is expected"
            .formatted(shown(field), shown(found), accepted));
  }

  /** Records come from anybody's files. */
  private static String shown(String text) {
    return text.length() <= MOST_SHOWN ? text : text.substring(0, MOST_SHOWN) + "...";
  }
}
