/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.prompt.PromptLanguage;
import io.github.flinkdiffusion.ops.weights.Config;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.ToIntFunction;
import java.util.stream.Stream;

/**
 * Stable Diffusion XL: inner states of two text encoders side by side, the pooled state of the
 * second, and numbers about the picture's size (section 2.2 of Podell et al. 2023). The refiner has
 * the second text encoder alone, and a score for how pleasing the picture is in place of the target
 * size.
 *
 * <p>A negative prompt that is absent is not one that is empty: unless {@code
 * force_zeros_for_empty_prompt} is off, the unconditional row's texts are zeros then.
 */
final class XlConditioning implements Conditioning {
  private final Optional<PromptEncoder> first;
  private final PromptEncoder second;
  private final boolean scored;
  private final boolean zerosWithoutNegative;

  /** Size of the embedded guidance scale, 0 for a network without it. */
  private final int guidanceSize;

  private XlConditioning(
      Components components,
      Config config,
      UNet2DConditionConfig unet,
      Optional<Adapters> adapters) {
    UNetConditions.textAnd(config, List.of(UNetConditions.GUIDANCE, UNetConditions.TEXT_TIME));
    this.first =
        components.folder().has("text_encoder")
            ? Optional.of(PromptEncoder.openInner(components, adapters))
            : Optional.empty();
    this.second = PromptEncoder.openInnerAndPooled(components, adapters);
    this.guidanceSize = unet.guidanceEmbedding();
    Config pipeline = components.folder().config();
    this.scored = pipeline.flag("requires_aesthetics_score", false);
    this.zerosWithoutNegative = pipeline.flag("force_zeros_for_empty_prompt", true);
    UNetConditions.fits(config, unet, hiddenSize(), "the text encoders' hidden_size together, ");
    first.ifPresent(encoder -> checkLength(components, encoder));
    int expected =
        second.pooledSize() + numbers() * unet.textTime().map(each -> each.timeSize()).orElse(0);
    int taken =
        unet.textTime()
            .orElseThrow(
                () ->
                    config.unsupported(
                        UNetConditions.TEXT_TIME,
                        config.node().get(UNetConditions.TEXT_TIME),
                        "text_time, as SDXL's networks have it"))
            .inputSize();
    if (taken != expected) {
      throw config.unsupported(
          "projection_class_embeddings_input_dim",
          taken,
          "%d: text_encoder_2's projection_dim, %d, and %d numbers (requires_aesthetics_score is %s)"
              .formatted(expected, second.pooledSize(), numbers(), scored));
    }
  }

  private void checkLength(Components components, PromptEncoder encoder) {
    if (encoder.length() != second.length()) {
      throw components
          .folder()
          .config()
          .unsupported(
              "tokenizer_2",
              second.length() + " tokens",
              "as many tokens as the first tokenizer's model_max_length, " + encoder.length());
    }
  }

  /**
   * @param config the denoising network's
   * @param adapters LoRAs that requests name
   */
  static Conditioning open(
      Components components,
      Config config,
      UNet2DConditionConfig unet,
      Optional<Adapters> adapters) {
    return new XlConditioning(components, config, unet, adapters);
  }

  private int hiddenSize() {
    return first.map(PromptEncoder::hiddenSize).orElse(0) + second.hiddenSize();
  }

  /** How many numbers about the picture the network is told. */
  private int numbers() {
    return scored ? 5 : 6;
  }

  @Override
  public Signature describe(Signature signature) {
    Signature texts =
        Variation.describePrompts(signature)
            .optional(Parameters.CLIP_SKIP)
            .optional(Parameters.PROMPT_LANGUAGE)
            .withDefault(Parameters.PROMPT_2, "the prompt", asked -> asked.get(Parameters.PROMPT))
            .withDefault(
                Parameters.ORIGINAL_SIZE,
                "the image's",
                asked -> size(asked.get(Parameters.HEIGHT), asked.get(Parameters.WIDTH)))
            .withDefault(Parameters.CROPS_COORDS_TOP_LEFT, new Numbers(0, 0));
    texts =
        scored
            ? texts.withDefault(Parameters.AESTHETIC_SCORE, 6.0)
            : texts.withDefault(
                Parameters.TARGET_SIZE,
                "the image's",
                asked -> size(asked.get(Parameters.HEIGHT), asked.get(Parameters.WIDTH)));
    return guidanceSize > 0 ? texts : describeNegative(texts);
  }

  private Signature describeNegative(Signature signature) {
    Signature negative =
        signature
            .withDefault(Parameters.GUIDANCE_RESCALE, 0.0)
            .optional(Parameters.NEGATIVE_PROMPT)
            .withDefault(
                Parameters.NEGATIVE_PROMPT_2,
                "the negativePrompt",
                asked -> asked.get(Parameters.NEGATIVE_PROMPT))
            .optional(Parameters.NEGATIVE_ORIGINAL_SIZE)
            .optional(Parameters.NEGATIVE_CROPS_COORDS_TOP_LEFT);
    return scored
        ? negative.withDefault(Parameters.NEGATIVE_AESTHETIC_SCORE, 2.5)
        : negative.optional(Parameters.NEGATIVE_TARGET_SIZE);
  }

  private static Numbers size(long height, long width) {
    return new Numbers(height, width);
  }

  @Override
  public void check(GenerationRequest request) {
    first.ifPresent(encoder -> encoder.checkClipSkip(request));
    second.checkClipSkip(request);
    if (scored && request.get(Parameters.IMAGE) == null) {
      throw new InvalidRequestException(
          "The request has no image; a model that takes an aesthetic score refines one.");
    }
  }

  @Override
  public void check(GenerationRequest request, ToIntFunction<GenerationRequest> calls) {
    check(request);
    if (!PromptStages.has(request)) {
      return;
    }
    requireSame(request, Parameters.PROMPT_2, Parameters.PROMPT);
    if (guidanceSize == 0) {
      requireSame(request, Parameters.NEGATIVE_PROMPT_2, Parameters.NEGATIVE_PROMPT);
    }
    PromptStages.check(
        staged(request),
        calls.applyAsInt(request),
        guided(request),
        Stream.concat(first.stream(), Stream.of(second)).toList());
  }

  /** The web UI has one prompt for both encoders, and so has each language here. */
  private static void requireSame(
      GenerationRequest request, Parameter<String> other, Parameter<String> own) {
    String text = request.get(other);
    if (text != null && !text.isEmpty() && !text.equals(request.get(own))) {
      throw new InvalidRequestException(
          "The request has promptLanguage %s and a %s of its own; both text encoders read the %s then."
              .formatted(request.get(Parameters.PROMPT_LANGUAGE), other, own));
    }
  }

  /** A request in such a language, where no negative prompt is read as an empty one. */
  private static GenerationRequest staged(GenerationRequest request) {
    return request.get(Parameters.NEGATIVE_PROMPT) == null
        ? new GenerationRequest(
            request.id(), request.arguments().with(Parameters.NEGATIVE_PROMPT, ""))
        : request;
  }

  @Override
  public Denoiser.Input[] inputs() {
    List<Denoiser.Input> inputs = new ArrayList<>();
    inputs.add(Denoiser.Input.vectors(hiddenSize()));
    if (guidanceSize > 0) {
      inputs.add(Denoiser.Input.floats(guidanceSize));
    }
    inputs.add(Denoiser.Input.floats(second.pooledSize()));
    inputs.add(Denoiser.Input.floats(numbers()));
    return inputs.toArray(Denoiser.Input[]::new);
  }

  /** One row's texts, for each text encoder. */
  private record Texts(Prompt first, Prompt second) {}

  private record Encoded(Map<Prompt, PromptEncoding> first, Map<Prompt, PromptEncoding> second) {}

  @Override
  public List<Conditions> encode(List<GenerationRequest> requests) {
    List<Texts> texts = new ArrayList<>();
    for (GenerationRequest request : requests) {
      texts.addAll(wanted(request));
      negative(request).ifPresent(texts::add);
    }
    Encoded encoded =
        new Encoded(
            first
                .map(each -> each.encodeSkipping(texts.stream().map(Texts::first).toList()))
                .orElse(Map.of()),
            second.encodeSkipping(texts.stream().map(Texts::second).toList()));
    return requests.stream().map(request -> conditions(request, encoded)).toList();
  }

  @Override
  public List<Conditions> encode(
      List<GenerationRequest> requests, ToIntFunction<GenerationRequest> calls) {
    return PromptStages.encode(
        requests,
        this::encode,
        request ->
            staged(
                request,
                PromptStages.of(staged(request), calls.applyAsInt(request), guided(request))));
  }

  /**
   * Conditions of prompts in A1111's or Compel's language, all of which are made as long as the
   * longest. An empty negative prompt is zeros in the web UI; in Compel, as in a plain request, one
   * that is absent is.
   */
  private Conditions staged(GenerationRequest request, PromptStages stages) {
    int skipped = Prompt.wanted(request).clipSkip();
    Prompt empty = Prompt.written(request, "", 0);
    List<Prompt> texts = new ArrayList<>(List.of(empty));
    for (PromptStages.Stage stage : stages.stages()) {
      stage.wanted().forEach(text -> texts.add(Prompt.written(request, text, skipped)));
      texts.add(Prompt.written(request, stage.unwanted(), 0));
    }
    Encoded encoded =
        new Encoded(
            first.map(each -> each.encodeSkipping(texts)).orElse(Map.of()),
            second.encodeSkipping(texts));
    int tokens =
        Math.max(tokens(first, encoded.first()), tokens(Optional.of(second), encoded.second()));
    boolean zeros =
        Prompt.language(request) == PromptLanguage.A1111
            ? stages.stages().stream().allMatch(stage -> stage.unwanted().isEmpty())
            : request.get(Parameters.NEGATIVE_PROMPT) == null && zerosWithoutNegative;
    float[] ids =
        numbers(
            request.get(Parameters.ORIGINAL_SIZE),
            request.get(Parameters.CROPS_COORDS_TOP_LEFT),
            request.get(Parameters.TARGET_SIZE),
            request.get(Parameters.AESTHETIC_SCORE));
    return stages.conditions(
        request,
        guided(request),
        text -> {
          PromptEncoding own =
              joined(Prompt.written(request, text, skipped), empty, encoded, tokens);
          return row(
              tokens,
              guidanceSize > 0
                  ? Row.of(
                      own.states(),
                      EmbeddedGuidance.of(request.guidanceScale(), guidanceSize),
                      own.pooled(),
                      ids)
                  : Row.of(own.states(), own.pooled(), ids));
        },
        text -> {
          PromptEncoding own = joined(Prompt.written(request, text, 0), empty, encoded, tokens);
          return row(
              tokens,
              zeros
                  ? Row.of(
                      new float[own.states().length],
                      new float[own.pooled().length],
                      negativeNumbers(request))
                  : Row.of(own.states(), own.pooled(), negativeNumbers(request)));
        });
  }

  private Row row(int tokens, Row row) {
    return tokens == second.length() ? row : row.ofTokens(tokens);
  }

  private static int tokens(Optional<PromptEncoder> encoder, Map<Prompt, PromptEncoding> encoded) {
    return encoded.values().stream()
        .mapToInt(each -> each.states().length / encoder.orElseThrow().hiddenSize())
        .max()
        .orElse(0);
  }

  /** Both encoders' states of a text, with those of an empty one behind it. */
  private PromptEncoding joined(Prompt text, Prompt empty, Encoded encoded, int tokens) {
    return new PromptEncoding(
        joined(
            first.isEmpty()
                ? new float[0]
                : filledUp(first.get(), encoded.first(), text, empty, tokens),
            filledUp(second, encoded.second(), text, empty, tokens),
            tokens),
        encoded.second().get(text).pooled(),
        false);
  }

  private static float[] filledUp(
      PromptEncoder encoder,
      Map<Prompt, PromptEncoding> encoded,
      Prompt text,
      Prompt empty,
      int tokens) {
    return encoded.get(text).filledUp(tokens * encoder.hiddenSize(), encoded.get(empty).states());
  }

  /** The refiner's one text encoder is told the first prompt, as in the reference. */
  private Texts prompt(GenerationRequest request) {
    Prompt own = Prompt.wanted(request);
    String other = request.get(Parameters.PROMPT_2);
    return first.isEmpty() || other.isEmpty()
        ? new Texts(own, own)
        : new Texts(own, own.withText(other));
  }

  /** The prompt's, and those of a second prompt, which both text encoders read. */
  private List<Texts> wanted(GenerationRequest request) {
    List<Texts> wanted = new ArrayList<>(List.of(prompt(request)));
    Variation.prompts(request).stream()
        .skip(1)
        .forEach(other -> wanted.add(new Texts(other, other)));
    return wanted;
  }

  /** Empty for zeros, and without guidance. No layers are left out, as in the reference. */
  private Optional<Texts> negative(GenerationRequest request) {
    String text = request.get(Parameters.NEGATIVE_PROMPT);
    if (!guided(request) || (text == null && zerosWithoutNegative)) {
      return Optional.empty();
    }
    String own = text == null ? "" : text;
    String other = request.get(Parameters.NEGATIVE_PROMPT_2);
    boolean same = first.isEmpty() || other == null || other.isEmpty();
    return Optional.of(
        new Texts(Prompt.of(request, own, 0), Prompt.of(request, same ? own : other, 0)));
  }

  private Conditions conditions(GenerationRequest request, Encoded encoded) {
    PromptEncoding prompt =
        Variation.encoding(request, wanted(request), texts -> joined(texts, encoded));
    float[] ids =
        numbers(
            request.get(Parameters.ORIGINAL_SIZE),
            request.get(Parameters.CROPS_COORDS_TOP_LEFT),
            request.get(Parameters.TARGET_SIZE),
            request.get(Parameters.AESTHETIC_SCORE));
    if (guidanceSize > 0) {
      float[] guidance = EmbeddedGuidance.of(request.guidanceScale(), guidanceSize);
      return new Conditions(
          List.of(Row.of(prompt.states(), guidance, prompt.pooled(), ids)),
          Guidance.NONE,
          prompt.truncated());
    }
    Row conditional = Row.of(prompt.states(), prompt.pooled(), ids);
    if (!guided(request)) {
      return new Conditions(List.of(conditional), Guidance.NONE, prompt.truncated());
    }
    PromptEncoding negative =
        negative(request)
            .map(texts -> joined(texts, encoded))
            .orElseGet(
                () ->
                    new PromptEncoding(
                        new float[prompt.states().length],
                        new float[prompt.pooled().length],
                        false));
    return new Conditions(
        List.of(
            Row.of(negative.states(), negative.pooled(), negativeNumbers(request)), conditional),
        new Guidance.ClassifierFree(
            request.guidanceScale(), request.get(Parameters.GUIDANCE_RESCALE)),
        prompt.truncated() || negative.truncated());
  }

  /**
   * The numbers that guidance leads away from, by the reference's rules: without an image, the
   * negative sizes count if both are given, and the negative crop with them; with one, each size
   * counts by itself, and the negative crop only beside a score.
   */
  private float[] negativeNumbers(GenerationRequest request) {
    Numbers original = request.get(Parameters.NEGATIVE_ORIGINAL_SIZE);
    Numbers target = request.get(Parameters.NEGATIVE_TARGET_SIZE);
    boolean ofAnImage = request.get(Parameters.IMAGE) != null;
    boolean sizesCount = ofAnImage || original != null && target != null;
    boolean cropCounts = ofAnImage ? scored : sizesCount;
    return numbers(
        sizesCount && original != null ? original : request.get(Parameters.ORIGINAL_SIZE),
        cropCounts ? negativeCrop(request) : request.get(Parameters.CROPS_COORDS_TOP_LEFT),
        sizesCount && target != null ? target : request.get(Parameters.TARGET_SIZE),
        request.get(Parameters.NEGATIVE_AESTHETIC_SCORE));
  }

  private static Numbers negativeCrop(GenerationRequest request) {
    Numbers crop = request.get(Parameters.NEGATIVE_CROPS_COORDS_TOP_LEFT);
    return crop == null ? new Numbers(0, 0) : crop;
  }

  /** Original size, crop, and target size or score: height before width, top before left. */
  private float[] numbers(Numbers original, Numbers crop, Numbers target, Double score) {
    float[] ids = new float[numbers()];
    ids[0] = (float) original.at(0);
    ids[1] = (float) original.at(1);
    ids[2] = (float) crop.at(0);
    ids[3] = (float) crop.at(1);
    if (scored) {
      ids[4] = score.floatValue();
    } else {
      ids[4] = (float) target.at(0);
      ids[5] = (float) target.at(1);
    }
    return ids;
  }

  /** Both encoders' states of each token side by side. */
  private PromptEncoding joined(Texts texts, Encoded encoded) {
    PromptEncoding b = encoded.second().get(texts.second());
    if (first.isEmpty()) {
      return b;
    }
    PromptEncoding a = encoded.first().get(texts.first());
    return new PromptEncoding(
        joined(a.states(), b.states(), second.length()),
        b.pooled(),
        a.truncated() || b.truncated());
  }

  /** The states of each token side by side. */
  private static float[] joined(float[] a, float[] b, int tokens) {
    int sizeA = a.length / tokens;
    int sizeB = b.length / tokens;
    float[] states = new float[tokens * (sizeA + sizeB)];
    for (int token = 0; token < tokens; token++) {
      int at = token * (sizeA + sizeB);
      System.arraycopy(a, token * sizeA, states, at, sizeA);
      System.arraycopy(b, token * sizeB, states, at + sizeA, sizeB);
    }
    return states;
  }

  private boolean guided(GenerationRequest request) {
    return guidanceSize == 0 && request.guidanceScale() > 1;
  }
}
